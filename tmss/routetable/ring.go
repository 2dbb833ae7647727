package routetable

import "github.com/mss-federation/mss/pkg/federation"

// Changed is one entry of the change ring: at this revision the paths of NLRI became others.
type Changed struct {
	Revision uint64
	NLRI     federation.NLRI
	Cause    federation.Cause // what was at the root; this node itself where it acted on its own
	Before   *Entry           // what was there; nil when nothing was
}

// ring holds the newest changes; the change with revision r is at r modulo size.
type ring struct {
	changes []Changed
	size    int
	newest  uint64
}

func (r *ring) add(c Changed) {
	r.newest = c.Revision
	if len(r.changes) < r.size {
		r.changes = append(r.changes, c) // revisions begin with 1 and have no gaps
		return
	}
	r.changes[(c.Revision-1)%uint64(r.size)] = c
}

// Changes appends to buf the changes after since and up to until, at most cap(buf)-len(buf) of them. False
// says that the ring no longer holds them, or that since is not a revision of this epoch.
func (t *Table) Changes(since, until uint64, buf []Changed) ([]Changed, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := &t.mu.ring
	if !r.holds(since) {
		return buf, false
	}
	for rev := since + 1; rev <= min(until, r.newest) && len(buf) < cap(buf); rev++ {
		buf = append(buf, r.changes[(rev-1)%uint64(r.size)])
	}
	return buf, true
}

// Holds says whether Changes can be asked for what came after a revision.
func (t *Table) Holds(since uint64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.mu.ring.holds(since)
}

// holds says whether all changes after since are here.
func (r *ring) holds(since uint64) bool {
	return since <= r.newest && r.newest-since <= uint64(len(r.changes))
}
