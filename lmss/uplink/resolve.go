package uplink

import (
	"context"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/mss-federation/mss/pkg/fault"
)

// Lookup finds the addresses of a host.
type Lookup func(ctx context.Context, host string) ([]netip.Addr, error)

func systemLookup(ctx context.Context, host string) ([]netip.Addr, error) {
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}

// lookupTime bounds a look-up.
const lookupTime = 2 * time.Second

// resolve turns host:port into an address; of several the first.
func resolve(ctx context.Context, lookup Lookup, hostPort string) (netip.AddrPort, error) {
	const op = "find hub"
	if addr, err := netip.ParseAddrPort(hostPort); err == nil {
		return addr, nil
	}
	host, text, err := net.SplitHostPort(hostPort)
	if err != nil {
		return netip.AddrPort{}, &fault.Error{Op: op, Kind: fault.Invalid, Subject: hostPort, Err: err}
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil || port == 0 {
		return netip.AddrPort{}, fault.New(op, fault.Invalid, hostPort, "a port from 1 to 65535 is needed")
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	found, err := lookup(ctx, host)
	if err == nil && len(found) == 0 {
		err = fault.New("look up", fault.NotFound, host, "it has no address")
	}
	if err != nil {
		return netip.AddrPort{}, &fault.Error{Op: op, Kind: fault.Unavailable, Subject: hostPort, Err: err}
	}
	return netip.AddrPortFrom(found[0].Unmap(), uint16(port)), nil
}
