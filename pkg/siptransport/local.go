package siptransport

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/mss-federation/mss/pkg/network"
)

const (
	// routeTTL is how long the kernel's answer is believed: an interface may come or go.
	routeTTL = 30 * time.Second
	// maxRoutes bounds the cache; a full one starts again.
	maxRoutes = 4096
)

// routes knows which of our addresses a peer should see.
type routes struct {
	mu     sync.Mutex // guards what follows
	locals [TLS + 1][]netip.AddrPort
	cache  map[routeKey]route
}

type routeKey struct {
	transport Transport
	remote    netip.Addr
}

type route struct {
	local   netip.AddrPort
	expires time.Time
}

func (r *routes) addLocal(t Transport, local netip.AddrPort) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.locals[t] = append(slices.Clone(r.locals[t]), local)
	clear(r.cache)
}

// LocalFor is the socket, or for streams the listener, that a message to remote should leave from: the
// one on the address that the kernel's route names, else the one nearest to remote. Via and Contact
// show it. False means that none has remote's address family.
func (e *Endpoint) LocalFor(t Transport, remote netip.Addr) (netip.AddrPort, bool) {
	remote = remote.Unmap()
	if !remote.IsValid() || t == 0 || t > TLS {
		return netip.AddrPort{}, false
	}
	key := routeKey{t, remote}
	locals, known := e.routes.lookUp(key)
	switch {
	case known.IsValid():
		return known, true
	case len(locals) == 0:
		return netip.AddrPort{}, false
	}
	from, err := e.opts.Network.Route(remote)
	if err != nil {
		from = netip.Addr{} // unreachable now: the nearest address is as good as any
	}
	local, ok := nearest(locals, from, remote)
	if ok {
		e.routes.learn(key, local)
	}
	return local, ok
}

// lookUp gives the local address if it is clear, else those to choose from.
func (r *routes) lookUp(key routeKey) (choices []netip.AddrPort, known netip.AddrPort) {
	r.mu.Lock()
	defer r.mu.Unlock()
	choices = r.locals[key.transport]
	if len(choices) == 1 && choices[0].Addr().Is4() == key.remote.Is4() && !choices[0].Addr().IsUnspecified() {
		return nil, choices[0]
	}
	if known, ok := r.cache[key]; ok && time.Now().Before(known.expires) {
		return nil, known.local
	}
	return choices, netip.AddrPort{}
}

func (r *routes) learn(key routeKey, local netip.AddrPort) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cache == nil || len(r.cache) >= maxRoutes {
		r.cache = make(map[routeKey]route)
	}
	r.cache[key] = route{local: local, expires: time.Now().Add(routeTTL)}
}

// nearest chooses among addresses of remote's family: the one on from, else the one that shares most
// bits with remote, the first among equals. A listener on all addresses shows from.
func nearest(locals []netip.AddrPort, from, remote netip.Addr) (best netip.AddrPort, found bool) {
	bestBits := -1
	for _, local := range locals {
		addr := local.Addr()
		if addr.IsUnspecified() {
			addr = from
		}
		if !addr.IsValid() || addr.Is4() != remote.Is4() {
			continue
		}
		bits := network.CommonPrefix(addr, remote)
		if addr == from {
			bits = addr.BitLen() + 1
		}
		if bits > bestBits {
			best, bestBits = netip.AddrPortFrom(addr, local.Port()), bits
		}
	}
	return best, bestBits >= 0
}
