package siptx

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

type fired struct {
	at  *time.Time
	log *[]time.Time
}

func (f fired) OnTimer(int) { *f.log = append(*f.log, *f.at) }

// TestWheelFires checks any set of timers, some stopped, against what a list says: none early, none later than
// its step, none lost.
func TestWheelFires(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		origin := time.Unix(1_800_000_000, 0)
		now := origin
		w := newWheel(origin)
		type running struct {
			timer Timer
			due   time.Time
			late  time.Duration
			log   []time.Time
		}
		var all []*running
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			pass := []time.Duration{0, 1, 99 * time.Millisecond, time.Second, 7 * time.Minute}
			now = now.Add(rapid.SampledFrom(pass).Draw(t, "pass"))
			w.advance(now, func(timer *Timer) { timer.user.OnTimer(timer.id) })
			d := time.Duration(rapid.Int64Range(0, int64(5*time.Minute)).Draw(t, "d"))
			r := &running{due: now.Add(d), late: tick}
			if d >= coarse {
				r.late += time.Second
			}
			all = append(all, r)
			w.start(&r.timer, now, d, fired{&now, &r.log}, 0)
			if rapid.IntRange(0, 3).Draw(t, "stop") == 0 {
				r.timer.Stop()
				r.due = time.Time{}
			}
		}
		for {
			at, ok := w.wake()
			if !ok {
				break
			}
			now = slices.MaxFunc([]time.Time{now, at}, time.Time.Compare)
			w.advance(now, func(timer *Timer) { timer.user.OnTimer(timer.id) })
		}
		for i, r := range all {
			switch {
			case r.due.IsZero():
				if len(r.log) != 0 {
					t.Fatalf("stopped timer %d fired", i)
				}
			case len(r.log) != 1:
				t.Fatalf("timer %d fired %d times", i, len(r.log))
			case r.log[0].Before(r.due):
				t.Fatalf("timer %d fired %v early", i, r.due.Sub(r.log[0]))
			case r.log[0].After(r.due.Add(r.late)) && r.log[0].Sub(r.due) > 7*time.Minute+r.late:
				t.Fatalf("timer %d fired %v late", i, r.log[0].Sub(r.due))
			}
		}
		if w.count != 0 {
			t.Fatalf("%d timers left", w.count)
		}
	})
}

func TestWheelWakesInTime(t *testing.T) {
	t.Parallel()
	origin := time.Unix(1_800_000_000, 0)
	for _, d := range []time.Duration{
		0, time.Nanosecond, 99 * time.Millisecond, 100 * time.Millisecond, 101 * time.Millisecond,
		29 * time.Second, 30 * time.Second, 102 * time.Second, 103 * time.Second, time.Hour,
	} {
		w := newWheel(origin)
		now := origin
		var log []time.Time
		var timer Timer
		w.start(&timer, now, d, fired{&now, &log}, 0)
		for len(log) == 0 {
			at, ok := w.wake()
			if !ok || !at.After(now) {
				t.Fatalf("%v: wake at %v, %t, now %v", d, at.Sub(origin), ok, now.Sub(origin))
			}
			now = at
			w.advance(now, func(timer *Timer) { timer.user.OnTimer(timer.id) })
		}
		late := tick
		if d >= coarse {
			late = time.Second
		}
		if got := log[0].Sub(origin); got < d || got > max(d, tick)+late {
			t.Errorf("timer of %v fired after %v", d, got)
		}
	}
}

// A timer that stops its neighbours, or starts itself anew, while the slot is being emptied.
func TestWheelChangedWhileFiring(t *testing.T) {
	t.Parallel()
	origin := time.Unix(1_800_000_000, 0)
	w := newWheel(origin)
	var timers [3]Timer
	var order []int
	for i := range timers {
		w.start(&timers[i], origin, time.Second, nil, i)
	}
	w.advance(origin.Add(time.Second), func(t *Timer) {
		order = append(order, t.id)
		timers[1].Stop()
		w.start(&timers[0], origin.Add(time.Second), 0, nil, 9)
	})
	if !slices.Equal(order, []int{0, 2}) || w.count != 1 {
		t.Errorf("fired %v, %d left", order, w.count)
	}
	w.advance(origin.Add(1100*time.Millisecond), func(t *Timer) { order = append(order, t.id) })
	if !slices.Equal(order, []int{0, 2, 9}) {
		t.Errorf("fired %v", order)
	}
}
