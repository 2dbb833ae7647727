package contender

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/mss-federation/mss/cmd/internal/rig/node"
)

const pollEvery = 10 * time.Millisecond

// ErrEnded says that a program ended before it opened its port.
var ErrEnded = errors.New("it ended while it was starting")

// FreePort is a UDP port of addr that is free now.
func FreePort(addr netip.Addr) (netip.AddrPort, error) {
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, 0)))
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("find a free port: %w", err)
	}
	defer conn.Close()
	port, err := netip.ParseAddrPort(conn.LocalAddr().String())
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("find a free port: %w", err)
	}
	return port, nil
}

// WaitBound waits until a program has opened its UDP port. It gives up when ended is closed.
func WaitBound(ctx context.Context, addr netip.AddrPort, ended <-chan struct{}) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for !slices.Contains(node.Bound(addr.Addr()), "udp "+addr.String()) {
		select {
		case <-ended:
			return ErrEnded
		case <-ctx.Done():
			return fmt.Errorf("nothing opens %v: %w", addr, ctx.Err())
		case <-tick.C:
		}
	}
	return nil
}
