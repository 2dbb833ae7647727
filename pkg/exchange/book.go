package exchange

import (
	"iter"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/mss-federation/mss/pkg/federation"
)

// Book is a small list of own routes as a Source: what a site announces. All its neighbours read the same
// book. It is safe for everyone.
type Book struct {
	self    federation.NodeID
	epoch   uint64
	current atomic.Pointer[page]
	mu      sync.Mutex
}

// page is one state of a book.
type page struct {
	revision uint64
	routes   map[federation.NLRI]federation.Route
	keys     []federation.NLRI
	changes  []Change // the newest bookRing; the last one is of this revision
}

// bookRing is how many changes a book keeps.
const bookRing = 4096

// NewBook makes an empty book for this start of a node.
func NewBook(self federation.NodeID, epoch uint64) *Book {
	b := &Book{self: self, epoch: epoch}
	b.current.Store(&page{routes: map[federation.NLRI]federation.Route{}})
	return b
}

// Set replaces the whole list. Only what differs becomes a change; the path and its revision are filled in
// here. Attributes must not change afterwards. The sessions are to be told (Changed) when it gives true.
func (b *Book) Set(routes map[federation.NLRI]*federation.Attributes) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	old := b.current.Load()
	next := &page{revision: old.revision, routes: maps.Clone(old.routes), changes: slices.Clone(old.changes)}
	all := slices.SortedFunc(maps.Keys(routes), federation.NLRI.Compare)
	for _, n := range old.keys {
		if routes[n] == nil {
			next.note(b, n, 1, true)
			delete(next.routes, n)
		}
	}
	for _, n := range all {
		have, known := old.routes[n]
		attributes := b.own(routes[n])
		if known && have.Attributes.Like(attributes) {
			continue
		}
		had := uint32(0)
		if known {
			had = 1
		}
		revision := next.note(b, n, had, false)
		next.routes[n] = federation.Route{NLRI: n, Attributes: attributes, Revisions: []uint64{revision}}
	}
	if next.revision == old.revision {
		return false
	}
	next.keys = all
	next.changes = next.changes[max(0, len(next.changes)-bookRing):]
	b.current.Store(next)
	return true
}

func (p *page) note(b *Book, n federation.NLRI, had uint32, urgent bool) uint64 {
	p.revision++
	p.changes = append(p.changes, Change{
		Revision: p.revision, NLRI: n, Had: had, Urgent: urgent,
		Cause: federation.Cause{Node: b.self, Epoch: b.epoch, Revision: p.revision},
	})
	return p.revision
}

// own puts this node at the origin.
func (b *Book) own(a *federation.Attributes) *federation.Attributes {
	c := *a
	c.Origin.Node, c.Origin.Epoch = b.self, b.epoch
	c.AdvPath = []federation.PathElement{{Node: b.self, Epoch: b.epoch}}
	c.RoutedPath = []federation.NodeID{b.self}
	if len(c.NextHops) == 0 {
		c.NextHops = []federation.NextHop{{Node: b.self}}
	}
	return &c
}

// View is the newest state.
func (b *Book) View() View { return b.current.Load() }

// Revision is that of the newest change.
func (p *page) Revision() uint64 { return p.revision }

// Resumable says whether the changes after version are here. A book offers all to everyone.
func (p *page) Resumable(version uint64) bool {
	_, _, ok := p.Changes(version, 1)
	return ok
}

// Changes are those after since.
func (p *page) Changes(since uint64, limit int) ([]Change, uint64, bool) {
	behind := p.revision - since
	if since > p.revision || behind > uint64(len(p.changes)) {
		return nil, 0, false
	}
	list := p.changes[uint64(len(p.changes))-behind:]
	if len(list) > limit {
		return list[:limit], list[limit-1].Revision, true
	}
	return list, p.revision, true
}

// Keys are the routes' NLRIs after one.
func (p *page) Keys(after federation.NLRI) iter.Seq[federation.NLRI] {
	at, found := slices.BinarySearchFunc(p.keys, after, federation.NLRI.Compare)
	if found {
		at++
	}
	return slices.Values(p.keys[at:])
}

// Routes is the one path of an NLRI.
func (p *page) Routes(n federation.NLRI, _ uint32) []federation.Route {
	if r, ok := p.routes[n]; ok {
		return []federation.Route{r}
	}
	return nil
}

// Nothing is a Source that offers nothing.
type Nothing struct{}

// View is empty.
func (Nothing) View() View { return &page{} }
