package routetable

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/mss-federation/mss/pkg/federation"
)

// DefaultRing is how many changes are kept for neighbours that come back.
const DefaultRing = 200_000

// Options say whose table it is.
type Options struct {
	Self  federation.NodeID
	Epoch uint64 // of this start of the node; revisions count within it
	Ring  int    // changes kept for resuming neighbours; zero means DefaultRing
}

// Op is what a Change does.
type Op uint8

// The operations. The first two concern one route, the others all routes of Change.Neighbour, limited by
// Change.Family and Change.Filter.
const (
	Announce     Op = iota + 1
	Withdraw        // Route.PathID and all greater ones
	BeginRefresh    // marks what the neighbour has
	EndRefresh      // sweeps what was not announced since BeginRefresh
	MarkStale       // the session is down; changes ranks, and tells nobody
	ClearStale      // the session is back, and what it brought is current
	PublishStale    // neighbours shall learn of the ranks that MarkStale changed
	HopDown         // the neighbour answers nothing: only PSTN numbers are of use
	HopUp
	Forget // withdraws everything
)

// Change is one thing that happened to the table.
type Change struct {
	Op        Op
	Neighbour federation.NodeID
	Route     federation.Route  // of Announce; of Withdraw NLRI, PathID and Cause
	Decision  Decision          // of Announce: what import policy said
	Family    federation.Family // limits the operations on a neighbour; AnyFamily: all
	Filter    string            // and to keys that begin like this
}

// Event is something that an operator should know.
type Event struct {
	Kind  EventKind
	NLRI  federation.NLRI
	Sites []federation.SiteID // who claims it
}

// EventKind says what an Event is about.
type EventKind uint8

// The kinds.
const (
	Conflict EventKind = iota + 1 // several sites claim one prefix and not all are authorised
	Resolved                      // they no longer do
)

// Table is a hub's routes. Changes are serial; snapshots are free for everyone.
type Table struct {
	options Options
	current atomic.Pointer[Snapshot]

	mu struct {
		sync.Mutex
		batch      uint64
		keys       []*Entry // by id: the newest entry of an NLRI
		free       []uint32
		neighbours map[federation.NodeID]*neighbour
		decisions  map[Decision]*Decision
		ring       ring
		expires    time.Time // no path expires before
	}
}

// New makes an empty table.
func New(o Options) *Table {
	if o.Ring == 0 {
		o.Ring = DefaultRing
	}
	t := &Table{options: o}
	t.mu.neighbours = make(map[federation.NodeID]*neighbour)
	t.mu.decisions = make(map[Decision]*Decision)
	t.mu.ring.size = o.Ring
	t.current.Store(&Snapshot{})
	return t
}

// Epoch is the one in which the table's revisions count.
func (t *Table) Epoch() uint64 { return t.options.Epoch }

// Self is the node whose table it is.
func (t *Table) Self() federation.NodeID { return t.options.Self }

// Snapshot is the table as it is now.
func (t *Table) Snapshot() *Snapshot { return t.current.Load() }

// Lookup looks in the newest snapshot.
func (t *Table) Lookup(number federation.Number) Match { return t.Snapshot().Lookup(number) }

// Apply carries changes out in their order and publishes them as one snapshot. It may be called by
// everyone at any time. Announcements must hold checked NLRIs and attributes that no longer change.
func (t *Table) Apply(now time.Time, changes ...Change) []Event {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.edit(now)
	for i := range changes {
		e.apply(&changes[i])
	}
	e.publish()
	return e.events
}

// Expire takes paths out of use whose time is over. It is cheap while there are none.
func (t *Table) Expire(now time.Time) []Event {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.mu.expires.IsZero() || now.Before(t.mu.expires) {
		return nil
	}
	t.mu.expires = time.Time{}
	e := t.edit(now)
	for _, entry := range t.mu.keys {
		if entry != nil {
			e.change(entry.NLRI, federation.Cause{}, func(paths []Path) []Path { return paths })
		}
	}
	e.publish()
	return e.events
}

// Review asks import policy again about every path, after it has changed. decide must be pure.
func (t *Table) Review(now time.Time, decide func(federation.NLRI, *Path) Decision) []Event {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.edit(now)
	for _, entry := range t.mu.keys {
		if entry == nil {
			continue
		}
		e.change(entry.NLRI, federation.Cause{}, func(paths []Path) []Path {
			for i := range paths {
				paths[i].Decision = t.internLocked(decide(entry.NLRI, &paths[i]))
			}
			return paths
		})
	}
	e.publish()
	return e.events
}

func (t *Table) internLocked(d Decision) *Decision {
	if have := t.mu.decisions[d]; have != nil {
		return have
	}
	if len(t.mu.decisions) > maxDecisions {
		clear(t.mu.decisions) // older paths keep theirs
	}
	t.mu.decisions[d] = &d
	return &d
}

// maxDecisions bounds what is kept to be shared; there are as many as there are rules.
const maxDecisions = 10_000
