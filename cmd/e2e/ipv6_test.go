package e2e

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/mss-federation/mss/cmd/internal/rig/node"
	"github.com/mss-federation/mss/cmd/internal/rig/phone"
)

// startOn6 starts an office that shares ::1, the only IPv6 address of a loopback, with others.
func startOn6(t *testing.T, opt node.Options) *node.Node {
	t.Helper()
	opt.Bin = bin
	n, err := node.Start(limit(t), opt)
	must(t, err)
	t.Cleanup(func() {
		if err := errors.Join(n.Stop(), n.Remove()); err != nil {
			t.Error(err)
		}
	})
	return n
}

// startHubOn6 starts a hub there.
func startHubOn6(t *testing.T, opt node.HubOptions) *node.Hub {
	t.Helper()
	opt.Bin, opt.Addr = bin, netip.IPv6Loopback()
	h, err := node.StartHub(limit(t), opt)
	must(t, err)
	t.Cleanup(func() {
		if err := errors.Join(h.Stop(), h.Remove()); err != nil {
			t.Error(err)
		}
	})
	return h
}

// TestIPv6 is a call whose signalling and voice are IPv6.
func TestIPv6(t *testing.T) {
	t.Parallel()
	ctx := limit(t)
	n := startOn6(t, node.Options{Users: users, Addr: netip.IPv6Loopback()})
	a := register(t, n, phone.Options{Name: "4001"})
	b := register(t, n, phone.Options{Name: "4002", Transport: phone.TCP})
	out, in := connect(t, a, b)
	families(t, out, in, true, true)
	must(t, in.Hangup(ctx))
	must(t, out.WaitEnded(ctx))
}

// families wants each phone's voice to go to an address of its own family.
func families(t *testing.T, out, in *phone.Call, outIs6, inIs6 bool) {
	t.Helper()
	if out.RemoteVoice().Addr().Is6() != outIs6 || in.RemoteVoice().Addr().Is6() != inIs6 {
		t.Errorf("voice goes to %v and %v", out.RemoteVoice(), in.RemoteVoice())
	}
}

// TestIPv6AndIPv4InOneOffice calls between a phone of each family, both ways, with hold: the office stands between.
func TestIPv6AndIPv4InOneOffice(t *testing.T) {
	t.Parallel()
	ctx := limit(t)
	n := startOn6(t, node.Options{Users: users, Other: netip.IPv6Loopback()})
	for _, transport := range []phone.Transport{phone.UDP, phone.TCP} {
		at := n.OtherUDP()
		if transport == phone.TCP {
			at = n.OtherTCP()
		}
		four := register(t, n, phone.Options{Name: "4001", Transport: transport})
		six := register(t, n, phone.Options{Name: "4002", Transport: transport, Registrar: at})
		out, in := connect(t, four, six)
		families(t, out, in, false, true)
		holdBothWays(t, four, six, out, in)
		must(t, out.Hangup(ctx))
		must(t, in.WaitEnded(ctx))
		out, in = connect(t, six, four)
		families(t, out, in, true, false)
		must(t, in.Hangup(ctx))
		must(t, out.WaitEnded(ctx))
		must(t, four.Unregister(ctx))
		must(t, six.Unregister(ctx))
	}
}

// TestIPv6Domain is a hub and two offices that have nothing but IPv6: directory, certificates, tokens, sessions,
// trunks with their cookies, voice.
func TestIPv6Domain(t *testing.T) {
	t.Parallel()
	ctx := limit(t)
	d := &domain{hub: startHubOn6(t, node.HubOptions{})}
	six := netip.IPv6Loopback()
	d.london = d.join6(t, node.Options{Site: "london", Numbers: []string{"4xxx"}, Users: users, Addr: six, Extra: "media: {ports: 20000-22000}"})
	d.hongkong = d.join6(t, node.Options{Site: "hongkong", Numbers: []string{"1xxx"}, Users: farUsers, Addr: six, Extra: "media: {ports: 22002-24000}"})
	d.whole(t)
	a := d.register(t, phone.Options{Name: "4001"})
	b := d.register(t, phone.Options{Name: "1001", Transport: phone.TCP})
	out, in := connect(t, a, b)
	d.explainFailure(t, out)
	families(t, out, in, true, true)
	holdBothWays(t, a, b, out, in)
	infoArrives(t, out, in, '5')
	must(t, out.Hangup(ctx))
	must(t, in.WaitEnded(ctx))
	d.oneRecordEach(t, out, in)
}

func (d *domain) join6(t *testing.T, opt node.Options) *node.Node {
	t.Helper()
	ctx := limit(t)
	must(t, d.hub.AddSite(ctx, opt.Site, opt.Numbers...))
	var err error
	opt.Token, err = d.hub.SiteToken(ctx, opt.Site)
	must(t, err)
	return startOn6(t, opt)
}

// twoFamilies is a domain whose hub a and London's uplink are IPv4, and whose hub b and Hong Kong's uplink are IPv6.
// Offices with both families have voice addresses of the other one too.
func twoFamilies(t *testing.T, both bool) *domain {
	t.Helper()
	ctx := limit(t)
	d := &domain{hub: startHub(t)}
	token, err := d.hub.HubToken(ctx, "b")
	must(t, err)
	b := startHubOn6(t, node.HubOptions{Hub: "b", Token: token})
	london := node.Options{Site: "london", Numbers: []string{"4xxx"}, Users: users, Extra: "uplinks: [a]\nmedia: {ports: 24002-26000}"}
	hongkong := node.Options{
		Site: "hongkong", Numbers: []string{"1xxx"}, Users: farUsers, Addr: netip.IPv6Loopback(),
		Extra: "uplinks: [b]\nmedia: {ports: 26002-28000}",
	}
	if both {
		london.Other, hongkong.Other = netip.IPv6Loopback(), netip.MustParseAddr("127.0.0.1")
	}
	d.london, d.hongkong = d.join6(t, london), d.join6(t, hongkong)
	must(t, d.london.WaitUplink(ctx, "a"))
	must(t, d.hongkong.WaitUplink(ctx, "b"))
	has(t, d.hub, "1xxx", "hub/b")
	has(t, b, "4xxx", "hub/a")
	for _, h := range []*node.Hub{d.hub, b} {
		must(t, h.WaitTakesCalls(ctx))
	}
	return d
}

// TestIPv6SiteCallsIPv4Site has the two hubs of each family between them. Both offices have both families: voice takes
// the one that the caller's site offers.
func TestIPv6SiteCallsIPv4Site(t *testing.T) {
	t.Parallel()
	ctx := limit(t)
	d := twoFamilies(t, true)
	a, b := d.register(t, phone.Options{Name: "4001"}), d.register(t, phone.Options{Name: "1001"})
	out, in := connect(t, a, b)
	families(t, out, in, false, true)
	holdBothWays(t, a, b, out, in)
	must(t, out.Hangup(ctx))
	must(t, in.WaitEnded(ctx))
	out, in = connect(t, b, a)
	families(t, out, in, true, false)
	must(t, in.Hangup(ctx))
	must(t, out.WaitEnded(ctx))
}

// TestIPv6SiteCannotCallIPv4Site is the same where no family is common: the call is refused, with the reason, and is
// never silent.
func TestIPv6SiteCannotCallIPv4Site(t *testing.T) {
	t.Parallel()
	ctx := limit(t)
	d := twoFamilies(t, false)
	a, b := d.register(t, phone.Options{Name: "4001"}), d.register(t, phone.Options{Name: "1001"})
	for _, c := range []struct{ from, to *phone.Phone }{{a, b}, {b, a}} {
		out, err := c.from.Dial(ctx, c.to.Name())
		must(t, err)
		must(t, out.WaitEnded(ctx))
		if status, _ := out.Status(); status != 488 {
			t.Errorf("%s calls %s: status %d, want 488", c.from.Name(), c.to.Name(), status)
		}
		if text := c.from.TranscriptText(); !strings.Contains(text, "no common address family") {
			t.Errorf("%s is not told why:\n%s", c.from.Name(), text)
		}
	}
}
