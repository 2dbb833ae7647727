package routetable

import (
	"cmp"
	"slices"
	"time"

	"github.com/mss-federation/mss/pkg/federation"
)

// edit is one batch of changes on its way to a new snapshot.
type edit struct {
	t     *Table
	now   time.Time
	batch uint64
	next  Snapshot
	dirty bool
	// scratch is where paths are altered, so that an entry keeps no byte more than it has paths.
	scratch []Path
	events  []Event
}

func (t *Table) edit(now time.Time) *edit {
	t.mu.batch++
	return &edit{t: t, now: now, batch: t.mu.batch, next: *t.current.Load()}
}

func (e *edit) publish() {
	if e.dirty {
		next := e.next
		e.t.current.Store(&next)
	}
}

func (e *edit) apply(c *Change) {
	if c.Op == Announce || c.Op == Withdraw {
		if c.Route.NLRI.Family > federation.Default {
			return
		}
	}
	switch c.Op {
	case Announce:
		e.announce(c)
	case Withdraw:
		e.withdraw(c.Neighbour, c.Route.NLRI, c.Route.PathID, c.Route.Cause)
	default:
		e.applyToNeighbour(c)
	}
}

func (e *edit) announce(c *Change) {
	n := e.t.neighbourLocked(c.Neighbour)
	path := Path{
		Attributes: c.Route.Attributes, Decision: e.t.internLocked(c.Decision), Neighbour: n.id,
		Revisions: c.Route.Revisions, PathID: c.Route.PathID, Down: n.down,
	}
	e.note(path.Attributes.ValidUntil)
	entry := e.change(c.Route.NLRI, c.Route.Cause, func(paths []Path) []Path {
		paths = slices.DeleteFunc(paths, func(p Path) bool { return p.outdated(c.Route.Cause) })
		at := slices.IndexFunc(paths, func(p Path) bool { return p.Neighbour == path.Neighbour && p.PathID == path.PathID })
		if at < 0 {
			return append(paths, path)
		}
		paths[at] = path
		return paths
	})
	n.hold(entry.id, path.PathID)
}

func (e *edit) withdraw(from federation.NodeID, nlri federation.NLRI, pathID uint32, cause federation.Cause) {
	e.change(nlri, cause, func(paths []Path) []Path {
		return slices.DeleteFunc(paths, func(p Path) bool {
			return p.outdated(cause) || p.Neighbour == from && p.PathID >= pathID
		})
	})
}

// outdated says whether the node at the root of a change stands in the path with an older revision.
func (p *Path) outdated(c federation.Cause) bool {
	if c.Node == "" {
		return false
	}
	for i, element := range p.Attributes.AdvPath {
		if element.Node != c.Node || i >= len(p.Revisions) {
			continue
		}
		if element.Epoch < c.Epoch || element.Epoch == c.Epoch && p.Revisions[i] < c.Revision {
			return true
		}
	}
	return false
}

// note remembers when the next path expires.
func (e *edit) note(at time.Time) {
	if !at.IsZero() && at.After(e.now) && (e.t.mu.expires.IsZero() || at.Before(e.t.mu.expires)) {
		e.t.mu.expires = at
	}
}

// change gives a copy of an NLRI's paths to alter and puts the result into the next snapshot, ranked. It
// returns the new entry, nil when no path is left.
func (e *edit) change(nlri federation.NLRI, cause federation.Cause, alter func([]Path) []Path) *Entry {
	key := treeKey(nlri.Family, nlri.Key)
	old := e.next.roots[nlri.Family].get(key, nlri)
	var before []Path
	if old != nil {
		before = old.Paths
	}
	paths := alter(append(e.scratch[:0], before...))
	e.scratch = paths
	if len(paths) == 0 {
		e.drop(old, key, cause)
		return nil
	}
	for i := range paths {
		paths[i].Reason = paths[i].judge(e.t.options.Self, e.now)
		e.note(paths[i].Attributes.ValidUntil)
	}
	usable := rank(paths)
	entry := &Entry{Paths: append(make([]Path, 0, len(paths)), paths...), Usable: usable}
	if old != nil {
		entry.NLRI, entry.Revision, entry.id = old.NLRI, old.Revision, old.id
	} else {
		entry.NLRI, entry.id = nlri, e.t.newIDLocked()
		e.next.routes++
	}
	e.put(old, entry, key, cause)
	return entry
}

func (e *edit) put(old, entry *Entry, key string, cause federation.Cause) {
	var before []Path
	if old != nil {
		before = old.Paths
	}
	if differ(old, entry) {
		entry.Revision = e.reveal(entry.NLRI, cause, old)
	}
	e.forgetLost(entry.id, before, entry.Paths)
	e.next.paths += len(entry.Paths) - len(before)
	e.watch(entry.NLRI, before, entry.Paths)
	e.t.mu.keys[entry.id] = entry
	root := e.next.roots[entry.NLRI.Family]
	if root == nil {
		root = &node{owner: e.batch}
	}
	e.next.roots[entry.NLRI.Family] = root.set(e.batch, key, entry)
	e.dirty = true
}

func (e *edit) drop(old *Entry, key string, cause federation.Cause) {
	if old == nil {
		return
	}
	if old.Usable > 0 {
		e.reveal(old.NLRI, cause, old)
	}
	e.forgetLost(old.id, old.Paths, nil)
	e.next.paths -= len(old.Paths)
	e.next.routes--
	e.watch(old.NLRI, old.Paths, nil)
	family := old.NLRI.Family
	e.next.roots[family] = e.next.roots[family].remove(e.batch, key, old.NLRI)
	e.t.mu.keys[old.id] = nil
	e.t.mu.free = append(e.t.mu.free, old.id)
	e.dirty = true
}

// reveal gives a change its revision and keeps it for neighbours. Where nothing else was at the root, this
// node was.
func (e *edit) reveal(nlri federation.NLRI, cause federation.Cause, before *Entry) uint64 {
	e.next.revision++
	if cause.Node == "" {
		cause = federation.Cause{Node: e.t.options.Self, Epoch: e.t.options.Epoch, Revision: e.next.revision}
	}
	e.t.mu.ring.add(Changed{Revision: e.next.revision, NLRI: nlri, Cause: cause, Before: before})
	return e.next.revision
}

// differ says whether neighbours would see a difference.
func differ(old, entry *Entry) bool {
	if old == nil {
		return entry.Usable > 0
	}
	return !sameOffer(old, entry)
}

// sameOffer compares the usable paths and their order, but for staleness that neighbours do not know of,
// and for epochs and revisions, which a restarted origin alone changes.
func sameOffer(a, b *Entry) bool {
	if a.Usable != b.Usable {
		return false
	}
	if a.Usable == 1 {
		return samePath(&a.Paths[0], &b.Paths[0])
	}
	x, y := slices.Clone(a.Paths[:a.Usable]), slices.Clone(b.Paths[:b.Usable])
	for _, paths := range [][]Path{x, y} {
		for i := range paths {
			paths[i].Stale = paths[i].told
		}
		rank(paths)
	}
	return slices.EqualFunc(x, y, func(p, q Path) bool { return samePath(&p, &q) })
}

func samePath(p, q *Path) bool {
	return p.Neighbour == q.Neighbour && p.PathID == q.PathID && p.Class() == q.Class() && p.Decision.Authority == q.Decision.Authority &&
		(p.Attributes == q.Attributes || p.Attributes.Like(q.Attributes))
}

func (t *Table) newIDLocked() uint32 {
	if n := len(t.mu.free); n > 0 {
		id := t.mu.free[n-1]
		t.mu.free = t.mu.free[:n-1]
		return id
	}
	t.mu.keys = append(t.mu.keys, nil)
	return uint32(len(t.mu.keys) - 1)
}

// watch reports sites that begin or cease to claim one prefix without being authorised all.
func (e *edit) watch(nlri federation.NLRI, before, after []Path) {
	if nlri.Family == federation.Default {
		return
	}
	had, has := claimants(before), claimants(after)
	switch {
	case slices.Equal(had, has):
	case len(has) > 1:
		e.events = append(e.events, Event{Kind: Conflict, NLRI: nlri, Sites: has})
	case len(had) > 1:
		e.events = append(e.events, Event{Kind: Resolved, NLRI: nlri, Sites: had})
	}
}

// claimants are the sites of an NLRI where not all are authorised; nil where there is no conflict.
func claimants(paths []Path) []federation.SiteID {
	if len(paths) < 2 {
		return nil
	}
	var sites []federation.SiteID
	authorised := true
	for i := range paths {
		site := paths[i].Attributes.Origin.Site
		if site == "" {
			continue
		}
		authorised = authorised && paths[i].Decision.Authority == Valid
		if at, found := slices.BinarySearchFunc(sites, site, cmp.Compare); !found {
			sites = slices.Insert(sites, at, site)
		}
	}
	if authorised || len(sites) < 2 {
		return nil
	}
	return sites
}
