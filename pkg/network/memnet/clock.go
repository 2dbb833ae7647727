package memnet

import (
	"container/heap"
	"time"
)

// event is something that happens under the Net's mutex at a time; equal times go by seq.
type event struct {
	due time.Time
	seq uint64
	run func()
}

type events []event

func (e *events) Len() int { return len(*e) }

func (e *events) Less(i, j int) bool {
	a, b := &(*e)[i], &(*e)[j]
	if !a.due.Equal(b.due) {
		return a.due.Before(b.due)
	}
	return a.seq < b.seq
}

func (e *events) Swap(i, j int) { (*e)[i], (*e)[j] = (*e)[j], (*e)[i] }

func (e *events) Push(x any) {
	if ev, ok := x.(event); ok {
		*e = append(*e, ev)
	}
}

func (e *events) Pop() any {
	old := *e
	last := old[len(old)-1]
	old[len(old)-1] = event{}
	*e = old[:len(old)-1]
	return last
}

// atLocked runs fn at due, at once if that is not in the future. Timers that fire together run in no
// order, so that each only says "look": the heap has the order.
func (n *Net) atLocked(due time.Time, fn func()) {
	n.seq++
	heap.Push(&n.events, event{due: due, seq: n.seq, run: fn})
	if wait := time.Until(due); wait > 0 {
		time.AfterFunc(wait, n.pump)
		return
	}
	n.pumpLocked()
}

func (n *Net) pump() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.pumpLocked()
}

func (n *Net) pumpLocked() {
	if n.pumping {
		return // an event scheduled another one: the loop below finds it
	}
	n.pumping = true
	defer func() { n.pumping = false }()
	for len(n.events) > 0 && !n.events[0].due.After(time.Now()) {
		if ev, ok := heap.Pop(&n.events).(event); ok {
			ev.run()
		}
	}
}
