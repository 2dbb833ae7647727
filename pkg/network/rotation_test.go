package network_test

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mss-federation/mss/pkg/network"
	"github.com/mss-federation/mss/pkg/network/memnet"
)

var (
	four = netip.MustParseAddrPort("192.0.2.1:5443")
	six  = netip.MustParseAddrPort("[2001:db8::1]:5443")
)

// dialled dials and says where that led.
func dialled(t *testing.T, r *network.Rotation, n network.Network, to ...netip.AddrPort) netip.AddrPort {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	conn, err := r.Dial(ctx, n, to)
	if err != nil {
		t.Error(err)
		return netip.AddrPort{}
	}
	defer conn.Close()
	return network.AddrPort(conn.RemoteAddr())
}

func serve(t *testing.T, n network.Network, at netip.AddrPort) net.Listener {
	t.Helper()
	ln, err := n.ListenTCP(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	return ln
}

func TestRotation(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		world := memnet.New(memnet.Options{Delay: time.Millisecond})
		peer := world.Host(four.Addr(), six.Addr())
		self := world.Host(netip.MustParseAddr("192.0.2.9"), netip.MustParseAddr("2001:db8::9"))
		serve(t, peer, six)
		ln := serve(t, peer, four)
		var r network.Rotation
		if got := dialled(t, &r, self, four, six); got != four {
			t.Errorf("first %v", got)
		}
		if got := dialled(t, &r, self, four, six); got != six {
			t.Errorf("behind one that did not work %v", got)
		}
		r.Worked()
		if got := dialled(t, &r, self, four, six); got != six {
			t.Errorf("behind one that worked %v", got)
		}
		_ = ln.Close()
		began := time.Now()
		if got := dialled(t, new(network.Rotation), self, four, six); got != six || time.Since(began) > 100*time.Millisecond {
			t.Errorf("refused: %v after %v", got, time.Since(began))
		}
		world.Cut(netip.MustParseAddr("192.0.2.9"), four.Addr())
		began = time.Now()
		if got := dialled(t, new(network.Rotation), self, four, six); got != six || time.Since(began) > 2100*time.Millisecond {
			t.Errorf("silent: %v after %v", got, time.Since(began))
		}
	})
}

func TestRotationSaysWhyEachFailed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		world := memnet.New(memnet.Options{})
		world.Host(four.Addr(), six.Addr())
		self := world.Host(netip.MustParseAddr("192.0.2.9"), netip.MustParseAddr("2001:db8::9"))
		_, err := new(network.Rotation).Dial(t.Context(), self, []netip.AddrPort{four, six})
		if err == nil || !strings.Contains(err.Error(), four.String()) || !strings.Contains(err.Error(), six.String()) {
			t.Errorf("%v", err)
		}
		if _, err := new(network.Rotation).Dial(t.Context(), self, nil); err == nil {
			t.Error("nothing was dialled, and it worked")
		}
	})
}

func TestNear(t *testing.T) {
	t.Parallel()
	world := memnet.New(memnet.Options{})
	both := world.Host(netip.MustParseAddr("192.0.2.9"), netip.MustParseAddr("2001:db8::9"))
	only6 := world.Host(netip.MustParseAddr("2001:db8::8"))
	own := []netip.Addr{netip.MustParseAddr("2001:db8::9")}
	own4, own64 := []netip.Addr{four.Addr(), six.Addr()}, []netip.Addr{six.Addr(), four.Addr()}
	for _, c := range []struct {
		host network.Network
		own  []netip.Addr
		want []netip.AddrPort
	}{
		{both, nil, []netip.AddrPort{four, six}},
		{both, own, []netip.AddrPort{six, four}},
		{both, own4, []netip.AddrPort{four, six}},
		{both, own64, []netip.AddrPort{six, four}},
		{only6, nil, []netip.AddrPort{six, four}},
		{only6, []netip.Addr{four.Addr()}, []netip.AddrPort{six, four}}, // no way there counts more
	} {
		if got := network.Near(c.host, c.own, []netip.AddrPort{four, six}); !slices.Equal(got, c.want) {
			t.Errorf("own %v: %v, want %v", c.own, got, c.want)
		}
	}
}
