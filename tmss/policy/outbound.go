package policy

import (
	"iter"
	"maps"
	"slices"
	"sync"

	"github.com/mss-federation/mss/pkg/exchange"
	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/tmss/routetable"
)

// Links says which hubs have a live session with which, by what each of them reports. A link counts when
// both ends report it, so that one that works one way only is bridged too.
type Links map[federation.HubID][]federation.HubID

// up says whether two hubs reach each other without us.
func (l Links) up(a, b federation.HubID) bool {
	return slices.Contains(l[a], b) && slices.Contains(l[b], a)
}

// Outbound is what one neighbour is offered of the table: an exchange.Source. Keep it as long as the
// neighbour, also between sessions: it knows since when the same is offered.
type Outbound struct {
	table     *routetable.Table
	neighbour federation.NodeID
	site      federation.SiteID // of a site
	hub       federation.HubID  // of a hub
	cost      uint32            // of the link

	mu struct {
		sync.Mutex
		bridged   map[federation.HubID]bool // hubs whose routes we pass on to this hub
		since     uint64                    // the table's revision when that changed
		rewritten map[*federation.Attributes]*federation.Attributes
	}
}

var _ exchange.Source = (*Outbound)(nil)

// maxRewritten bounds how many rewritten attributes are kept to be shared.
const maxRewritten = 65_536

// NewOutbound makes the offer to a neighbour over a link of some cost. Nothing is bridged yet.
func NewOutbound(table *routetable.Table, neighbour federation.NodeID, cost uint32) *Outbound {
	o := &Outbound{table: table, neighbour: neighbour, cost: cost}
	o.site, _ = siteOf(neighbour)
	o.hub, _ = hubOf(neighbour)
	o.mu.rewritten = make(map[*federation.Attributes]*federation.Attributes)
	return o
}

// SetLinks tells which hubs reach each other. True: the offer has changed, and the session is to be told
// (exchange.PolicyChanged). Hubs that say nothing yet should be left out of known.
func (o *Outbound) SetLinks(known Links) bool {
	if o.hub == "" {
		return false
	}
	bridged := make(map[federation.HubID]bool)
	for hub := range known {
		if hub != o.hub && !known.up(hub, o.hub) {
			bridged[hub] = true
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if maps.Equal(bridged, o.mu.bridged) {
		return false
	}
	o.mu.bridged = bridged
	o.mu.since = o.table.Snapshot().Revision() + 1
	return true
}

// View is the offer now.
func (o *Outbound) View() exchange.View {
	o.mu.Lock()
	defer o.mu.Unlock()
	return &offer{o: o, snapshot: o.table.Snapshot(), bridged: o.mu.bridged, since: o.mu.since}
}

// offer is what a neighbour is offered of one snapshot.
type offer struct {
	o        *Outbound
	snapshot *routetable.Snapshot
	bridged  map[federation.HubID]bool
	since    uint64
}

// Revision is the table's.
func (v *offer) Revision() uint64 { return v.snapshot.Revision() }

// Resumable refuses what was offered before the policy changed.
func (v *offer) Resumable(version uint64) bool { return version >= v.since && v.o.table.Holds(version) }

// Keys are those of all routes; what is not offered has no Routes.
func (v *offer) Keys(after federation.NLRI) iter.Seq[federation.NLRI] {
	return func(yield func(federation.NLRI) bool) {
		for e := range v.snapshot.After(after) {
			if !yield(e.NLRI) {
				return
			}
		}
	}
}

// Routes are the best paths that the neighbour may have, each of another site: who searches serially needs
// alternates that do not fail together.
func (v *offer) Routes(n federation.NLRI, limit uint32) []federation.Route {
	return v.routes(v.snapshot.Get(n), limit)
}

func (v *offer) routes(e *routetable.Entry, limit uint32) []federation.Route {
	var routes []federation.Route
	for _, p := range v.pick(e, limit) {
		routes = append(routes, federation.Route{
			NLRI: e.NLRI, Attributes: v.o.rewrite(p.Attributes), Revisions: append(slices.Clip(p.Revisions), e.Revision),
		})
	}
	return routes
}

func (v *offer) pick(e *routetable.Entry, limit uint32) []*routetable.Path {
	if e == nil {
		return nil
	}
	var picked []*routetable.Path
	for i := range e.Paths[:e.Usable] {
		p := &e.Paths[i]
		if uint32(len(picked)) == limit {
			break
		}
		same := slices.ContainsFunc(picked, func(q *routetable.Path) bool { return destination(q) == destination(p) })
		if !same && v.permits(p) {
			picked = append(picked, p)
		}
	}
	return picked
}

// destination is the site that a path leads to, or the node that knows more.
func destination(p *routetable.Path) string {
	if site := p.Attributes.Origin.Site; site != "" {
		return "site/" + string(site)
	}
	return string(p.Attributes.Origin.Node) + " " + string(p.Neighbour)
}

// permits is the default export policy.
func (v *offer) permits(p *routetable.Path) bool {
	a := p.Attributes
	switch {
	case a.Passed(v.o.neighbour) || a.Has(federation.NoAdvertise):
		return false
	case p.Decision.Class == routetable.Null: // each hub makes its own
		return false
	case v.o.site != "":
		return a.Origin.Site != v.o.site
	case a.OTC != "" || a.Has(federation.NoExport):
		return false
	}
	from, hub := hubOf(p.Neighbour)
	return !hub || p.Neighbour == v.o.table.Self() || v.bridged[from]
}

// rewrite gives the attributes as the neighbour sees them: this node stands in the path, and calls come
// here.
func (o *Outbound) rewrite(a *federation.Attributes) *federation.Attributes {
	o.mu.Lock()
	defer o.mu.Unlock()
	if r := o.mu.rewritten[a]; r != nil {
		return r
	}
	self := o.table.Self()
	r := *a
	r.AdvPath = append(slices.Clip(a.AdvPath), federation.PathElement{Node: self, Epoch: o.table.Epoch()})
	r.RoutedPath = append(slices.Clip(a.RoutedPath), self)
	r.NextHops = []federation.NextHop{{Node: self}}
	r.Cost += o.cost
	if o.site != "" && r.OTC == "" {
		r.OTC = self
	}
	if len(o.mu.rewritten) >= maxRewritten {
		clear(o.mu.rewritten)
	}
	o.mu.rewritten[a] = &r
	return &r
}

// ringChunk is how many changes are read from the table's ring at a time.
const ringChunk = 1024

// Changes are those that concern the neighbour. One that it saw nothing of before and sees nothing of now
// is left out; all others are told, also where its paths are the same: their revision is new, and without
// it a cause that comes another way round would take them for outdated.
func (v *offer) Changes(since uint64, limit int) ([]exchange.Change, uint64, bool) {
	var changes []exchange.Change
	until := v.snapshot.Revision()
	buf := make([]routetable.Changed, 0, min(uint64(ringChunk), until-min(since, until)))
	for since < until {
		var ok bool
		if buf, ok = v.o.table.Changes(since, until, buf[:0]); !ok {
			return nil, 0, false
		}
		for i := range buf {
			if len(changes) == limit {
				return changes, since, true
			}
			since = buf[i].Revision
			if c, concerns := v.change(&buf[i]); concerns {
				changes = append(changes, c)
			}
		}
	}
	return changes, until, v.o.table.Holds(since)
}

// most is the number of paths that any neighbour is offered.
const most = 8

func (v *offer) change(c *routetable.Changed) (exchange.Change, bool) {
	had, has := len(v.pick(c.Before, most)), len(v.pick(v.snapshot.Get(c.NLRI), most))
	return exchange.Change{Revision: c.Revision, NLRI: c.NLRI, Cause: c.Cause, Had: uint32(had), Urgent: had > has}, had+has > 0
}
