package policy

import (
	"time"

	"github.com/mss-federation/mss/pkg/exchange"
	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/tmss/routetable"
)

// Limit bounds what one neighbour may announce. The zero value means DefaultLimit.
type Limit struct {
	Max  int // NLRIs; more are not taken
	Warn int // percent of Max at which an event tells
}

// DefaultLimit is enough for an office of any size. A hub has more: see HubLimit.
var (
	DefaultLimit = Limit{Max: 20_000, Warn: 80}
	HubLimit     = Limit{Max: 2_000_000, Warn: 80}
)

// EventKind says what an Event is about.
type EventKind uint8

// The kinds.
const (
	RouteRefused EventKind = iota + 1 // import policy refused a route; Text names the rule
	LimitNear                         // the neighbour has reached Limit.Warn
	LimitReached                      // routes of the neighbour are not taken any more
	OwnerConflict
	OwnerResolved
)

// Event is something that an operator should know.
type Event struct {
	Kind      EventKind
	Neighbour federation.NodeID
	NLRI      federation.NLRI
	Text      string
}

// Inbound puts what one neighbour tells into the table, after import policy. It belongs to one goroutine.
type Inbound struct {
	table     *routetable.Table
	policy    func() *Policy
	neighbour federation.NodeID
	limit     Limit
	held      int
	warned    bool
	blocked   int
}

// NewInbound makes the way into the table for a neighbour. policy gives the one that is in force.
func NewInbound(table *routetable.Table, neighbour federation.NodeID, policy func() *Policy, limit Limit) *Inbound {
	if limit.Max == 0 {
		limit = DefaultLimit
		if _, hub := hubOf(neighbour); hub {
			limit = HubLimit
		}
	}
	return &Inbound{table: table, policy: policy, neighbour: neighbour, limit: limit}
}

// Blocked is how many announcements were not taken because of the limit. When there is room again, ask the
// neighbour for a refresh.
func (in *Inbound) Blocked() int { return in.blocked }

// Apply carries out what a session delivered.
func (in *Inbound) Apply(now time.Time, deltas []exchange.Delta) []Event {
	var events []Event
	changes := make([]routetable.Change, 0, len(deltas))
	in.held = in.table.Held(in.neighbour)
	snapshot, policy := in.table.Snapshot(), in.policy()
	for i := range deltas {
		d := &deltas[i]
		c := routetable.Change{Op: operation(d.Op), Neighbour: in.neighbour, Route: d.Route, Family: d.Family, Filter: d.Filter}
		if d.Op == exchange.Announce {
			var news []Event
			var ok bool
			if c.Decision, news, ok = in.admit(policy, snapshot, &d.Route); !ok {
				events = append(events, news...)
				continue
			}
			events = append(events, news...)
		}
		changes = append(changes, c)
	}
	return append(events, Conflicts(in.table.Apply(now, changes...))...)
}

// admit judges an announcement. False: the table must not even remember it.
func (in *Inbound) admit(policy *Policy, snapshot *routetable.Snapshot, r *federation.Route) (routetable.Decision, []Event, bool) {
	var events []Event
	before := in.known(snapshot, r)
	if before == nil {
		if in.held >= in.limit.Max {
			in.blocked++
			if in.blocked == 1 {
				events = append(events, in.event(LimitReached, r.NLRI, "limit: the neighbour announces more routes than are taken from it"))
			}
			return routetable.Decision{}, events, false
		}
		in.held++
		if !in.warned && in.held*100 >= in.limit.Max*in.limit.Warn {
			in.warned = true
			events = append(events, in.event(LimitNear, r.NLRI, "limit: the neighbour announces nearly as many routes as are taken from it"))
		}
	}
	d := policy.Import(in.neighbour, r.NLRI, r.Attributes)
	if d.Reject != routetable.Eligible && (before == nil || *before.Decision != d) {
		events = append(events, in.event(RouteRefused, r.NLRI, d.Rule))
	}
	return d, events, true
}

// known finds the path that an announcement replaces, or any other of the neighbour for the NLRI.
func (in *Inbound) known(snapshot *routetable.Snapshot, r *federation.Route) *routetable.Path {
	e := snapshot.Get(r.NLRI)
	if e == nil {
		return nil
	}
	var other *routetable.Path
	for i := range e.Paths {
		if p := &e.Paths[i]; p.Neighbour == in.neighbour {
			if p.PathID == r.PathID {
				return p
			}
			other = p
		}
	}
	return other
}

func (in *Inbound) event(kind EventKind, n federation.NLRI, text string) Event {
	return Event{Kind: kind, Neighbour: in.neighbour, NLRI: n, Text: text}
}

// Conflicts puts the table's events into the words of this package.
func Conflicts(events []routetable.Event) []Event {
	var out []Event
	for _, e := range events {
		kind, text := OwnerConflict, "claimed by sites that are not all authorised:"
		if e.Kind == routetable.Resolved {
			kind, text = OwnerResolved, "no longer claimed by several sites:"
		}
		for _, s := range e.Sites {
			text += " " + string(s)
		}
		out = append(out, Event{Kind: kind, NLRI: e.NLRI, Text: text})
	}
	return out
}

func operation(op exchange.DeltaOp) routetable.Op {
	switch op {
	case exchange.Announce:
		return routetable.Announce
	case exchange.Withdraw:
		return routetable.Withdraw
	case exchange.BeginRefresh:
		return routetable.BeginRefresh
	case exchange.EndRefresh:
		return routetable.EndRefresh
	default:
		return routetable.ClearStale
	}
}
