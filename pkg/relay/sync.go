package relay

import (
	"net/netip"
	"time"
)

// flushEvery lets the first calls speak again before the last ones are open.
const flushEvery = 64

// Desired is an endpoint that shall exist.
type Desired struct {
	Spec
	// Peer is the endpoint to be joined with; 0 means none.
	Peer uint64
}

// Synced is what became of one desired endpoint.
type Synced struct {
	Endpoint uint64
	Port     int
	Err      error
}

// SyncResult sums a Sync up.
type SyncResult struct {
	Endpoints            []Synced
	Kept, Opened, Closed int
}

// Sync makes the engine's endpoints match the whole set of desired ones. What matches is kept with all that
// it has learned, which is told again as events; what is missing is opened on its port; the rest is closed.
func (e *Engine) Sync(want []Desired) SyncResult {
	r := SyncResult{Endpoints: make([]Synced, 0, len(want))}
	r.Closed = e.closeOthers(want)
	for i := range want {
		port, kept, err := e.keepOrOpen(&want[i].Spec)
		r.Endpoints = append(r.Endpoints, Synced{Endpoint: want[i].ID, Port: port, Err: err})
		switch {
		case kept:
			r.Kept++
		case err == nil:
			r.Opened++
		}
		_ = e.Join(want[i].ID, want[i].Peer) // fails for the first of two, and beside one that was not opened
		if i%flushEvery == flushEvery-1 {
			e.Flush()
		}
	}
	for _, l := range e.loops {
		l.post(func(time.Time) { l.announce() })
	}
	e.Flush()
	return r
}

func (e *Engine) closeOthers(want []Desired) int {
	wanted := make(map[uint64]struct{}, len(want))
	for i := range want {
		wanted[want[i].ID] = struct{}{}
	}
	var others []uint64
	e.mu.Lock()
	for id := range e.mu.endpoints {
		if _, yes := wanted[id]; !yes {
			others = append(others, id)
		}
	}
	e.mu.Unlock()
	for _, id := range others {
		e.Close(id, 0)
	}
	return len(others)
}

func (e *Engine) keepOrOpen(s *Spec) (port int, kept bool, err error) {
	e.mu.Lock()
	p := e.mu.endpoints[s.ID]
	e.mu.Unlock()
	if p == nil {
		port, err = e.Open(*s)
		return port, false, err
	}
	if s.Port != 0 && p.local != netip.AddrPortFrom(s.Local.Unmap(), uint16(s.Port)) {
		e.Close(s.ID, 0)
		port, err = e.Open(*s)
		return port, false, err
	}
	id, timeout := s.ID, s.Timeout
	p.loop.post(func(time.Time) {
		if ep := p.loop.byID[id]; ep != nil {
			ep.timeout = timeout
		}
	})
	if s.Aim.set() {
		err = e.Aim(s.ID, s.Aim)
	}
	return int(p.local.Port()), true, err
}
