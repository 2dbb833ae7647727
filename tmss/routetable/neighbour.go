package routetable

import (
	"maps"
	"slices"
	"strings"

	"github.com/mss-federation/mss/pkg/federation"
)

// neighbour is what a table knows of one announcer.
type neighbour struct {
	id         federation.NodeID
	held       map[uint32]mark // by entry id
	generation uint32          // of the refresh that is on, or was the last
	down       bool
}

// mark says up to which path id a neighbour has announced an NLRI, and in which refresh.
type mark struct {
	generation uint32
	top        uint32
}

func (t *Table) neighbourLocked(id federation.NodeID) *neighbour {
	n := t.mu.neighbours[id]
	if n == nil {
		n = &neighbour{id: id, held: make(map[uint32]mark)}
		t.mu.neighbours[id] = n
	}
	return n
}

// hold notes that the neighbour announced a path just now.
func (n *neighbour) hold(entry, pathID uint32) {
	m := n.held[entry]
	if m.generation != n.generation {
		m = mark{generation: n.generation}
	}
	m.top = max(m.top, pathID)
	n.held[entry] = m
}

// forgetLost takes an entry from the neighbours that no longer have a path of it.
func (e *edit) forgetLost(entry uint32, before, after []Path) {
	for i := range before {
		if lost(after, before[i].Neighbour) {
			if n := e.t.mu.neighbours[before[i].Neighbour]; n != nil {
				delete(n.held, entry)
			}
		}
	}
}

func lost(paths []Path, id federation.NodeID) bool {
	for i := range paths {
		if paths[i].Neighbour == id {
			return false
		}
	}
	return true
}

// Held is how many NLRIs a neighbour has paths of.
func (t *Table) Held(id federation.NodeID) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := t.mu.neighbours[id]; n != nil {
		return len(n.held)
	}
	return 0
}

func (e *edit) applyToNeighbour(c *Change) {
	n := e.t.neighbourLocked(c.Neighbour)
	switch c.Op {
	case BeginRefresh:
		n.generation++
	case EndRefresh:
		e.sweep(n, c)
	case MarkStale, ClearStale, PublishStale:
		e.each(n, c, func(entry *Entry) { e.stale(n.id, entry.NLRI, c.Op) })
	case HopDown, HopUp:
		n.down = c.Op == HopDown
		e.each(n, c, func(entry *Entry) { e.nextHop(n, entry.NLRI) })
	case Forget:
		e.each(n, c, func(entry *Entry) { e.withdraw(n.id, entry.NLRI, 0, federation.Cause{}) })
		if len(n.held) == 0 {
			delete(e.t.mu.neighbours, n.id)
		}
	default: // the others concern one route
	}
}

// each visits what the neighbour holds, within the limits of the change.
func (e *edit) each(n *neighbour, c *Change, visit func(*Entry)) {
	for _, id := range slices.Sorted(maps.Keys(n.held)) { // revisions shall not depend on the map's order
		if entry := e.t.mu.keys[id]; c.concerns(entry.NLRI) {
			visit(entry)
		}
	}
}

func (c *Change) concerns(nlri federation.NLRI) bool {
	return (c.Family == federation.AnyFamily || c.Family == nlri.Family) && strings.HasPrefix(nlri.Key, c.Filter)
}

// sweep withdraws what was not announced since BeginRefresh, paths with greater ids than the last one too.
func (e *edit) sweep(n *neighbour, c *Change) {
	e.each(n, c, func(entry *Entry) {
		m := n.held[entry.id]
		if m.generation != n.generation {
			m.top = 0
		}
		for i := range entry.Paths {
			if p := &entry.Paths[i]; p.Neighbour == n.id && p.PathID > m.top {
				e.withdraw(n.id, entry.NLRI, m.top+1, federation.Cause{})
				return
			}
		}
	})
}

// stale marks what came from a neighbour. Others do not know of it until told, and of its end at once if
// they were told.
func (e *edit) stale(id federation.NodeID, nlri federation.NLRI, op Op) {
	e.change(nlri, federation.Cause{}, func(paths []Path) []Path {
		for i := range paths {
			p := &paths[i]
			if p.Neighbour != id {
				continue
			}
			switch op {
			case MarkStale:
				p.Stale = true
			case PublishStale:
				p.told = p.Stale
			default:
				p.Stale, p.told = false, false
			}
		}
		return paths
	})
}

func (e *edit) nextHop(n *neighbour, nlri federation.NLRI) {
	e.change(nlri, federation.Cause{}, func(paths []Path) []Path {
		for i := range paths {
			if paths[i].Neighbour == n.id {
				paths[i].Down = n.down
			}
		}
		return paths
	})
}
