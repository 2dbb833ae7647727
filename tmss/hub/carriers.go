package hub

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/tmss/routetable"
)

// carriers are the hubs that reach each site, by the routes that they told. A request inside a call whose hub is dead
// goes to its site through one of them, where the site is not attached to this hub.
type carriers struct {
	current atomic.Pointer[map[federation.NodeID][]federation.NodeID]
}

// of lists those of a site, best first. It takes no lock.
func (c *carriers) of(site federation.NodeID) []federation.NodeID {
	if known := c.current.Load(); known != nil {
		return (*known)[site]
	}
	return nil
}

// carriersIn reads a table. The nearest come first: one that has the site itself before one that passes on. Stale routes
// count too, since calls may go where no news comes from.
func carriersIn(s *routetable.Snapshot) map[federation.NodeID][]federation.NodeID {
	away := make(map[federation.NodeID]map[federation.NodeID]int)
	for e := range s.All() {
		for i := range e.Paths {
			p := &e.Paths[i]
			if p.Attributes == nil || p.Attributes.Origin.Site == "" || !strings.HasPrefix(string(p.Neighbour), "hub/") {
				continue
			}
			site := siteNode(p.Attributes.Origin.Site)
			if away[site] == nil {
				away[site] = make(map[federation.NodeID]int)
			}
			if hops, known := away[site][p.Neighbour]; !known || len(p.Attributes.RoutedPath) < hops {
				away[site][p.Neighbour] = len(p.Attributes.RoutedPath)
			}
		}
	}
	found := make(map[federation.NodeID][]federation.NodeID, len(away))
	for site, hubs := range away {
		for hub := range hubs {
			found[site] = append(found[site], hub)
		}
		slices.SortFunc(found[site], func(a, b federation.NodeID) int { return cmp.Or(cmp.Compare(hubs[a], hubs[b]), cmp.Compare(a, b)) })
	}
	return found
}

const (
	// carriersPause is the least time between two readings of the table.
	carriersPause = 20 * time.Millisecond
	// carriersShare is how many times as long as a reading took the pause is: a large table is read rarely.
	carriersShare = 20
)

// followCarriers keeps the carriers current until ctx ends.
func (h *hub) followCarriers(ctx context.Context) error {
	for {
		changed := h.peering.TableChanged()
		began := time.Now()
		found := carriersIn(h.table.Snapshot())
		h.carriers.current.Store(&found)
		timer := time.NewTimer(max(carriersPause, carriersShare*time.Since(began)))
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		}
	}
}
