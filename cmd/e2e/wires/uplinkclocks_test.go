package wires

import (
	"context"
	"testing"
	"time"

	"github.com/mss-federation/mss/cmd/internal/rig/netns"
	"github.com/mss-federation/mss/cmd/internal/rig/phone"
	commonv1 "github.com/mss-federation/mss/proto/mss/common/v1"
)

// uplinkRig is what dials a hub: a site or another hub, and a caller whose next hop that hub is.
type uplinkRig struct {
	*town
	*ledger

	who  string // in the ledger
	hub  *townHub
	from interface {
		PeerUntil(ctx context.Context, name string, fits func(*commonv1.Peer) bool) (time.Time, error)
	}
	wire     *netns.Wire // of from
	caller   *phone.Phone
	called   string
	arrivals *netns.Arrivals // at the hub
}

// siteUplink are the clocks of a site's trunk to its first hub.
func siteUplink(t *testing.T, l *ledger) func(*testing.T, netns.End) {
	t.Helper()
	w := newTown(t, "a", "b")
	a, b := w.hubs[0], w.hubs[1]
	london := w.addOffice(t, "london", "4", b, a)
	hongkong := w.addOffice(t, "hongkong", "1", a)
	u := &uplinkRig{
		town: w, ledger: l, who: "site", hub: b, from: london, wire: london.wire,
		caller: london.phone(t, phone.Options{Name: "4001"}), called: "1001",
	}
	hongkong.phone(t, phone.Options{Name: "1001", AutoAnswer: true})
	w.settle(t)
	u.listen(t)
	return func(t *testing.T, _ netns.End) {
		t.Helper()
		u.pings(t)
		u.killed(t)
		u.hangs(t)
		u.cutOff(t)
	}
}

func (u *uplinkRig) listen(t *testing.T) {
	t.Helper()
	var err error
	u.arrivals, err = u.hub.space.Arrivals()
	must(t, err)
	t.Cleanup(func() {
		if err := u.arrivals.Close(); err != nil {
			t.Error(err)
		}
	})
}

// onTrunk says whether a segment is of the trunk.
func (u *uplinkRig) onTrunk(s netns.Segment) bool {
	return s.From.Addr() == u.wire.Addr() && s.To == u.hub.TLS()
}

// The trunk is asked each second whether it is alive. After this it has stood for long enough to be dialled again at once.
func (u *uplinkRig) pings(t *testing.T) {
	t.Helper()
	const seconds = 6
	began := time.Now()
	pass(t, began.Add(seconds*ping))
	asked := u.arrivals.Since(began, func(s netns.Segment) bool { return u.onTrunk(s) && s.Bytes > 0 })
	if len(asked) < seconds-1 || len(asked) > seconds+1 {
		t.Errorf("%d pings in %d s", len(asked), seconds)
	}
	for i := 1; i < len(asked); i++ {
		u.note(t, u.who+": trunk is asked again", clock{ping - early, ping}, asked[i].At.Sub(asked[i-1].At))
	}
}

func (u *uplinkRig) trunk(t *testing.T, since time.Time, state string) time.Duration {
	t.Helper()
	at, err := u.from.PeerUntil(within(t, settleFor), "hub/"+u.hub.Name(), func(p *commonv1.Peer) bool { return p.GetTrunk() == state })
	must(t, err)
	return at.Sub(since)
}

// The hub hangs: its connections stand, and it says nothing.
func (u *uplinkRig) hangs(t *testing.T) {
	t.Helper()
	thaw := freeze(t, u.hub)
	u.silent(t, time.Now(), "hub hangs")
	thaw()
	u.settle(t)
}

// The wire to the hub is cut.
func (u *uplinkRig) cutOff(t *testing.T) {
	t.Helper()
	must(t, netns.Separate(u.wire, u.hub.wire))
	began := time.Now()
	u.note(t, u.who+": wire cut: new call takes the next hub", clock{most: unanswered}, rings(t, u.caller, u.called))
	u.silent(t, began, "wire cut")
	must(t, netns.Rejoin(u.wire, u.hub.wire))
	u.settle(t)
}

func (u *uplinkRig) silent(t *testing.T, began time.Time, what string) {
	t.Helper()
	u.note(t, u.who+": "+what+": trunk suspect", clock{suspectAfter - ping - early, suspectAfter}, u.trunk(t, began, "suspect"))
	u.note(t, u.who+": "+what+": suspect is used last", atOnce, rings(t, u.caller, u.called))
	u.note(t, u.who+": "+what+": trunk closed", clock{closedAfter - ping - early, closedAfter}, u.trunk(t, began, "down"))
}

// redials are when a lost trunk is dialled again, and then at random.
var redials = []time.Duration{0, 200 * time.Millisecond, 500 * time.Millisecond, time.Second}

// The hub is killed.
func (u *uplinkRig) killed(t *testing.T) {
	t.Helper()
	began, err := u.hub.Kill()
	must(t, err)
	u.note(t, u.who+": hub killed: new call takes the other", atOnce, rings(t, u.caller, u.called))
	const attempts = 7
	dialled := func(s netns.Segment) bool { return u.onTrunk(s) && s.Begins }
	for until := began.Add(10 * time.Second); len(u.arrivals.Since(began, dialled)) < attempts && time.Now().Before(until); {
		pass(t, time.Now().Add(10*time.Millisecond))
	}
	seen := u.arrivals.Since(began, dialled)
	if len(seen) < attempts {
		t.Errorf("the trunk was dialled %d times in 10 s: %v", len(seen), seen)
	}
	for i, s := range seen {
		switch {
		case i < len(redials):
			// Each wait begins when the attempt before has failed.
			u.note(t, u.who+": trunk lost: attempt at "+redials[i].String(), clock{redials[i], redials[i]}, s.At.Sub(began))
		default:
			u.note(t, u.who+": trunk lost: each attempt after that", clock{time.Second - early, 2 * time.Second}, s.At.Sub(seen[i-1].At))
		}
	}
	must(t, u.hub.Run(within(t, settleFor)))
	u.settle(t)
}
