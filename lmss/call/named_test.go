package call

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/mss-federation/mss/pkg/siptransport"
)

// A peer that shows a new Contact in each re-INVITE fills neither memory nor the call's record.
func TestAddressesOfAPeerAreBounded(t *testing.T) {
	t.Parallel()
	var n named
	var last netip.Addr
	for i := range 10 * maxPeerAddrs {
		last = netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 14: byte(i >> 8), 15: byte(i)})
		n.learn([]Way{{Flow: siptransport.Flow{Transport: siptransport.UDP, Remote: netip.AddrPortFrom(last, 5060)}}})
	}
	if len(n.addrs) != maxPeerAddrs || !slices.Contains(n.addrs, last) {
		t.Errorf("%d addresses, the last one among them: %v", len(n.addrs), slices.Contains(n.addrs, last))
	}
}
