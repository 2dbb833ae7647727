package signal

import (
	"net/netip"
	"slices"
	"time"

	"github.com/mss-federation/mss/lmss/call"
	"github.com/mss-federation/mss/lmss/config"
	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/siptarget"
	"github.com/mss-federation/mss/pkg/siptransport"
)

// names finds the ways to peers that are known by name, from this site's own sockets.
type names struct {
	dns      *siptarget.DNS
	breakers siptarget.Breakers
	local    func(siptransport.Transport, netip.Addr) (netip.AddrPort, bool)
}

// resolver is what the configuration makes; nobody is asked before a call needs it.
func resolver(c config.DNS) *siptarget.DNS {
	options := siptarget.Options{Timeout: c.Timeout, Transports: []siptransport.Transport{siptransport.UDP, siptransport.TCP}}
	if len(c.Servers) > 0 {
		options.Lookup = &siptarget.Servers{Addrs: c.Servers}
	}
	return siptarget.New(options)
}

// Find implements call.Names. Names that are known cost no goroutine.
func (n *names) Find(q siptarget.Query, done func([]call.Way, error)) {
	if targets, err, ok := n.dns.Known(q); ok {
		done(n.ways(q, targets, err))
		return
	}
	n.dns.Find(q, func(targets []siptarget.Target, err error) { done(n.ways(q, targets, err)) })
}

// ways leaves out what no socket of ours reaches.
func (n *names) ways(q siptarget.Query, targets []siptarget.Target, err error) ([]call.Way, error) {
	if err != nil {
		return nil, err
	}
	var ways []call.Way
	for _, t := range n.breakers.Order(targets, time.Now()) {
		flow, ok := n.flow(t.Transport, t.Addr)
		if !ok {
			continue
		}
		way := call.Way{Flow: flow}
		if t.Transport == siptransport.UDP && q.Transport == 0 {
			way.TCP = n.instead(t, targets)
		}
		ways = append(ways, way)
	}
	if len(ways) == 0 {
		return nil, fault.New("resolve", fault.Unavailable, q.Host,
			"no address of it can be reached from here: listen has no address of its family and transport")
	}
	return ways, nil
}

// instead is the connection for what is too large for a datagram: one that the name's records offer, or, where
// they offer nothing, one to the same port.
func (n *names) instead(udp siptarget.Target, all []siptarget.Target) siptransport.Flow {
	addr := udp.Addr
	if udp.Offered {
		i := slices.IndexFunc(all, func(t siptarget.Target) bool {
			return t.Transport == siptransport.TCP && t.Addr.Addr() == udp.Addr.Addr()
		})
		if i < 0 {
			return siptransport.Flow{}
		}
		addr = all[i].Addr
	}
	if !n.breakers.TakesTCP(udp.Addr, time.Now()) {
		return siptransport.Flow{}
	}
	flow, _ := n.flow(siptransport.TCP, addr)
	return flow
}

func (n *names) flow(t siptransport.Transport, remote netip.AddrPort) (siptransport.Flow, bool) {
	local, ok := n.local(t, remote.Addr())
	if !ok {
		return siptransport.Flow{}, false
	}
	return siptransport.Flow{Transport: t, Local: local, Remote: remote}, true
}

// Tried implements call.Names.
func (n *names) Tried(flow siptransport.Flow, answered bool) {
	place := siptarget.Place{Transport: flow.Transport, Addr: flow.Remote}
	if answered {
		n.breakers.Answered(place)
		return
	}
	n.breakers.Failed(place, time.Now())
}

// NoTCP implements call.Names.
func (n *names) NoTCP(flow siptransport.Flow) { n.breakers.RefusedTCP(flow.Remote, time.Now()) }
