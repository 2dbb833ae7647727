package policy

import (
	"maps"
	"slices"
	"time"

	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/tmss/routetable"
)

// StaticRoute is a route that an operator configured.
type StaticRoute struct {
	ID       string // its name in the directory
	NLRI     federation.NLRI
	NextHops []federation.NextHop // none: calls end here with 404
	Cost     uint32
	Fallback federation.Fallback
}

// Statics are routes of this node itself: the operator's, and for every prefix that a site owns a null
// route, so that a number which the site does not announce ends here and never takes a default route.
func (p *Policy) Statics(self federation.NodeID, epoch uint64, routes []StaticRoute) []routetable.Change {
	changes := []routetable.Change{{Op: routetable.BeginRefresh, Neighbour: self}}
	ids := make(map[federation.NLRI]uint32) // without gaps, as the table's sweep wants them
	add := func(n federation.NLRI, d routetable.Decision, a *federation.Attributes) {
		ids[n]++
		changes = append(changes, routetable.Change{
			Op: routetable.Announce, Neighbour: self, Decision: d,
			Route: federation.Route{NLRI: n, PathID: ids[n], Attributes: a},
		})
	}
	for i := range routes {
		r := &routes[i]
		d := routetable.Decision{Class: routetable.Static, Authority: routetable.Valid, LocalPref: routetable.DefaultLocalPref, Rule: "static " + r.ID}
		if len(r.NextHops) == 0 {
			d.Class = routetable.Null
		}
		add(r.NLRI, d, &federation.Attributes{
			Origin: federation.Origin{Node: self, Epoch: epoch}, NextHops: r.NextHops, Cost: r.Cost, Fallback: r.Fallback,
		})
	}
	for _, id := range slices.Sorted(maps.Keys(p.sites)) {
		site := p.sites[id]
		a := &federation.Attributes{Origin: federation.Origin{Node: self, Site: site.ID, Epoch: epoch}}
		d := routetable.Decision{Class: routetable.Null, Authority: routetable.Valid, LocalPref: routetable.DefaultLocalPref, Rule: "owned by " + string(site.ID)}
		for _, n := range site.Prefixes {
			add(n, d, a)
		}
	}
	return append(changes, routetable.Change{Op: routetable.EndRefresh, Neighbour: self})
}

// Install makes a policy and its static routes the table's: everything that is there is judged anew.
func (p *Policy) Install(table *routetable.Table, now time.Time, routes []StaticRoute) []Event {
	events := table.Review(now, p.Review(table.Self()))
	events = append(events, table.Apply(now, p.Statics(table.Self(), table.Epoch(), routes)...)...)
	return Conflicts(events)
}
