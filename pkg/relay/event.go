package relay

import (
	"net/netip"
	"sync"
)

// maxEvents bounds the news that wait to be taken.
const maxEvents = 1 << 16

// EventKind tells events apart.
type EventKind uint8

// The kinds.
const (
	// EventLearned: voice was learned to come from Remote.
	EventLearned EventKind = iota + 1
	// EventSilent: nothing came for the endpoint's timeout; told again after each further timeout.
	EventSilent
	// EventReport: Report answers the command Tag.
	EventReport
	// EventBroken: the endpoint was closed because handling a packet of it failed.
	EventBroken
)

// Event is a piece of news about an endpoint.
type Event struct {
	Kind     EventKind
	Endpoint uint64
	Tag      uint64
	Remote   netip.AddrPort
	Report   Report
}

// events is where loops leave news. It is bounded: when nobody takes them, or too slowly, further news is
// counted and lost. All that matters is told again after the next Sync.
type events struct {
	ready chan struct{}

	mu struct {
		sync.Mutex
		list   []Event
		wanted bool
		lost   uint64
	}
}

func newEvents() *events { return &events{ready: make(chan struct{}, 1)} }

func (e *events) add(ev Event) {
	e.mu.Lock()
	switch {
	case !e.mu.wanted:
	case len(e.mu.list) >= maxEvents:
		e.mu.lost++
	default:
		e.mu.list = append(e.mu.list, ev)
	}
	e.mu.Unlock()
	select {
	case e.ready <- struct{}{}:
	default:
	}
}

func (e *events) want(yes bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.mu.wanted = yes
	e.mu.list, e.mu.lost = nil, 0
}

func (e *events) take(spare []Event) (list []Event, lost uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	list, lost = e.mu.list, e.mu.lost
	e.mu.list, e.mu.lost = spare[:0], 0
	return list, lost
}
