package uplink

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/mss-federation/mss/pkg/fault"
)

// Lookup finds the addresses of a host.
type Lookup func(ctx context.Context, host string) ([]netip.Addr, error)

func systemLookup(ctx context.Context, host string) ([]netip.Addr, error) {
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}

const (
	// lookupTime bounds a look-up.
	lookupTime = 2 * time.Second
	// maxAddresses bounds those of one kind that a hub has.
	maxAddresses = 8
)

// resolve turns host:port of a hub into addresses: those that it names itself, and all that names have, each once. An
// error says that there is none.
func resolve(ctx context.Context, lookup Lookup, hostPorts []string) (all []netip.AddrPort, err error) {
	var failures []error
	for _, hostPort := range hostPorts {
		found, err := resolveOne(ctx, lookup, hostPort)
		if err != nil {
			failures = append(failures, err)
		}
		for _, remote := range found {
			if !slices.Contains(all, remote) {
				all = append(all, remote)
			}
		}
	}
	if len(all) > 0 {
		return all, nil
	}
	return nil, errors.Join(failures...)
}

func resolveOne(ctx context.Context, lookup Lookup, hostPort string) ([]netip.AddrPort, error) {
	const op = "find hub"
	if addr, err := netip.ParseAddrPort(hostPort); err == nil {
		return []netip.AddrPort{addr}, nil
	}
	host, text, err := net.SplitHostPort(hostPort)
	if err != nil {
		return nil, &fault.Error{Op: op, Kind: fault.Invalid, Subject: hostPort, Err: err}
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil || port == 0 {
		return nil, fault.New(op, fault.Invalid, hostPort, "a port from 1 to 65535 is needed")
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	found, err := lookup(ctx, host)
	if err == nil && len(found) == 0 {
		err = fault.New("look up", fault.NotFound, host, "it has no address")
	}
	if err != nil {
		return nil, &fault.Error{Op: op, Kind: fault.Unavailable, Subject: hostPort, Err: err}
	}
	all := make([]netip.AddrPort, 0, len(found))
	for _, addr := range found[:min(len(found), maxAddresses)] {
		all = append(all, netip.AddrPortFrom(addr.Unmap(), uint16(port)))
	}
	return all, nil
}
