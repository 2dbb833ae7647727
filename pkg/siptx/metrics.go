package siptx

import "sync/atomic"

// workerMetrics are written by one worker and read by [Stack.Stats].
type workerMetrics struct {
	received  atomic.Uint64 // messages handled here
	sent      atomic.Uint64 // messages given to the transport
	unsent    atomic.Uint64 // of them, failed; requests with a transaction not counted
	refused   atomic.Uint64 // answered 4xx or 5xx by the gate or the parser
	unusable  atomic.Uint64 // refused by the gate without an answer
	stray     atomic.Uint64 // responses without a transaction, dropped
	lost      atomic.Uint64 // not handed to another worker, whose queue was full
	repeated  atomic.Uint64 // requests that came again
	repeats   atomic.Uint64 // messages that we sent again
	finals    atomic.Uint64 // of them, final responses
	timeouts  atomic.Uint64
	tableFull atomic.Uint64
	panics    atomic.Uint64
	servers   atomic.Int64
	clients   atomic.Int64
}

// readerMetrics are written by readers.
type readerMetrics struct {
	overload atomic.Uint64 // new requests answered 503 because a queue was full
	lost     atomic.Uint64 // messages dropped because a queue was full
	repeated atomic.Uint64 // repetitions of INVITEs dropped because a queue was full
	unframed atomic.Uint64
	unsent   atomic.Uint64
	panics   atomic.Uint64
}

// measure publishes the sizes that the worker alone can read.
func (w *Worker) measure() {
	w.metrics.servers.Store(int64(len(w.servers)))
	w.metrics.clients.Store(int64(len(w.clients)))
}

// WorkerStats is what one worker has counted since it was made, and what it holds.
type WorkerStats struct {
	Received, Sent   uint64 // messages handled, and given to the transport
	RepeatedIn       uint64 // requests that came again
	RepeatedOut      uint64 // messages that we sent again
	RepeatedFinals   uint64 // of them, final responses: by the clock, or because the request came again
	Malformed        uint64 // requests answered by the gate or the parser
	TableFull        uint64 // requests, of either side, that found no room in the table
	Unusable         uint64 // messages that the gate dropped
	Stray            uint64 // responses without a transaction, dropped
	Lost             uint64 // messages for another worker, whose queue was full
	NotSent          uint64 // messages without a transaction that the transport could not send
	Timeouts         uint64 // requests without a final response, 2xx without an ACK
	Panics           uint64
	Servers, Clients int // transactions in the table, ended ones that absorb repetitions included
	Waiting          int // messages in the queue
}

// Stats are the counters of a stack. They may be read at any time.
type Stats struct {
	Workers  []WorkerStats
	Overload uint64 // new requests answered 503 because a queue was full
	Lost     uint64 // messages dropped because a queue was full or the stack had stopped
	Repeated uint64 // repetitions of INVITEs dropped because a queue was full
	Unframed uint64 // streams that the transport could not frame
	NotSent  uint64 // refusals by readers that the transport could not send
	Panics   uint64 // messages that readers could not look at
}

// Stats reads the counters.
func (s *Stack) Stats() Stats {
	all := Stats{
		Overload: s.metrics.overload.Load(), Repeated: s.metrics.repeated.Load(),
		Lost:     s.metrics.lost.Load(),
		Unframed: s.metrics.unframed.Load(),
		NotSent:  s.metrics.unsent.Load(),
		Panics:   s.metrics.panics.Load(),
	}
	for _, w := range s.workers {
		m := &w.metrics
		all.Workers = append(all.Workers, WorkerStats{
			Received:       m.received.Load(),
			Sent:           m.sent.Load(),
			RepeatedIn:     m.repeated.Load(),
			RepeatedOut:    m.repeats.Load(),
			RepeatedFinals: m.finals.Load(),
			Malformed:      m.refused.Load(),
			TableFull:      m.tableFull.Load(),
			Unusable:       m.unusable.Load(),
			Stray:          m.stray.Load(),
			Lost:           m.lost.Load(),
			NotSent:        m.unsent.Load(),
			Timeouts:       m.timeouts.Load(),
			Panics:         m.panics.Load(),
			Servers:        int(m.servers.Load()),
			Clients:        int(m.clients.Load()),
			Waiting:        w.queue.waiting(),
		})
	}
	return all
}

// Counters are the sums that operators look at, by the names under which they see them.
func (s Stats) Counters() map[string]uint64 {
	c := map[string]uint64{
		"sip_refused_busy": s.Overload, "sip_dropped": s.Lost + s.Repeated,
		"sip_received": 0, "sip_sent": 0, "sip_requests_came_again": 0, "sip_sent_again": 0, "sip_finals_sent_again": 0, "sip_timeouts": 0,
		"sip_malformed_answered": 0, "sip_malformed_dropped": 0, "sip_unknown_responses": 0,
	}
	for i := range s.Workers {
		w := &s.Workers[i]
		c["sip_received"] += w.Received
		c["sip_sent"] += w.Sent
		c["sip_requests_came_again"] += w.RepeatedIn
		c["sip_sent_again"] += w.RepeatedOut
		c["sip_finals_sent_again"] += w.RepeatedFinals
		c["sip_timeouts"] += w.Timeouts
		c["sip_dropped"] += w.Lost
		c["sip_malformed_answered"] += w.Malformed
		c["sip_malformed_dropped"] += w.Unusable
		c["sip_unknown_responses"] += w.Stray
	}
	return c
}
