package network_test

import (
	"context"
	"errors"
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

// direct is the kernel's network with the shorter way for datagrams.
type direct struct{ network.System }

func (d direct) ListenUDP(ctx context.Context, local netip.AddrPort) (network.PacketConn, error) {
	conn, err := d.System.ListenUDP(ctx, local)
	if err != nil {
		return nil, err
	}
	return network.Direct(conn), nil
}

func TestDirectKeepsContract(t *testing.T) {
	t.Parallel()
	for _, pair := range [][2]string{{"127.0.0.1", "127.0.0.2"}, {"::1", "::1"}} {
		t.Run(pair[1], func(t *testing.T) {
			t.Parallel()
			networktest.Contract(t,
				networktest.Host{Network: direct{}, Addr: netip.MustParseAddr(pair[0])},
				networktest.Host{Network: direct{}, Addr: netip.MustParseAddr(pair[1])})
		})
	}
}

// TestDirectWaits: a reader that found nothing is woken by what comes, and writers may be many.
func TestDirectWaits(t *testing.T) {
	t.Parallel()
	x, err := direct{}.ListenUDP(t.Context(), netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	y, err := direct{}.ListenUDP(t.Context(), netip.MustParseAddrPort("127.0.0.2:0"))
	if err != nil {
		t.Fatal(err)
	}
	defer y.Close()
	const writers, each = 4, 50
	to := network.AddrPort(y.LocalAddr())
	done := make(chan error, writers)
	got := make(chan string, writers*each)
	go func() {
		buf := make([]byte, 10)
		for {
			n, _, err := y.ReadFromUDPAddrPort(buf)
			if err != nil {
				close(got)
				return
			}
			got <- string(buf[:n])
		}
	}()
	for i := range writers {
		go func() {
			var err error
			for range each {
				_, werr := x.WriteToUDPAddrPort([]byte{'a' + byte(i)}, to)
				err = errors.Join(err, werr)
			}
			done <- err
		}()
	}
	counts := map[string]int{}
	for range writers * each {
		counts[<-got]++
	}
	for range writers {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if len(counts) != writers || counts["a"] != each || counts["d"] != each {
		t.Errorf("got %v", counts)
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
