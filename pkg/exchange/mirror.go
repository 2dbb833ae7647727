package exchange

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/mss-federation/mss/pkg/federation"
)

// Mirror keeps what one neighbour announces, as a site does that has no table of its own. It belongs to
// one goroutine. The zero value is ready.
type Mirror struct {
	paths  map[mirrorKey]federation.Route
	marked map[mirrorKey]bool
	stale  bool
}

type mirrorKey struct {
	nlri federation.NLRI
	id   uint32
}

// Apply carries out what a session delivered.
func (m *Mirror) Apply(deltas []Delta) {
	if m.paths == nil {
		m.paths, m.marked = make(map[mirrorKey]federation.Route), make(map[mirrorKey]bool)
	}
	for i := range deltas {
		m.apply(&deltas[i])
	}
}

func (m *Mirror) apply(d *Delta) {
	switch d.Op {
	case Announce:
		k := mirrorKey{d.Route.NLRI, d.Route.PathID}
		m.paths[k] = d.Route
		delete(m.marked, k)
	case Withdraw:
		for id := max(d.Route.PathID, 1); id <= topMaxPaths; id++ {
			k := mirrorKey{d.Route.NLRI, id}
			delete(m.paths, k)
			delete(m.marked, k)
		}
	case BeginRefresh:
		for k := range m.paths {
			if d.concerns(k.nlri) {
				m.marked[k] = true
			}
		}
	case EndRefresh:
		for k := range m.marked {
			if d.concerns(k.nlri) {
				delete(m.paths, k)
				delete(m.marked, k)
			}
		}
		m.stale = false
	case Fresh:
		m.stale = false
	}
}

func (d *Delta) concerns(n federation.NLRI) bool {
	return (d.Family == federation.AnyFamily || d.Family == n.Family) && strings.HasPrefix(n.Key, d.Filter)
}

// SetStale says that the session is down: what is here may be old, until the neighbour has told again.
func (m *Mirror) SetStale() { m.stale = true }

// Stale says whether what is here may be old.
func (m *Mirror) Stale() bool { return m.stale }

// Routes are all paths in a fixed order.
func (m *Mirror) Routes() []federation.Route {
	return slices.SortedFunc(maps.Values(m.paths), func(a, b federation.Route) int {
		return cmp.Or(a.NLRI.Compare(b.NLRI), cmp.Compare(a.PathID, b.PathID))
	})
}
