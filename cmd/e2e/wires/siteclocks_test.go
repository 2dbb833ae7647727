package wires

import (
	"testing"
	"time"

	"github.com/mss-federation/mss/cmd/internal/rig/netns"
	"github.com/mss-federation/mss/cmd/internal/rig/node"
	"github.com/mss-federation/mss/cmd/internal/rig/phone"
)

// siteRoutes are the clocks of a site's session and trunk at its hubs. Hong Kong has one hub alone, Tokyo two.
func siteRoutes(t *testing.T, l *ledger) func(*testing.T, netns.End) {
	t.Helper()
	w := newTown(t, "a", "b")
	a, b := w.hubs[0], w.hubs[1]
	london := w.addOffice(t, "london", "4", a)
	s := &siteRig{
		town: w, ledger: l, a: a, b: b, london: london,
		hongkong: w.addOffice(t, "hongkong", "1", a), tokyo: w.addOffice(t, "tokyo", "2", a, b),
		caller: london.phone(t, phone.Options{Name: "4001"}), second: london.phone(t, phone.Options{Name: "4002"}),
	}
	s.hongkong.phone(t, phone.Options{Name: "1001", AutoAnswer: true})
	s.tokyo.phone(t, phone.Options{Name: "2001", AutoAnswer: true})
	w.settle(t)
	s.atB = watch(t, b)
	return func(t *testing.T, how netns.End) {
		t.Helper()
		s.backInTime(t, how)
		s.toldToOthers(t, how)
		s.silentSIP(t, how)
		s.restartOfSignal(t)
		s.killed(t)
		s.cut(t)
	}
}

type siteRig struct {
	*town
	*ledger

	a, b                    *townHub
	london, hongkong, tokyo *townOffice
	caller, second          *phone.Phone
	atB                     *node.Watch
}

// A session that is back within two seconds: calls go on over the trunk, and nobody else hears of it.
func (s *siteRig) backInTime(t *testing.T, how netns.End) {
	t.Helper()
	both := []*townOffice{s.hongkong, s.tokyo}
	for _, o := range both {
		steady(t, s.a, "site/"+o.Site())
	}
	before := told(t, s.a, "site/london")
	began := time.Now()
	for _, o := range both {
		s.a.relay.Break(o.Addr(), how, true)
	}
	s.note(t, "site: session ends, SIP answers: route stale", atOnce, knows(t, s.a, began, "1xxx", stale("site/hongkong")))
	s.note(t, "site: session ends, SIP answers: new call goes there", atOnce, rings(t, s.caller, "1001"))
	pass(t, began.Add(breakFor))
	for _, o := range both {
		s.a.relay.Admit(o.Addr())
	}
	for _, o := range both {
		s.note(t, "site: session is back", clock{most: published - slack}, back(t, s.a, "site/"+o.Site(), began))
	}
	pass(t, began.Add(quietFor))
	s.nobodyHeard(t, began, before)
	s.settle(t)
}

func (s *siteRig) nobodyHeard(t *testing.T, since time.Time, before uint64) {
	t.Helper()
	for _, c := range s.atB.Since(since) {
		t.Errorf("hub b heard of %s: %v", c.Prefix, c.Paths)
	}
	if now := told(t, s.a, "site/london"); now != before {
		t.Errorf("London was told %d changes", now-before)
	}
}

// A session that stays away: others learn that the route is stale, calls go on, and where there is another way the
// stale one comes behind it.
func (s *siteRig) toldToOthers(t *testing.T, how netns.End) {
	t.Helper()
	before := told(t, s.a, "site/london")
	began := time.Now()
	for _, o := range []*townOffice{s.hongkong, s.tokyo} {
		s.a.relay.Break(o.Addr(), how, true)
	}
	s.note(t, "site: session ends, SIP answers: route behind others", atOnce, knows(t, s.a, began, "2xxx", behind("site/tokyo", "hub/b")))
	s.note(t, "site: session ends: others learn of the other way", clock{published - early, published}, hears(t, s.a, began, "site/london", before))
	s.note(t, "site: session ends, SIP answers: new call goes there", atOnce, rings(t, s.caller, "1001"))
	for _, o := range []*townOffice{s.hongkong, s.tokyo} {
		s.a.relay.Admit(o.Addr())
	}
	s.settle(t)
}

// A session that ends while the trunk falls silent: calls take the next path or fail soon, the next hop is withdrawn.
func (s *siteRig) silentSIP(t *testing.T, how netns.End) {
	t.Helper()
	began := time.Now()
	var restore []func()
	for _, o := range []*townOffice{s.hongkong, s.tokyo} {
		restore = append(restore, muteTrunk(t, s.a, o.wire, o.space))
		s.a.relay.Break(o.Addr(), how, true)
	}
	nowhere := calling(t, s.second, "1001")
	s.note(t, "site: session ends, SIP silent: new call takes the next path", clock{most: answered}, rings(t, s.caller, "2001"))
	s.note(t, "site: session ends, SIP silent: caller is answered", clock{most: answered}, failed(t, <-nowhere))
	s.note(t, "site: session ends, SIP silent: next hop withdrawn", clock{published - early, published}, until(t, s.atB, began, "1xxx", withdrawn("hub/a")))
	for _, f := range restore {
		f()
	}
	for _, o := range []*townOffice{s.hongkong, s.tokyo} {
		s.a.relay.Admit(o.Addr())
	}
	s.settle(t)
}

// The signalling of an office dies and is back: nobody else hears of it. (That its going is heard shows the next.)
func (s *siteRig) restartOfSignal(t *testing.T) {
	t.Helper()
	before := told(t, s.a, "site/london")
	old := s.hongkong.PID(node.Signal)
	began, err := s.hongkong.KillSignal()
	must(t, err)
	_, err = s.hongkong.WaitRestarted(within(t, settleFor), node.Signal, old)
	must(t, err)
	s.wait(within(t, settleFor), t, s.a, "site/hongkong")
	s.note(t, "site: lmss signal dies: session and trunk are back", clock{most: published}, time.Since(began))
	pass(t, began.Add(quietFor))
	s.nobodyHeard(t, began, before)
	s.settle(t)
}

// An office dies: its connections end, and it comes to be withdrawn.
func (s *siteRig) killed(t *testing.T) {
	t.Helper()
	before := told(t, s.a, "site/london")
	began, err := s.hongkong.KillAll()
	must(t, err)
	s.note(t, "site: killed: caller is answered", clock{most: answered}, fails(t, s.caller, "1001"))
	s.note(t, "site: killed: next hop withdrawn", clock{published - early, published}, until(t, s.atB, began, "1xxx", withdrawn("hub/a")))
	s.note(t, "site: killed: other sites learn of it", clock{published - early, published}, hears(t, s.a, began, "site/london", before))
	must(t, s.hongkong.Run(within(t, settleFor)))
	s.settle(t)
}

// The wire between an office and one of its hubs is cut.
func (s *siteRig) cut(t *testing.T) {
	t.Helper()
	began := time.Now()
	both := []*townOffice{s.hongkong, s.tokyo}
	for _, o := range both {
		must(t, netns.Separate(s.a.wire, o.wire))
	}
	s.note(t, "site: wire cut: new call takes the next path", clock{unanswered - early, unanswered}, rings(t, s.caller, "2001"))
	p, err := s.a.Peer(within(t, settleFor), "site/tokyo")
	must(t, err)
	if p.GetBreaker() != "open" {
		t.Errorf("the breaker before Tokyo's trunk is %q after the first call", p.GetBreaker())
	}
	s.note(t, "site: wire cut: second call takes the next path", atOnce, rings(t, s.caller, "2001"))
	heldTo := clock{siteHold - siteKeepalive - early, siteHold}
	s.note(t, "site: wire cut: session's hold", heldTo, knows(t, s.a, began, "1xxx", stale("site/hongkong")))
	heldTo = clock{heldTo.least + published - early, heldTo.most + published}
	s.note(t, "site: wire cut: next hop withdrawn", heldTo, until(t, s.atB, began, "1xxx", withdrawn("hub/a")))
	for _, o := range both {
		must(t, netns.Rejoin(s.a.wire, o.wire))
	}
	s.settle(t)
}
