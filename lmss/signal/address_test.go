package signal

import (
	"net/netip"
	"testing"

	"github.com/mss-federation/mss/lmss/config"
	"github.com/mss-federation/mss/lmss/uplink"
	"github.com/mss-federation/mss/pkg/siptransport"
)

// A phone in the office is told the office's own address, everybody else the advertised one, other sites too.
func TestTelling(t *testing.T) {
	t.Parallel()
	parse := netip.MustParseAddr
	c := config.Listen{Advertise: map[netip.Addr]netip.Addr{parse("10.1.0.1"): parse("203.0.113.7"), parse("192.168.9.1"): parse("203.0.113.8")}}
	told := telling{listen: c, networks: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/24"), netip.MustParsePrefix("192.168.9.0/24")}}.to
	voice := voiceAddresses([]netip.Addr{parse("10.1.0.1"), parse("192.168.9.1")}, told)
	for name, c := range map[string]struct{ local, peer, bind, shown string }{
		"a phone in the office":                  {"10.1.0.1", "10.1.0.77", "10.1.0.1", "10.1.0.1"},
		"a phone on the road":                    {"10.1.0.1", "198.51.100.5", "10.1.0.1", "203.0.113.7"},
		"a phone behind another router":          {"10.1.0.1", "10.1.5.77", "10.1.0.1", "203.0.113.7"},
		"a phone of the other network":           {"192.168.9.1", "10.1.0.77", "192.168.9.1", "203.0.113.8"},
		"another site":                           {"10.1.0.1", "", "10.1.0.1", "203.0.113.7"},
		"SIP on an address that voice has not":   {"10.1.0.9", "10.1.0.77", "10.1.0.1", "10.1.0.1"},
		"a site, by such an address":             {"10.1.0.9", "", "10.1.0.1", "203.0.113.7"},
		"an address that came as IPv6 does IPv4": {"::ffff:10.1.0.1", "10.1.0.77", "10.1.0.1", "10.1.0.1"},
	} {
		peer, _ := netip.ParseAddr(c.peer)
		bind, shown := voice(parse(c.local), peer)
		if bind.String() != c.bind || shown.String() != c.shown {
			t.Errorf("%s: bound to %v, told %v, want %s and %s", name, bind, shown, c.bind, c.shown)
		}
	}
}

// TestVoiceOverUplinkOfOtherVersion: over which IP version a hub is reached says nothing of voice: that has the addresses
// that the operator gave it.
func TestVoiceOverUplinkOfOtherVersion(t *testing.T) {
	t.Parallel()
	flow := siptransport.Flow{
		Transport: siptransport.UDP, Local: netip.MustParseAddrPort("[2001:db8::9]:5060"), Remote: netip.MustParseAddrPort("[2001:db8::1]:5060"),
	}
	u, err := uplink.New(uplink.Options{Site: "london", Domain: "example.org", Static: []uplink.Static{{Hub: "a", Flow: flow}}})
	if err != nil {
		t.Fatal(err)
	}
	told := telling{}.to
	four, six := netip.MustParseAddr("192.0.2.9"), netip.MustParseAddr("2001:db8::9")
	for _, c := range []struct {
		voice         []netip.Addr
		version, want netip.Addr
	}{
		{[]netip.Addr{four}, netip.Addr{}, four},
		{[]netip.Addr{four}, six, four}, // the call is refused: they have no common version
		{[]netip.Addr{four, six}, netip.Addr{}, six},
		{[]netip.Addr{four, six}, four, four},
		{[]netip.Addr{six}, four, six},
	} {
		s := &site{parts: parts{uplink: u, voice: voiceAddresses(c.voice, told), voiceOther: otherVoice(c.voice, told)}}
		if bind, shown := s.voiceAddr(flow, c.version); bind != c.want || shown != c.want {
			t.Errorf("voice at %v, peer has %v: bound to %v, told %v, want %v", c.voice, c.version, bind, shown, c.want)
		}
	}
}

// What the kernel says includes an address of this machine, whatever that is, and never the loopback network.
func TestConnected(t *testing.T) {
	t.Parallel()
	for _, n := range connected() {
		if n.Addr().IsLoopback() || n != n.Masked() {
			t.Errorf("connected to %v", n)
		}
	}
}
