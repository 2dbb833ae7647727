package wires

import (
	"slices"
	"testing"
	"time"

	"github.com/mss-federation/mss/cmd/internal/rig/netns"
	"github.com/mss-federation/mss/cmd/internal/rig/node"
	"github.com/mss-federation/mss/cmd/internal/rig/phone"
)

// hubRig is hub a between London and two hubs that have Hong Kong. Tokyo is at one of them alone, via: the one that a
// prefers.
type hubRig struct {
	uplinkRig

	a, other       *townHub
	london         *townOffice
	second         *phone.Phone
	atA, elsewhere *node.Watch
}

// hubClocks are the clocks of a hub's session and trunk to another.
func hubClocks(t *testing.T, l *ledger) func(*testing.T, netns.End) {
	t.Helper()
	w := newTown(t, "a", "b", "c")
	a := w.hubs[0]
	london := w.addOffice(t, "london", "4", a)
	hongkong := w.addOffice(t, "hongkong", "1", w.hubs[1], w.hubs[2])
	w.settle(t)
	via := w.best(t, a, hongkong)
	h := &hubRig{a: a, other: w.hubs[3-slices.Index(w.hubs, via)], london: london}
	tokyo := w.addOffice(t, "tokyo", "2", via)
	h.uplinkRig = uplinkRig{
		town: w, ledger: l, who: "hub", hub: via, from: a, wire: a.wire, called: "1001",
		caller: london.phone(t, phone.Options{Name: "4001"}),
	}
	h.second = london.phone(t, phone.Options{Name: "4002"})
	hongkong.phone(t, phone.Options{Name: "1001", AutoAnswer: true})
	tokyo.phone(t, phone.Options{Name: "2001", AutoAnswer: true})
	w.settle(t)
	h.atA, h.elsewhere = watch(t, a), watch(t, h.other)
	h.listen(t)
	return func(t *testing.T, how netns.End) {
		t.Helper()
		h.backInTime(t, how)
		h.toldToOthers(t, how)
		h.silentSIP(t, how)
		h.cut(t)
		h.pings(t)
		h.killed(t)
		h.hangs(t)
	}
}

func (h *hubRig) via() string { return "hub/" + h.hub.Name() }

// breakSession ends the session between a and its next hop, from both sides, and lets none begin.
func (h *hubRig) breakSession(how netns.End) { h.hub.relay.Break(h.a.wire.Addr(), how, true) }

func (h *hubRig) admitSession() { h.hub.relay.Admit(h.a.wire.Addr()) }

// A session that is back within two seconds: calls go on over the trunk, and nobody else hears of it.
func (h *hubRig) backInTime(t *testing.T, how netns.End) {
	t.Helper()
	steady(t, h.a, h.via())
	before := told(t, h.a, "site/london")
	began := time.Now()
	h.breakSession(how)
	h.note(t, "hub: session ends, SIP answers: route stale and behind others", atOnce, knows(t, h.a, began, "1xxx", behind(h.via(), "hub/"+h.other.Name())))
	h.note(t, "hub: session ends, SIP answers: new call goes there", atOnce, rings(t, h.caller, "2001"))
	pass(t, began.Add(breakFor))
	h.admitSession()
	h.note(t, "hub: session is back", clock{most: published - slack}, back(t, h.a, h.via(), began))
	pass(t, began.Add(quietFor))
	for _, c := range h.elsewhere.Since(began) {
		t.Errorf("hub %s heard of %s: %v", h.other.Name(), c.Prefix, c.Paths)
	}
	if now := told(t, h.a, "site/london"); now != before {
		t.Errorf("London was told %d changes", now-before)
	}
	h.settle(t)
}

// A session that stays away: others learn of it.
func (h *hubRig) toldToOthers(t *testing.T, how netns.End) {
	t.Helper()
	before := told(t, h.a, "site/london")
	began := time.Now()
	h.breakSession(how)
	h.note(t, "hub: session ends: others learn of the other way", clock{published - early, published}, hears(t, h.a, began, "site/london", before))
	h.note(t, "hub: session ends, SIP answers: new call goes there", atOnce, rings(t, h.caller, "2001"))
	h.admitSession()
	h.settle(t)
}

// A session that ends while the trunk falls silent: calls take the next path, the next hop is withdrawn.
func (h *hubRig) silentSIP(t *testing.T, how netns.End) {
	t.Helper()
	began := time.Now()
	restore := muteTrunk(t, h.hub, h.a.wire, h.a.space)
	h.breakSession(how)
	direct := calling(t, h.second, "2001") // the other hub may know a way by now, or not
	h.note(t, "hub: session ends, SIP silent: new call takes the next path", clock{most: answered}, rings(t, h.caller, "1001"))
	o := <-direct
	must(t, o.err)
	h.note(t, "hub: session ends, SIP silent: caller is answered", clock{most: answered}, o.took)
	h.note(t, "hub: session ends, SIP silent: next hop withdrawn", clock{published - early, published}, until(t, h.atA, began, "2xxx", hopDown(h.via())))
	restore()
	h.admitSession()
	h.settle(t)
}

// The wire between two hubs is cut.
func (h *hubRig) cut(t *testing.T) {
	t.Helper()
	must(t, netns.Separate(h.a.wire, h.hub.wire))
	began := time.Now()
	h.note(t, "hub: wire cut: new call takes the next path", clock{unanswered - early, unanswered}, rings(t, h.caller, "1001"))
	p, err := h.a.Peer(within(t, settleFor), h.via())
	must(t, err)
	if p.GetBreaker() != "open" {
		t.Errorf("the breaker before %s is %q after the first call", h.via(), p.GetBreaker())
	}
	h.note(t, "hub: wire cut: second call takes the next path", atOnce, rings(t, h.caller, "1001"))
	heldTo := clock{hubHold - hubKeepalive - early, hubHold}
	h.note(t, "hub: wire cut: session's hold", heldTo, knows(t, h.a, began, "2xxx", stale(h.via())))
	heldTo = clock{heldTo.least + published - early, heldTo.most + published}
	h.note(t, "hub: wire cut: next hop withdrawn", heldTo, until(t, h.atA, began, "2xxx", hopDown(h.via())))
	must(t, netns.Rejoin(h.a.wire, h.hub.wire))
	h.settle(t)
}
