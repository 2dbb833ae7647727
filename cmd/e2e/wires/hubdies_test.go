package wires

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mss-federation/mss/cmd/internal/rig/phone"
)

const (
	// stopsWithin is how soon a phone stops ringing for a caller who has hung up while a hub dies.
	stopsWithin = 6 * time.Second
	// moves is how soon what a dead hub had in hand has gone through another one.
	moves = 8 * time.Second
	// ringsOn is longer than any node takes to close connections to a hub that is silent, and to give up a call that no
	// hub carries.
	ringsOn = 8 * time.Second
)

// TestHubDies lets a hub die, hang, or lose its wire, with calls over it that are up, ring and begin. They pass two hubs,
// and each of these dies. What is up goes on; what rings, rings on, once, and is answered, or stops when its caller hangs
// up; what begins, comes up.
func TestHubDies(t *testing.T) {
	t.Parallel()
	l := &ledger{}
	t.Run("hubs", func(t *testing.T) {
		for _, which := range []string{"the first hub", "the second hub"} {
			t.Run(which, func(t *testing.T) {
				d := newDying(t, l, which)
				t.Parallel()
				for range rounds() {
					for _, how := range []string{"killed", "stopped", "cut"} {
						t.Run(how, func(t *testing.T) { d.inCalls(t, how) })
					}
				}
			})
		}
	})
	t.Log(l.table())
}

// dying is a town in which calls from London to Hong Kong pass two hubs. Each office has another one.
type dying struct {
	*town
	*ledger

	which             string
	victim            *townHub
	callers, callees  []*phone.Phone
	callerTone, tones float64
}

func newDying(t *testing.T, l *ledger, which string) *dying {
	t.Helper()
	w := newTown(t, "a", "b", "c")
	a, b, c := w.hubs[0], w.hubs[1], w.hubs[2]
	london := w.addOffice(t, "london", "4", b, c)
	hongkong := w.addOffice(t, "hongkong", "1", a, c)
	d := &dying{town: w, ledger: l, which: which, callerTone: 440, tones: 770}
	for n := range 5 {
		d.callers = append(d.callers, london.phone(t, phone.Options{Name: fmt.Sprintf("400%d", n+1), Tone: d.callerTone}))
		d.callees = append(d.callees, hongkong.phone(t, phone.Options{Name: fmt.Sprintf("100%d", n+1), Tone: d.tones}))
	}
	w.settle(t)
	d.victim = b
	if which == "the second hub" {
		d.victim = w.best(t, b, hongkong)
	}
	return d
}

// die lets the hub die, and gives what brings it back.
func (d *dying) die(t *testing.T, how string) (restore func()) {
	t.Helper()
	switch how {
	case "killed":
		_, err := d.victim.Kill()
		must(t, err)
		return func() {
			ctx, cancel := context.WithTimeout(context.Background(), settleFor) // the test may be over
			defer cancel()
			if err := d.victim.Run(ctx); err != nil {
				t.Error(err)
			}
		}
	case "stopped":
		return freeze(t, d.victim)
	}
	must(t, d.victim.wire.Cut())
	return func() { must(t, d.victim.wire.Mend()) }
}

// one is a call, as both phones see it.
type one struct{ out, in *phone.Call }

// ring makes a call with the phones of a number.
func (d *dying) ring(t *testing.T, n int) one {
	t.Helper()
	ctx := within(t, settleFor)
	out, err := d.callers[n].Dial(ctx, d.callees[n].Name())
	must(t, err)
	return d.comes(t, n, out)
}

// comes waits until a call arrives and rings.
func (d *dying) comes(t *testing.T, n int, out *phone.Call) one {
	t.Helper()
	ctx := within(t, settleFor)
	in, err := d.callees[n].WaitIncoming(ctx)
	must(t, err)
	must(t, in.Ring())
	must(t, out.WaitRinging(ctx))
	return one{out, in}
}

// answer answers a call, and gives how soon its caller knew.
func (d *dying) answer(t *testing.T, c one) time.Duration {
	t.Helper()
	began := time.Now()
	must(t, c.in.Answer())
	must(t, c.out.WaitAnswered(within(t, settleFor)))
	return time.Since(began)
}

// talks waits until both hear each other.
func (d *dying) talks(t *testing.T, c one) {
	t.Helper()
	ctx := within(t, settleFor)
	must(t, c.out.Voice().WaitTone(ctx, d.tones))
	must(t, c.in.Voice().WaitTone(ctx, d.callerTone))
}

// explainFailure shows what the nodes traced of a call if the test fails.
func (d *dying) explainFailure(t *testing.T, c *phone.Call) {
	t.Helper()
	t.Cleanup(func() {
		if !t.Failed() {
			return
		}
		id := c.ID()
		for _, n := range append([]interface {
			Ctl(ctx context.Context, args ...string) (string, error)
		}{d.offices[0], d.offices[1]}, d.hubs[0], d.hubs[1], d.hubs[2]) {
			text, err := n.Ctl(context.Background(), "call", "trace", id)
			t.Logf("%s%v", text, err)
			if _, after, ok := strings.Cut(text, "Session-ID "); ok {
				id, _, _ = strings.Cut(after, "\n")
			}
		}
	})
}

func (d *dying) inCalls(t *testing.T, how string) {
	t.Helper()
	d.settle(t)
	passed := forwarded(t, d.victim)
	up := d.ring(t, 0)
	d.answer(t, up)
	if forwarded(t, d.victim) < passed+2 {
		t.Fatalf("the call takes another way than over hub %s", d.victim.Name())
	}
	d.talks(t, up)
	d.explainFailure(t, up.out)
	soon, late, dropped := d.ring(t, 1), d.ring(t, 2), d.ring(t, 3)
	starting, err := d.callers[4].Dial(within(t, settleFor), d.callees[4].Name())
	must(t, err)
	restore := sync.OnceFunc(d.die(t, how))
	t.Cleanup(restore)
	began := time.Now()
	note := func(what string, most, took time.Duration) {
		t.Helper()
		d.note(t, d.which+" "+how+": "+what, clock{most: most}, took)
	}

	d.hangsUp(t, dropped)
	must(t, soon.in.Answer())
	d.goesOn(t, up, note)
	begun := d.comes(t, 4, starting)
	note("call that begins rings", moves, time.Since(began))
	d.answer(t, begun)
	d.stopped(t, dropped)
	note("call whose caller hangs up stops ringing", stopsWithin-slack, dropped.in.Times().Ended.Sub(began))
	must(t, soon.out.WaitAnswered(within(t, settleFor)))
	note("call that is answered comes up", moves, soon.out.Times().Answered.Sub(began))
	d.talks(t, soon)

	pass(t, began.Add(ringsOn))
	d.stillRings(t, late)
	note("call that rang on is answered", 0, d.answer(t, late))
	d.talks(t, late)
	d.end(t, up, begun, soon, late)
	note("next call rings", 0, d.next(t))
	d.once(t)
	restore()
	d.settle(t)
}

// hangsUp lets a caller give up.
func (d *dying) hangsUp(t *testing.T, c one) {
	t.Helper()
	must(t, c.out.Cancel(within(t, settleFor)))
}

// stopped waits until both phones of a call that was given up know.
func (d *dying) stopped(t *testing.T, c one) {
	t.Helper()
	must(t, c.in.WaitEnded(within(t, settleFor)))
	must(t, c.out.WaitEnded(within(t, settleFor)))
	if status, reason := c.out.Status(); status != 487 {
		t.Errorf("the caller who hung up was told %d %s", status, reason)
	}
}

// goesOn holds and resumes a call that is up.
func (d *dying) goesOn(t *testing.T, c one, note func(what string, most, took time.Duration)) {
	t.Helper()
	ctx, asked := within(t, settleFor), time.Now()
	must(t, c.out.Hold(ctx))
	note("call that is up is held", moves, time.Since(asked))
	must(t, c.out.Resume(ctx))
	d.talks(t, c)
}

func (d *dying) stillRings(t *testing.T, c one) {
	t.Helper()
	for _, side := range []*phone.Call{c.out, c.in} {
		select {
		case <-side.Ended():
			status, reason := side.Status()
			t.Fatalf("the call that rings ended: %d %s", status, reason)
		default:
		}
	}
}

// end ends calls from either side in turn.
func (d *dying) end(t *testing.T, all ...one) {
	t.Helper()
	ctx := within(t, settleFor)
	for i, c := range all {
		first, other := c.out, c.in
		if i%2 == 1 {
			first, other = c.in, c.out
		}
		must(t, first.Hangup(ctx))
		must(t, other.WaitEnded(ctx))
	}
}

// next is a call after all that.
func (d *dying) next(t *testing.T) time.Duration {
	t.Helper()
	began := time.Now()
	c := d.ring(t, 0)
	took := time.Since(began)
	d.answer(t, c)
	must(t, c.out.Hangup(within(t, settleFor)))
	must(t, c.in.WaitEnded(within(t, settleFor)))
	return took
}

// once wants no phone to have been called again for a call that it had.
func (d *dying) once(t *testing.T) {
	t.Helper()
	for _, p := range d.callees {
		select {
		case c := <-p.Incoming():
			t.Errorf("phone %s was called a second time: %s", p.Name(), c.ID())
		default:
		}
	}
}

// forwarded is how many requests a hub has passed on.
func forwarded(t *testing.T, h *townHub) int {
	t.Helper()
	text, err := h.Ctl(within(t, settleFor), "status", "-o", "json")
	must(t, err)
	var status struct {
		Counters []struct {
			Name  string
			Value int
		}
	}
	must(t, json.Unmarshal([]byte(text), &status))
	for _, c := range status.Counters {
		if c.Name == "requests_forwarded" {
			return c.Value
		}
	}
	return 0
}
