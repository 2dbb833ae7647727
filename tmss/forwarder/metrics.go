package forwarder

import "sync/atomic"

type counters struct {
	requests, responses, acks atomic.Uint64
	refused, strangers        atomic.Uint64
	loops, failovers          atomic.Uint64
	exhausted, misfits        atomic.Uint64
	droppedAcks, strays       atomic.Uint64
	opened                    atomic.Uint64
}

// Stats is what a forwarder has counted since it was made.
type Stats struct {
	Requests  uint64 // passed on, ACKs not counted; each path of a search counts
	Responses uint64 // passed on
	Acks      uint64 // ACKs to 2xx passed on
	Refused   uint64 // requests answered here
	Strangers uint64 // of them, from nobody that is known
	Loops     uint64 // of them, 482
	Failovers uint64 // next paths taken
	Exhausted uint64 // searches that ran out of paths
	Misfits   uint64 // cookies of nodes that did not verify
	// DroppedAcks are ACKs that nobody could be found for, Strays final responses that came too late.
	DroppedAcks, Strays uint64
	BreakersOpened      uint64
}

// Stats reads the counters, one after the other.
func (f *Forwarder) Stats() Stats {
	c := &f.metrics
	return Stats{
		Requests: c.requests.Load(), Responses: c.responses.Load(), Acks: c.acks.Load(),
		Refused: c.refused.Load(), Strangers: c.strangers.Load(), Loops: c.loops.Load(),
		Failovers: c.failovers.Load(), Exhausted: c.exhausted.Load(), Misfits: c.misfits.Load(),
		DroppedAcks: c.droppedAcks.Load(), Strays: c.strays.Load(), BreakersOpened: c.opened.Load(),
	}
}
