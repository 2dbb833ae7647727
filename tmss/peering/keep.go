package peering

import (
	"context"
	"iter"
	"log/slog"
	"time"

	"github.com/mss-federation/mss/pkg/exchange"
	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/tmss/policy"
	"github.com/mss-federation/mss/tmss/routefile"
	"github.com/mss-federation/mss/tmss/routetable"
)

// saveEvery is how often a changing table is written.
const saveEvery = 30 * time.Second

// Keep writes the learned routes to a file, at intervals while they change and at the end, until ctx ends. A failure
// costs what a start knows, no more: it is logged.
func (p *Peering) Keep(ctx context.Context, path string) error {
	var written *routetable.Snapshot
	ticker := time.NewTicker(saveEvery)
	defer ticker.Stop()
	for ended := false; !ended; {
		select {
		case <-ctx.Done():
			ended = true
		case <-ticker.C:
		}
		now := p.options.Table.Snapshot()
		if now == written {
			continue
		}
		if err := p.save(path); err != nil {
			p.options.Logger.Error("routes not kept on disk: a restart would begin without them", slog.Any("err", err))
			continue
		}
		written = now
	}
	return nil
}

// save writes what there is now. How far each neighbour's routes go is asked before the routes are: what a session
// tells again is known already, and nothing is left out.
func (p *Peering) save(path string) error {
	now := time.Now()
	head := routefile.Head{Domain: p.options.Domain, Self: p.options.Self, Saved: now}
	for _, n := range p.all() {
		if kept, ok := n.kept(now); ok {
			head.Neighbours = append(head.Neighbours, kept)
		}
	}
	return routefile.Write(path, head, learned(p.options.Table.Snapshot()))
}

func (n *neighbour) kept(now time.Time) (routefile.Neighbour, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	f := &n.mu.fate
	kept := routefile.Neighbour{Node: n.id, Resume: n.mu.reached, Heard: now.UTC()}
	if !f.session {
		kept.Heard = f.sessionAt.UTC()
	}
	return kept, f.holds
}

// learned yields the paths of a table.
func learned(s *routetable.Snapshot) iter.Seq[routefile.Route] {
	return func(yield func(routefile.Route) bool) {
		for e := range s.All() {
			for i := range e.Paths {
				r := routefile.Route{Neighbour: e.Paths[i].Neighbour}
				r.NLRI, r.PathID, r.Attributes, r.Revisions = e.NLRI, e.Paths[i].PathID, e.Paths[i].Attributes, e.Paths[i].Revisions
				if !yield(r) {
					return
				}
			}
		}
	}
}

// Restore takes the routes of a file into the empty table, as stale. It comes before sessions, and once the policy is
// in force. False: there are none that are of use.
func (p *Peering) Restore(path string) bool {
	now := time.Now()
	var head routefile.Head
	err := routefile.Read(path, func(h routefile.Head) error {
		head = h
		return p.fits(&h, now)
	}, func(routes []routefile.Route) { p.take(now, routes) })
	if err != nil && fault.KindOf(err) != fault.NotFound {
		p.options.Logger.Warn("routes of the last run not used", slog.Any("why", err))
	}
	for i := range head.Neighbours {
		if err == nil {
			p.restored(&head.Neighbours[i], now)
		} else {
			p.options.Table.Apply(now, routetable.Change{Op: routetable.Forget, Neighbour: head.Neighbours[i].Node})
		}
	}
	return err == nil && len(head.Neighbours) > 0
}

// fits says whether a file is this hub's, and not too old.
func (p *Peering) fits(h *routefile.Head, now time.Time) error {
	const op = "restore routes"
	switch age := now.Sub(h.Saved); {
	case h.Domain != p.options.Domain || h.Self != p.options.Self:
		return fault.New(op, fault.Conflict, string(h.Self), "they are those of another hub")
	case age > p.options.StaleMax:
		return fault.New(op, fault.Invalid, string(h.Self), "they are "+age.Round(time.Minute).String()+" old")
	}
	return nil
}

func (p *Peering) take(now time.Time, routes []routefile.Route) {
	rules := p.options.Policy()
	changes := make([]routetable.Change, 0, len(routes))
	for i := range routes {
		r := &routes[i]
		changes = append(changes, routetable.Change{
			Op: routetable.Announce, Neighbour: r.Neighbour, Route: r.Route, Decision: rules.Import(r.Neighbour, r.NLRI, r.Attributes),
		})
	}
	p.report(policy.Conflicts(p.options.Table.Apply(now, changes...)))
}

// restored makes a neighbour one that is gone since its routes were heard last.
func (p *Peering) restored(kept *routefile.Neighbour, now time.Time) {
	p.options.Table.Apply(now,
		routetable.Change{Op: routetable.MarkStale, Neighbour: kept.Node}, routetable.Change{Op: routetable.PublishStale, Neighbour: kept.Node})
	n := p.neighbour(kept.Node)
	n.resume = kept.Resume // nobody has the turn yet
	n.mu.Lock()
	defer n.mu.Unlock()
	n.mu.reached = kept.Resume
	n.mu.fate.restore(kept.Heard, now)
}

// reach notes up to where the table has what the neighbour told. It is called where that is so: on the session's
// goroutine.
func (n *neighbour) reach(r exchange.Resume) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.mu.reached = r
}
