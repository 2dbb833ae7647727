package memnet_test

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mss-federation/mss/pkg/network"
	"github.com/mss-federation/mss/pkg/network/memnet"
	"github.com/mss-federation/mss/pkg/network/networktest"
)

var (
	addrA = netip.MustParseAddr("192.0.2.1")
	addrB = netip.MustParseAddr("192.0.2.2")
)

func TestMemnetKeepsContract(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string]memnet.Options{
		"at once": {},
		"delayed": {Delay: time.Millisecond, Jitter: time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := memnet.New(opts)
			networktest.Contract(t,
				networktest.Host{Network: n.Host(addrA), Addr: addrA},
				networktest.Host{Network: n.Host(addrB), Addr: addrB})
		})
	}
}

// arrivals sends count numbered datagrams, one a millisecond, and says which arrive in which order.
func arrivals(t *testing.T, opts memnet.Options, count int) []string {
	t.Helper()
	var got []string
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New(opts)
		from, to := socket(t, n.Host(addrA), addrA), socket(t, n.Host(addrB), addrB)
		go func() {
			for i := range count {
				if _, err := from.WriteToUDPAddrPort([]byte(strconv.Itoa(i)), network.AddrPort(to.LocalAddr())); err != nil {
					t.Error(err)
				}
				<-time.After(time.Millisecond)
			}
			<-time.After(time.Second)
			_ = to.Close() // ends the loop below
		}()
		buf := make([]byte, 100)
		for {
			size, _, err := to.ReadFromUDPAddrPort(buf)
			if err != nil {
				break
			}
			got = append(got, string(buf[:size]))
		}
		_ = from.Close()
	})
	return got
}

func TestDatagramsKeepOrderUnderJitter(t *testing.T) {
	t.Parallel()
	got := arrivals(t, memnet.Options{Seed: 1, Delay: 5 * time.Millisecond, Jitter: 20 * time.Millisecond}, 300)
	if len(got) != 300 || !slices.IsSortedFunc(got, byNumber) {
		t.Errorf("%d of 300 arrived, in order: %v", len(got), slices.IsSortedFunc(got, byNumber))
	}
}

func TestImpairmentsFollowTheSeed(t *testing.T) {
	t.Parallel()
	opts := memnet.Options{Seed: 7, Delay: 10 * time.Millisecond, Loss: 0.2, Duplicate: 0.1, Reorder: 0.1}
	first := arrivals(t, opts, 1000)
	if second := arrivals(t, opts, 1000); !slices.Equal(first, second) {
		t.Error("the same seed gave two orders")
	}
	distinct := len(slices.Compact(slices.Sorted(slices.Values(first))))
	if distinct < 740 || distinct > 860 {
		t.Errorf("%d of 1000 arrived with 20 %% loss", distinct)
	}
	if twice := len(first) - distinct; twice < 40 || twice > 130 {
		t.Errorf("%d arrived twice with 10 %% duplicates", twice)
	}
	if slices.IsSortedFunc(first, byNumber) {
		t.Error("nothing was reordered")
	}
	opts.Seed++
	if slices.Equal(first, arrivals(t, opts, 1000)) {
		t.Error("another seed gave the same order")
	}
}

func TestCutAndHeal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New(memnet.Options{Delay: 10 * time.Millisecond})
		hostA, hostB := n.Host(addrA), n.Host(addrB)
		ln, err := hostB.ListenTCP(t.Context(), netip.AddrPortFrom(addrB, 5060))
		if err != nil {
			t.Fatal(err)
		}
		client, err := hostA.DialTCP(t.Context(), netip.AddrPort{}, netip.AddrPortFrom(addrB, 5060))
		if err != nil {
			t.Fatal(err)
		}
		server, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		n.Cut(addrB, addrA)
		start := time.Now()
		if _, err := client.Write([]byte("late")); err != nil {
			t.Fatal(err)
		}
		if err := client.Close(); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(3*time.Second, func() { n.Heal(addrA, addrB) })
		got, err := io.ReadAll(server)
		if err != nil || string(got) != "late" || time.Since(start) != 3*time.Second+10*time.Millisecond {
			t.Errorf("%q, %v after %v", got, err, time.Since(start))
		}
		_ = server.Close()
		_ = ln.Close()
	})
}

func TestDialWaitsWhileCutAndForNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New(memnet.Options{})
		hostA := n.Host(addrA)
		n.Host(addrB)
		for _, to := range []string{"192.0.2.2:5060", "192.0.2.99:5060"} {
			n.Cut(addrA, addrB)
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			start := time.Now()
			_, err := hostA.DialTCP(ctx, netip.AddrPort{}, netip.MustParseAddrPort(to))
			if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 5*time.Second {
				t.Errorf("%s: %v after %v", to, err, time.Since(start))
			}
			cancel()
		}
	})
}

func TestRoutePrefersTheNearAddress(t *testing.T) {
	t.Parallel()
	far := netip.MustParseAddr("198.51.100.1")
	h := memnet.New(memnet.Options{}).Host(addrA, far)
	got, err := h.Route(netip.MustParseAddr("198.51.100.7"))
	if err != nil || got != far {
		t.Errorf("%v, %v; want %v", got, err, far)
	}
	if _, err := h.Route(netip.MustParseAddr("2001:db8::1")); err == nil {
		t.Error("an IPv4 host has a route to IPv6")
	}
}

func socket(t *testing.T, h network.Network, addr netip.Addr) network.PacketConn {
	t.Helper()
	conn, err := h.ListenUDP(t.Context(), netip.AddrPortFrom(addr, 5060))
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func byNumber(a, b string) int {
	x, _ := strconv.Atoi(a) // both were made by Itoa
	y, _ := strconv.Atoi(b)
	return x - y
}
