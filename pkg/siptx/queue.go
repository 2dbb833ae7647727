package siptx

import (
	"sync"
	"time"

	"github.com/mss-federation/mss/pkg/siptransport"
)

// route says how often a message was handed from worker to worker, so that it cannot circle.
type route uint8

const (
	routeBranch  route = 1 << iota // to the worker that its branch names
	routeAdopted                   // to the worker that adopted its Call-ID
)

// entry is one thing for a worker to do: a message, or a function.
type entry struct {
	in    *siptransport.Inbound
	route route
	at    time.Duration // since the queue was made
	fn    func()
}

// queue is a worker's inbox: one order for messages and functions, bounded for each. Anybody puts, the
// worker alone takes.
type queue struct {
	origin time.Time
	wake   chan struct{} // holds one token while there may be something to take
	mu     struct {
		sync.Mutex
		ring     []entry
		first    int
		length   int
		messages int
		posts    int
		closed   bool
	}
}

func newQueue() *queue {
	q := &queue{origin: time.Now(), wake: make(chan struct{}, 1)}
	q.mu.ring = make([]entry, 64)
	return q
}

// offer puts a message unless limit messages wait already, more than a batch of them waits and the oldest
// entry does for longer than age, or the queue is closed.
func (q *queue) offer(e entry, limit int, age time.Duration) bool {
	e.at = time.Since(q.origin)
	q.mu.Lock()
	ok := !q.mu.closed && q.mu.messages < limit
	if ok && q.mu.messages > batch && e.at-q.mu.ring[q.mu.first].at > age {
		ok = false
	}
	if ok {
		q.mu.messages++
		q.putLocked(e)
	}
	q.mu.Unlock()
	if ok {
		q.signal()
	}
	return ok
}

// post puts a function unless limit of them wait already or the queue is closed.
func (q *queue) post(fn func(), limit int) error {
	q.mu.Lock()
	var err error
	switch {
	case q.mu.closed:
		err = ErrStopped
	case q.mu.posts >= limit:
		err = ErrBusy
	default:
		q.mu.posts++
		q.putLocked(entry{fn: fn, at: time.Since(q.origin)})
	}
	q.mu.Unlock()
	if err == nil {
		q.signal()
	}
	return err
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (q *queue) putLocked(e entry) {
	if q.mu.length == len(q.mu.ring) {
		grown := make([]entry, 2*len(q.mu.ring))
		n := copy(grown, q.mu.ring[q.mu.first:])
		copy(grown[n:], q.mu.ring[:q.mu.first])
		q.mu.ring, q.mu.first = grown, 0
	}
	q.mu.ring[(q.mu.first+q.mu.length)%len(q.mu.ring)] = e
	q.mu.length++
}

// take moves up to cap(dst) entries into dst, oldest first.
func (q *queue) take(dst []entry) []entry {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.mu.length > 0 && len(dst) < cap(dst) {
		e := q.mu.ring[q.mu.first]
		q.mu.ring[q.mu.first] = entry{}
		q.mu.first = (q.mu.first + 1) % len(q.mu.ring)
		q.mu.length--
		if e.in != nil {
			q.mu.messages--
		} else {
			q.mu.posts--
		}
		dst = append(dst, e)
	}
	return dst
}

// close refuses what comes from now on; what waits can still be taken.
func (q *queue) close() {
	q.mu.Lock()
	q.mu.closed = true
	q.mu.Unlock()
}

// waiting is the number of messages that wait.
func (q *queue) waiting() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.mu.messages
}
