package siptx

import (
	"math/bits"
	"time"
)

const (
	// tick is the wheel's step: retransmissions are late by at most this.
	tick = 100 * time.Millisecond
	// wheelSlots is the number of steps of one turn; later timers stay for further turns.
	wheelSlots = 1024
	// coarse timers are rounded up to whole seconds, so that the many timers of 32 s end in batches.
	coarse      = 30 * time.Second
	coarseTicks = int64(time.Second / tick)
)

// Timer is one running or ended timer of a worker. The zero Timer is one that is not running; it may be
// embedded and started with [Worker.Start]. It belongs to the worker's goroutine.
type Timer struct {
	prev, next *Timer
	wheel      *wheel
	due        int64
	user       TimerUser
	id         int
}

// Stop ends the timer; nothing is called. Stopping a timer that does not run is nothing.
func (t *Timer) Stop() {
	if t.next == nil {
		return
	}
	t.unlink()
	t.wheel.count--
}

// Running says whether the timer will still call its user.
func (t *Timer) Running() bool { return t.next != nil }

func (t *Timer) unlink() {
	t.prev.next, t.next.prev = t.next, t.prev
	t.prev, t.next = nil, nil
}

func (t *Timer) linkBefore(mark *Timer) {
	t.prev, t.next = mark.prev, mark
	mark.prev.next, mark.prev = t, t
}

// wheel is a hashed timing wheel: a ring of lists, one per tick of a turn. It has no goroutine; its worker
// advances it.
type wheel struct {
	origin time.Time
	past   int64 // the last tick that was handled
	count  int   // running timers
	used   [wheelSlots / 64]uint64
	slots  [wheelSlots]Timer // list marks
	due    Timer             // list mark of the timers that are being fired
}

func newWheel(now time.Time) *wheel {
	w := &wheel{origin: now}
	for i := range w.slots {
		w.slots[i].next, w.slots[i].prev = &w.slots[i], &w.slots[i]
	}
	w.due.next, w.due.prev = &w.due, &w.due
	return w
}

// start runs t for d from now; a running t starts anew. It never ends early, and not before the next tick.
func (w *wheel) start(t *Timer, now time.Time, d time.Duration, user TimerUser, id int) {
	t.Stop()
	at := int64((now.Sub(w.origin) + d + tick - 1) / tick)
	if d >= coarse {
		at = (at + coarseTicks - 1) / coarseTicks * coarseTicks
	}
	t.wheel, t.user, t.id, t.due = w, user, id, max(at, w.past+1)
	slot := t.due % wheelSlots
	t.linkBefore(&w.slots[slot])
	w.used[slot/64] |= 1 << (slot % 64)
	w.count++
}

// advance takes the timers that ended at now or before and calls fire for each, in order of their ticks. fire
// may start and stop timers.
func (w *wheel) advance(now time.Time, fire func(*Timer)) {
	to := int64(now.Sub(w.origin) / tick)
	for at := max(w.past+1, to-wheelSlots+1); at <= to; at++ {
		w.collect(at%wheelSlots, to)
	}
	w.past = max(w.past, to)
	for t := w.due.next; t != &w.due; t = w.due.next {
		t.unlink()
		w.count--
		fire(t)
	}
}

// collect moves the slot's timers that are due at tick to onto the list of due ones.
func (w *wheel) collect(slot, to int64) {
	if w.used[slot/64]&(1<<(slot%64)) == 0 {
		return
	}
	mark := &w.slots[slot]
	for t := mark.next; t != mark; {
		next := t.next
		if t.due <= to {
			t.unlink()
			t.linkBefore(&w.due)
		}
		t = next
	}
	if mark.next == mark {
		w.used[slot/64] &^= 1 << (slot % 64)
	}
}

// wake is when advance should be called next: the time of the next tick that may have timers. ok is false
// when none runs.
func (w *wheel) wake() (at time.Time, ok bool) {
	if w.count == 0 {
		return time.Time{}, false
	}
	from := w.past + 1
	slot := from % wheelSlots
	for i := int64(0); i <= wheelSlots/64; i++ {
		word := (slot/64 + i) % (wheelSlots / 64)
		set := w.used[word]
		if i == 0 {
			set &= ^uint64(0) << (slot % 64)
		}
		if set == 0 {
			continue
		}
		found := word*64 + int64(bits.TrailingZeros64(set))
		ahead := (found - slot + wheelSlots) % wheelSlots
		return w.origin.Add(time.Duration(from+ahead) * tick), true
	}
	return time.Time{}, false
}
