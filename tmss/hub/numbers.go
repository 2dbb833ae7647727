package hub

import (
	"runtime"

	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/tmss/forwarder"
	"github.com/mss-federation/mss/tmss/routetable"
)

// numbers is the route table as the forwarder asks it.
type numbers struct{ table *routetable.Table }

// Lookup gives the nodes that a call to a number can be sent to, best first, each once.
func (n numbers) Lookup(number federation.Number) []forwarder.Hop {
	match := n.table.Lookup(number)
	hops := make([]forwarder.Hop, 0, len(match.Paths))
	for i := range match.Paths {
		p := &match.Paths[i]
		if p.Decision.Class != routetable.Static {
			// Of a path for fallback only its number in the public network is of use, and that is the calling site's to dial.
			hop := forwarder.Hop{Node: p.Neighbour, Rule: match.Entry.NLRI.Key, Down: p.Class() == routetable.FallbackOnly}
			hops = appendHop(hops, hop)
			continue
		}
		for _, next := range p.Attributes.NextHops {
			hops = appendHop(hops, forwarder.Hop{Node: next.Node, Rule: p.Decision.Rule})
		}
	}
	if match.Null {
		return unreachable(match.Entry)
	}
	return hops
}

// unreachable are the nodes behind which a number of an owned block is known to be, while none can be reached: the
// number is somebody's.
func unreachable(e *routetable.Entry) []forwarder.Hop {
	var hops []forwarder.Hop
	for i := range e.Paths {
		if p := &e.Paths[i]; p.Reason == routetable.NextHopDown {
			hops = appendHop(hops, forwarder.Hop{Node: p.Neighbour, Rule: e.NLRI.Key, Down: true})
		}
	}
	return hops
}

func appendHop(hops []forwarder.Hop, hop forwarder.Hop) []forwarder.Hop {
	for _, h := range hops {
		if h.Node == hop.Node {
			return hops
		}
	}
	return append(hops, hop)
}

// siptxWorkers is the number of workers that a stack makes of the configured one.
func siptxWorkers(configured int) int {
	if configured > 0 {
		return configured
	}
	return runtime.GOMAXPROCS(0)
}
