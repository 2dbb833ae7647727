package nodelink

import (
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

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
	// Probe asks it each Clocks.Ping whether it is there (see Options.Probe). One that has answered once is judged by
	// its silence, as connections are; one that never did is not.
	Probe bool
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
	links  map[federation.NodeID]*staticLink
	exact  map[exactKey]federation.NodeID
	ranges []staticRange
}

// staticLink is what changes of a static peer.
type staticLink struct {
	flow   siptransport.Flow
	probed bool
	asked  time.Time    // Run's: when it was last probed
	state  atomic.Int32 // a State
	heard  atomic.Int64 // since epoch; zero is never
}

// judge is the state after so much silence.
func (c *Clocks) judge(silent time.Duration) State {
	switch {
	case silent >= c.Close:
		return Down
	case silent > c.Suspect:
		return Suspect
	}
	return Alive
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
	old := l.statics.Load()
	s := &statics{links: make(map[federation.NodeID]*staticLink), exact: make(map[exactKey]federation.NodeID)}
	for _, p := range peers {
		t := p.Flow.Transport
		s.links[p.Node] = old.keep(p)
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
	l.signal()
}

// keep is the peer's link as it was, if it is the same, or a new one.
func (s *statics) keep(p Static) *staticLink {
	if old := s.links[p.Node]; old != nil && old.flow == p.Flow && old.probed == p.Probe {
		return old
	}
	link := &staticLink{flow: p.Flow, probed: p.Probe}
	link.state.Store(int32(Alive))
	return link
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
	link := s.links[node]
	if link == nil || link.State() == Down {
		return Link{}, false
	}
	return Link{Flow: link.flow, State: link.State(), Static: true}, true
}

// State is how far the link is trusted.
func (s *staticLink) State() State { return State(s.state.Load()) }

// Heard says that a static peer answered a probe.
func (l *Links) Heard(node federation.NodeID) {
	if link := l.statics.Load().links[node]; link != nil {
		link.heard.Store(int64(time.Since(epoch)))
		if link.State() != Alive {
			l.signal()
		}
	}
}

// probe asks the static peers that are to be asked, and judges those that have answered once.
func (l *Links) probe(now time.Time) {
	for node, link := range l.statics.Load().links {
		if !link.probed {
			continue
		}
		if now.Sub(link.asked) >= l.options.Clocks.Ping {
			link.asked = now
			l.options.Probe(node, link.flow)
		}
		heard := link.heard.Load()
		if heard == 0 {
			continue
		}
		state := l.options.Clocks.judge(now.Sub(epoch) - time.Duration(heard))
		if State(link.state.Swap(int32(state))) != state {
			l.log.Info("static peer changed", "node", string(node), "state", state.String())
			if l.options.Changed != nil {
				l.options.Changed(node, state)
			}
		}
	}
}

// probing says whether any static peer is probed.
func (s *statics) probing() bool {
	for _, link := range s.links {
		if link.probed {
			return true
		}
	}
	return false
}
