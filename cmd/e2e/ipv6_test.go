package e2e

import (
	"encoding/json"
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
	noCommonFamily(t, twoFamilies(t, false))
}

// noCommonFamily calls both ways between offices whose voice cannot meet.
func noCommonFamily(t *testing.T, d *domain) {
	t.Helper()
	ctx := limit(t)
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

// dualStack is a domain with one hub that serves both families. London prefers IPv4 and Hong Kong IPv6; with both, either
// has voice addresses of the other family too.
func dualStack(t *testing.T, both bool) *domain {
	t.Helper()
	ctx := limit(t)
	hub, err := node.StartHub(ctx, node.HubOptions{Bin: bin, Other: netip.IPv6Loopback()})
	must(t, err)
	t.Cleanup(func() {
		if err := errors.Join(hub.Stop(), hub.Remove()); err != nil {
			t.Error(err)
		}
	})
	d := &domain{hub: hub}
	london := node.Options{Site: "london", Numbers: []string{"4xxx"}, Users: users, Extra: "media: {ports: 28002-30000}"}
	hongkong := node.Options{
		Site: "hongkong", Numbers: []string{"1xxx"}, Users: farUsers, Addr: netip.IPv6Loopback(), Extra: "media: {ports: 30002-32000}",
	}
	if both {
		london.Other, hongkong.Other = netip.IPv6Loopback(), netip.MustParseAddr("127.0.0.1")
	}
	d.london, d.hongkong = d.join6(t, london), d.join6(t, hongkong)
	d.whole(t)
	return d
}

// uplinkFamilies wants the sessions and trunks of London to be IPv4, and those of Hong Kong IPv6.
func (d *domain) uplinkFamilies(t *testing.T) {
	t.Helper()
	text, err := d.hub.Ctl(limit(t), "peer", "list", "-o", "json")
	must(t, err)
	var peers []struct {
		Node, Address string
		TrunkAddress  string `json:"trunk_address"`
	}
	must(t, json.Unmarshal([]byte(text), &peers))
	for _, p := range peers {
		is6 := p.Node == "site/hongkong"
		if at, err := netip.ParseAddrPort(p.Address); err != nil || at.Addr().Is6() != is6 || strings.Contains(p.TrunkAddress, "[::1]") != is6 {
			t.Errorf("%s is at %s, and its trunk is %s", p.Node, p.Address, p.TrunkAddress)
		}
	}
	if len(peers) != 2 {
		t.Errorf("peers %v", peers)
	}
}

// TestIPv6DualStackHub has an office of each family at one hub. Both have both for voice: calls and what follows in them
// pass the hub from one family to the other, both ways.
func TestIPv6DualStackHub(t *testing.T) {
	t.Parallel()
	ctx := limit(t)
	d := dualStack(t, true)
	d.uplinkFamilies(t)
	a, b := d.register(t, phone.Options{Name: "4001"}), d.register(t, phone.Options{Name: "1001"})
	out, in := connect(t, a, b)
	d.explainFailure(t, out)
	families(t, out, in, false, true)
	holdBothWays(t, a, b, out, in)
	infoArrives(t, out, in, '5')
	must(t, out.Hangup(ctx))
	must(t, in.WaitEnded(ctx))
	d.oneRecordEach(t, out, in)
	out, in = connect(t, b, a)
	families(t, out, in, true, false)
	must(t, in.Hangup(ctx))
	must(t, out.WaitEnded(ctx))
}

// TestIPv6DualStackHubWithoutCommonFamily is the same where each office has one family alone: calls arrive, and are
// refused with the reason.
func TestIPv6DualStackHubWithoutCommonFamily(t *testing.T) {
	t.Parallel()
	d := dualStack(t, false)
	d.uplinkFamilies(t)
	noCommonFamily(t, d)
}
