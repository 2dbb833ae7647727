package siptransport_test

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mss-federation/mss/pkg/network"
	"github.com/mss-federation/mss/pkg/network/memnet"
	"github.com/mss-federation/mss/pkg/siptransport"
)

// routed is a network whose routing table the test writes.
type routed struct {
	network.Network
	table map[netip.Addr]netip.Addr
	asked int
}

func (r *routed) Route(remote netip.Addr) (netip.Addr, error) {
	r.asked++
	if from, ok := r.table[remote]; ok {
		return from, nil
	}
	return netip.Addr{}, net.ErrClosed
}

func TestLocalAddressFollowsTheRoute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		lan, wan, v6 := netip.MustParseAddrPort("10.0.0.1:5060"), netip.MustParseAddrPort("192.0.2.1:5060"), netip.MustParseAddrPort("[2001:db8::1]:5060")
		host := memnet.New(memnet.Options{}).Host(lan.Addr(), wan.Addr(), v6.Addr(), netip.IPv4Unspecified())
		r := &routed{Network: host, table: map[netip.Addr]netip.Addr{
			netip.MustParseAddr("198.51.100.1"): wan.Addr(),
			netip.MustParseAddr("198.51.100.2"): lan.Addr(),
			netip.MustParseAddr("10.0.0.9"):     netip.MustParseAddr("10.0.0.77"), // an address without a socket
			netip.MustParseAddr("2001:db8::9"):  v6.Addr(),
		}}
		e := siptransport.New(siptransport.Options{Network: r, Receiver: newEar()})
		if _, ok := e.LocalFor(siptransport.UDP, lan.Addr()); ok {
			t.Error("an endpoint without sockets has a local address")
		}
		add := func(local netip.AddrPort) {
			conn, err := host.ListenUDP(t.Context(), local)
			if err != nil {
				t.Fatal(err)
			}
			if err := e.AddUDP(conn); err != nil {
				t.Fatal(err)
			}
		}
		add(wan)
		if got, ok := e.LocalFor(siptransport.UDP, netip.MustParseAddr("10.0.0.9")); got != wan || !ok || r.asked != 0 {
			t.Errorf("the only socket: %v, %v, %d lookups", got, ok, r.asked)
		}
		if _, ok := e.LocalFor(siptransport.UDP, v6.Addr()); ok {
			t.Error("IPv4 socket for an IPv6 peer")
		}
		add(lan)
		add(v6)
		for remote, want := range map[string]netip.AddrPort{
			"198.51.100.1":        wan,
			"198.51.100.2":        lan,
			"10.0.0.9":            lan, // nearest
			"192.0.2.7":           wan, // no route
			"2001:db8::9":         v6,
			"::ffff:198.51.100.2": lan,
		} {
			if got, ok := e.LocalFor(siptransport.UDP, netip.MustParseAddr(remote)); got != want || !ok {
				t.Errorf("to %s from %v, %v; want %v", remote, got, ok, want)
			}
		}
		asked := r.asked
		r.table[netip.MustParseAddr("198.51.100.1")] = lan.Addr()
		if got, _ := e.LocalFor(siptransport.UDP, netip.MustParseAddr("198.51.100.1")); got != wan || r.asked != asked {
			t.Errorf("from %v after %d lookups, want the cached", got, r.asked-asked)
		}
		<-time.After(31 * time.Second)
		if got, _ := e.LocalFor(siptransport.UDP, netip.MustParseAddr("198.51.100.1")); got != lan {
			t.Errorf("from %v after the route moved, want %v", got, lan)
		}
		ln, err := host.ListenTCP(t.Context(), netip.MustParseAddrPort("0.0.0.0:5061"))
		if err != nil {
			t.Fatal(err)
		}
		if err := e.AddTLS(ln, &tls.Config{}); err != nil {
			t.Fatal(err)
		}
		if got, ok := e.LocalFor(siptransport.TLS, netip.MustParseAddr("198.51.100.2")); !ok || got != netip.MustParseAddrPort("10.0.0.1:5061") {
			t.Errorf("listener on all addresses shows %v, %v", got, ok)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := e.Run(ctx); err != nil {
			t.Error(err)
		}
	})
}

func TestKernelRouteChoosesTheLoopbackSocket(t *testing.T) {
	t.Parallel()
	e := siptransport.New(siptransport.Options{Receiver: newEar()})
	for _, local := range []string{"127.0.0.9:0", "127.0.3.1:0"} {
		conn, err := network.System{}.ListenUDP(t.Context(), netip.MustParseAddrPort(local))
		if err != nil {
			t.Fatal(err)
		}
		if err := e.AddUDP(conn); err != nil {
			t.Fatal(err)
		}
	}
	if got, ok := e.LocalFor(siptransport.UDP, netip.MustParseAddr("127.0.3.7")); !ok || got.Addr() != netip.MustParseAddr("127.0.3.1") {
		t.Errorf("%v, %v", got, ok)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := e.Run(ctx); err != nil {
		t.Error(err)
	}
}
