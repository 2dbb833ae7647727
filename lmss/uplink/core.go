package uplink

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"iter"
	"slices"
	"time"

	"github.com/mss-federation/mss/pkg/exchange"
	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/nodelink"
	"github.com/mss-federation/mss/pkg/siptransport"
)

// preference puts hubs in the order in which a site uses them: as named by the operator, and the others
// behind, in an order that differs from site to site, so that each hub is the first of some.
func preference(site federation.SiteID, named, hubs []federation.HubID) []federation.HubID {
	place := func(id federation.HubID) int {
		if i := slices.Index(named, id); i >= 0 {
			return i
		}
		return len(named)
	}
	ordered := slices.Clone(hubs)
	slices.SortFunc(ordered, func(a, b federation.HubID) int {
		return cmp.Or(cmp.Compare(place(a), place(b)), cmp.Compare(affinity(site, a), affinity(site, b)), cmp.Compare(a, b))
	})
	return ordered
}

// affinity is a fixed number for each pair (rendezvous hashing).
func affinity(site federation.SiteID, hub federation.HubID) uint64 {
	sum := sha256.Sum256([]byte(string(hub) + "/" + string(site)))
	return binary.BigEndian.Uint64(sum[:])
}

// choose says which of the known hubs to attach to: those that the operator named, or else up to MaxHubs.
func choose(site federation.SiteID, named []federation.HubID, known []exchange.Hub) []exchange.Hub {
	byID := make(map[federation.HubID]exchange.Hub, len(known))
	ids := make([]federation.HubID, 0, len(known))
	for i := range known {
		id := known[i].ID
		if len(named) == 0 || slices.Contains(named, id) {
			byID[id] = known[i]
			ids = append(ids, id)
		}
	}
	ordered := preference(site, named, ids)
	chosen := make([]exchange.Hub, 0, MaxHubs)
	for _, id := range ordered[:min(len(ordered), MaxHubs)] {
		chosen = append(chosen, byID[id])
	}
	return chosen
}

// merge puts a new list of hubs in the place of an old one. A hub that is missing from it but can be heard stays:
// the directory may only have lost its member. An empty list is no list: it would cut the site off for good.
func merge(known, listed []exchange.Hub, up func(federation.HubID) bool) []exchange.Hub {
	if len(listed) == 0 {
		return known
	}
	merged := slices.Clone(listed)
	for i := range known {
		missing := !slices.ContainsFunc(listed, func(h exchange.Hub) bool { return h.ID == known[i].ID })
		if missing && up(known[i].ID) {
			merged = append(merged, known[i])
		}
	}
	slices.SortFunc(merged, func(a, b exchange.Hub) int { return cmp.Compare(a.ID, b.ID) })
	return merged
}

// amend takes what a hub said of itself when its session opened: where it listens for SIP, if the list does
// not say so.
func amend(known []exchange.Hub, said exchange.Hub) []exchange.Hub {
	i := slices.IndexFunc(known, func(h exchange.Hub) bool { return h.ID == said.ID })
	if i < 0 || len(known[i].SIP) > 0 || len(said.SIP) == 0 {
		return known
	}
	amended := slices.Clone(known)
	amended[i].SIP, amended[i].Software = said.SIP, said.Software
	return amended
}

func sameHub(a, b exchange.Hub) bool {
	return a.ID == b.ID && sameControl(a, b) && a.Software == b.Software && slices.Equal(a.SIP, b.SIP)
}

// sameControl says whether two entries have the gRPC service at the same addresses.
func sameControl(a, b exchange.Hub) bool {
	return slices.Equal(a.GRPCAddresses(), b.GRPCAddresses())
}

// rank yields the ways to the hubs in the order of use. One that is down has none; one that is preferred for
// this request comes before those that are as good.
func rank(order []federation.NodeID, prefer federation.NodeID, best func(federation.NodeID) (nodelink.Link, bool)) iter.Seq2[federation.NodeID, siptransport.Flow] {
	return func(yield func(federation.NodeID, siptransport.Flow) bool) {
		for _, wanted := range [...]nodelink.State{nodelink.Alive, nodelink.Suspect} {
			try := func(node federation.NodeID) bool {
				link, ok := best(node)
				return !ok || link.State != wanted || yield(node, link.Flow)
			}
			if prefer != "" && !try(prefer) {
				return
			}
			for _, node := range order {
				if node != prefer && !try(node) {
					return
				}
			}
		}
	}
}

// The waits between attempts at a session.
const (
	firstWait = 250 * time.Millisecond
	lastWait  = 30 * time.Second
	// settled is how long a session must have stood for the waits to begin anew.
	settled = 10 * time.Second
)

// backoff is the wait after attempt n, from 0: doubling, and spread so that the sites of a hub that
// restarts do not come back together. dice is in [0,1).
func backoff(n int, dice float64) time.Duration {
	wait := lastWait
	if n < 7 {
		wait = min(firstWait<<n, lastWait)
	}
	return wait/2 + time.Duration(dice*float64(wait/2))
}
