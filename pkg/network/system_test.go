package network_test

import (
	"net/netip"
	"testing"

	"github.com/mss-federation/mss/pkg/network"
	"github.com/mss-federation/mss/pkg/network/networktest"
)

func TestSystemKeepsContract(t *testing.T) {
	t.Parallel()
	for _, pair := range [][2]string{{"127.0.0.1", "127.0.0.2"}, {"::1", "::1"}} {
		t.Run(pair[1], func(t *testing.T) {
			t.Parallel()
			networktest.Contract(t,
				networktest.Host{Network: network.System{}, Addr: netip.MustParseAddr(pair[0])},
				networktest.Host{Network: network.System{}, Addr: netip.MustParseAddr(pair[1])})
		})
	}
}

func TestCommonPrefix(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		a, b string
		want int
	}{
		{"192.0.2.1", "192.0.2.1", 32},
		{"192.0.2.0", "192.0.2.128", 24},
		{"192.0.2.1", "192.0.2.2", 30},
		{"64.0.0.1", "192.0.2.2", 0},
		{"2001:db8::", "2001:db8:8000::", 32},
		{"192.0.2.1", "2001:db8::1", 0},
	} {
		if got := network.CommonPrefix(netip.MustParseAddr(tc.a), netip.MustParseAddr(tc.b)); got != tc.want {
			t.Errorf("%s and %s share %d bits, want %d", tc.a, tc.b, got, tc.want)
		}
	}
}
