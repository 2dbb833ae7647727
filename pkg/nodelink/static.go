package nodelink

import (
	"net/netip"
	"slices"

	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/siptransport"
)

// Static is a peer that the operator named by address: a site over UDP or TCP, or a foreign trunk.
type Static struct {
	Node federation.NodeID
	// Flow is where requests to it go. Its ID is zero; over UDP its Local is one of our sockets.
	Flow siptransport.Flow
	// Sources are where its messages come from. None means Flow.Remote alone, on any port over TCP.
	Sources []Source
}

// Source is a range of addresses and ports.
type Source struct {
	Prefix netip.Prefix
	// FirstPort and LastPort bound the port. Both zero is any.
	FirstPort, LastPort uint16
}

func (s Source) has(from netip.AddrPort) bool {
	return s.Prefix.Contains(from.Addr()) &&
		(s.LastPort == 0 || s.FirstPort <= from.Port() && from.Port() <= s.LastPort)
}

// statics is an index that is never changed.
type statics struct {
	links  map[federation.NodeID]Link
	exact  map[exactKey]federation.NodeID
	ranges []staticRange
}

type exactKey struct {
	transport siptransport.Transport
	from      netip.AddrPort
}

type staticRange struct {
	transport siptransport.Transport
	source    Source
	node      federation.NodeID
}

// SetStatics replaces the peers that are known by address. A certificate wins over an address. Where ranges
// overlap, the one with the longer prefix wins, then the one with fewer ports, then the first.
func (l *Links) SetStatics(peers []Static) {
	s := &statics{links: make(map[federation.NodeID]Link), exact: make(map[exactKey]federation.NodeID)}
	for _, p := range peers {
		t := p.Flow.Transport
		s.links[p.Node] = Link{Flow: p.Flow, State: Alive, Static: true}
		sources := p.Sources
		switch {
		case len(sources) > 0:
		case t == siptransport.UDP:
			s.exact[exactKey{t, p.Flow.Remote}] = p.Node
		default:
			a := p.Flow.Remote.Addr()
			sources = []Source{{Prefix: netip.PrefixFrom(a, a.BitLen())}}
		}
		for _, source := range sources {
			s.ranges = append(s.ranges, staticRange{t, source, p.Node})
		}
	}
	slices.SortStableFunc(s.ranges, func(a, b staticRange) int {
		if d := b.source.Prefix.Bits() - a.source.Prefix.Bits(); d != 0 {
			return d
		}
		return a.source.ports() - b.source.ports()
	})
	l.statics.Store(s)
}

func (s Source) ports() int {
	if s.LastPort == 0 {
		return 1 << 16
	}
	return int(s.LastPort) - int(s.FirstPort)
}

func (s *statics) find(flow siptransport.Flow) (federation.NodeID, bool) {
	if node, ok := s.exact[exactKey{flow.Transport, flow.Remote}]; ok {
		return node, true
	}
	for _, r := range s.ranges {
		if r.transport == flow.Transport && r.source.has(flow.Remote) {
			return r.node, true
		}
	}
	return "", false
}

func (s *statics) link(node federation.NodeID) (Link, bool) {
	link, ok := s.links[node]
	return link, ok
}
