package supervise

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mss-federation/mss/pkg/fault"
)

func TestBind(t *testing.T) {
	t.Parallel()
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0"} {
		udp := mustBind(t, BindUDP, Bind{Name: "udp", Addr: netip.MustParseAddrPort(addr)})
		tcp := mustBind(t, ListenTCP, Bind{Name: "tcp", Addr: netip.MustParseAddrPort(addr)})
		for _, s := range []*Socket{udp, tcp} {
			if s.Addr.Port() == 0 || s.Addr.Addr() != netip.MustParseAddrPort(addr).Addr() {
				t.Errorf("%s bound to %s", addr, s)
			}
			if s.Addr.Addr().Is6() {
				if only, err := unix.GetsockoptInt(s.fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY); err != nil || only != 1 {
					t.Errorf("%s: V6ONLY %d, %v", s, only, err)
				}
			}
		}
		if udp.ReceiveBuffer <= 0 || os.Getuid() == 0 && udp.ReceiveBuffer < ReceiveBuffer {
			t.Errorf("%s: receive buffer %d, want %d", udp, udp.ReceiveBuffer, ReceiveBuffer)
		}
	}
}

func TestBindRefusals(t *testing.T) {
	t.Parallel()
	udp := mustBind(t, BindUDP, Bind{Name: "udp", Addr: netip.MustParseAddrPort("127.0.0.1:0")})
	tcp := mustBind(t, ListenTCP, Bind{Name: "tcp", Addr: netip.MustParseAddrPort("127.0.0.1:0")})
	tests := []struct {
		name string
		bind func(context.Context, Bind) (*Socket, error)
		addr netip.AddrPort
		kind fault.Kind
		says string
	}{
		{"udp in use", BindUDP, udp.Addr, fault.Exists, "ss -lunp sport = :"},
		{"tcp in use", ListenTCP, tcp.Addr, fault.Exists, "ss -ltnp sport = :"},
		{"not ours", BindUDP, netip.MustParseAddrPort("192.0.2.1:5060"), fault.NotFound, "ip address"},
		{"unspecified", BindUDP, netip.MustParseAddrPort("0.0.0.0:5060"), fault.Invalid, "one address"},
		{"unspecified 6", ListenTCP, netip.MustParseAddrPort("[::]:5060"), fault.Invalid, "one address"},
		{"no address", ListenTCP, netip.AddrPort{}, fault.Invalid, "one address"},
	}
	for _, tt := range tests {
		_, err := tt.bind(t.Context(), Bind{Addr: tt.addr})
		if err == nil || fault.KindOf(err) != tt.kind || !strings.Contains(err.Error(), tt.says) ||
			!strings.Contains(err.Error(), tt.addr.String()) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestBindWaitsForAPort(t *testing.T) {
	t.Parallel()
	holder, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	addr := holder.LocalAddr().(*net.UDPAddr).AddrPort()
	timer := time.AfterFunc(100*time.Millisecond, func() { _ = holder.Close() })
	defer timer.Stop()
	s := mustBind(t, BindUDP, Bind{Addr: addr, Patience: patience})
	if s.Addr != addr {
		t.Errorf("bound %s, want %s", s, addr)
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := BindUDP(ctx, Bind{Addr: addr, Patience: patience}); !errors.Is(err, context.Canceled) {
		t.Errorf("bind after the end: %v", err)
	}
}
