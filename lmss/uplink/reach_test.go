package uplink_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/mss-federation/mss/lmss/uplink"
	"github.com/mss-federation/mss/pkg/federation"
)

// direct says what the site announced of its voice: one word for all its routes.
func (p *peer) direct() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	word := "nothing"
	for _, r := range p.mu.routes.Routes() {
		word = "no"
		if r.Attributes.Media.VoiceDirect {
			word = "yes"
		}
	}
	return word
}

// updates is how often routes were announced in this session.
func (p *peer) updates() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.told
}

// TestReach: whether voice reaches a site is what the operator says, or what follows from where the hubs see it. Every
// hub is told, also one whose own view says nothing.
func TestReach(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		reach     uplink.Reach
		addr      string // the site's
		a, b      string // where the hubs see it; empty: they do not say
		forwarded bool
		wantBoth  string
		says      string // the end of what an operator reads
	}{
		"no NAT":                     {addr: "10.1.0.2", a: "10.1.0.2", b: "10.1.0.2", wantBoth: "yes"},
		"hubs of an earlier version": {addr: "10.1.0.2", wantBoth: "yes"},
		"a NAT":                      {addr: "10.1.0.2", a: "198.51.100.7", b: "198.51.100.7", wantBoth: "no", says: "a NAT hides it from hub a, b"},
		"a NAT towards one hub":      {addr: "10.1.0.2", a: "198.51.100.7", b: "10.1.0.2", wantBoth: "no"},
		"a carrier's NAT":            {addr: "100.64.1.2", a: "198.51.100.7", wantBoth: "no"},
		"a forwarded range":          {addr: "10.1.0.2", a: "198.51.100.7", forwarded: true, wantBoth: "yes"},
		"inside a private network":   {addr: "10.1.0.2", a: "172.16.0.1", b: "172.16.0.1", wantBoth: "yes"},
		"a public address":           {addr: "192.0.2.100", a: "198.51.100.7", wantBoth: "yes"},
		"the operator says no":       {reach: uplink.ReachNo, addr: "10.1.0.2", a: "10.1.0.2", wantBoth: "no", says: "media.reachable says so"},
		"the operator says yes":      {reach: uplink.ReachYes, addr: "10.1.0.2", a: "198.51.100.7", wantBoth: "yes"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(d *domain) {
				d.addr = netip.MustParseAddr(c.addr)
				a, b := d.hub("a"), d.hub("b")
				sees := func(p *peer, at string) {
					p.mu.Lock()
					defer p.mu.Unlock()
					if at != "" {
						p.mu.sees = netip.AddrPortFrom(netip.MustParseAddr(at), 40000)
					}
				}
				sees(a, c.a)
				sees(b, c.b)
				home := uplink.HomeIn(d.t.TempDir())
				d.know(home, "a", "b")
				s := d.siteWith(uplink.Options{
					Home: home, Reach: c.reach, Prefer: []federation.HubID{"a", "b"},
					Forwarded: func(netip.Addr) bool { return c.forwarded },
				})
				defer s.stop()
				pass(2 * time.Second)
				want(d.t, "hub a and b are told", a.direct()+" "+b.direct(), c.wantBoth+" "+c.wantBoth)
				if s.VoiceReachable() != (c.wantBoth == "yes") {
					d.t.Errorf("calls see %v", s.VoiceReachable())
				}
				if !strings.HasSuffix(s.VoiceText(), c.says) {
					d.t.Errorf("an operator reads %q", s.VoiceText())
				}
			})
		})
	}
}

// TestReachIsKept: what hubs showed is known again at the next start, before the first session; a hub that the site
// is not attached to any more says nothing.
func TestReachIsKept(t *testing.T) {
	bubble(t, func(d *domain) {
		d.addr = netip.MustParseAddr("10.1.0.2")
		a := d.hub("a")
		d.hub("b")
		a.mu.sees = netip.MustParseAddrPort("198.51.100.7:40000")
		home := uplink.HomeIn(d.t.TempDir())
		d.know(home, "a", "b")
		s := d.site(home, "a")
		pass(2 * time.Second)
		s.stop()
		start := func(prefer federation.HubID) *site {
			return d.siteWith(uplink.Options{Home: home, Prefer: []federation.HubID{prefer}})
		}
		s = start("a")
		if s.VoiceReachable() {
			d.t.Error("forgotten at the start")
		}
		pass(2 * time.Second)
		want(d.t, "hub a is told", a.direct(), "no")
		if n := a.updates(); n != 1 {
			d.t.Errorf("%d announcements after the restart: it had to be corrected", n)
		}
		s.stop()
		s = start("b")
		pass(2 * time.Second)
		if !s.VoiceReachable() {
			d.t.Error("a hub that is not used any more counts")
		}
		s.stop()
	})
}
