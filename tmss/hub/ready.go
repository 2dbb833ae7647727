package hub

import (
	"context"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/tmss/discovery"
	"github.com/mss-federation/mss/tmss/peering"
	"github.com/mss-federation/mss/tmss/routetable"
)

// readiness says whether routes are known, so that a number which nobody has is told from one whose site has not
// come back yet.
type readiness struct{ atomic.Bool }

// takesCalls says whether new calls may begin: the routes are known, and there is a key for the cookie by which what
// follows in a call finds its way. A domain's first hub has its key as soon as its directory has started; later there is
// one on the disk.
func (h *hub) takesCalls() bool { return h.ready.Load() && !h.keys.Empty() }

const (
	// sitesWait bounds how long a starting hub waits for offices; they are back within a second of its sockets.
	sitesWait = 3 * time.Second
	// hubsWait bounds how long it waits for other hubs, if it knows no routes of the last run.
	hubsWait = 10 * time.Second
)

// awaitRoutes makes the hub take new calls once it has the routes of the others. Until then it answers 503, and
// the callers' sites take another hub.
func (h *hub) awaitRoutes(ctx context.Context) {
	defer h.ready.Store(true)
	if !h.restored {
		h.await(ctx, hubsWait, h.hubsBack)
	}
	h.await(ctx, sitesWait, h.sitesBack)
}

// await returns when something holds, or after a while.
func (h *hub) await(ctx context.Context, atMost time.Duration, holds func() bool) {
	late := time.NewTimer(atMost)
	defer late.Stop()
	for {
		routes, directory := h.peering.TableChanged(), h.directory.Changed()
		if holds() {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-late.C:
			return
		case <-routes:
		case <-directory:
		}
	}
}

// hubsBack says whether every hub that is there has told all that it knows. A hub that never saw the directory does not
// know which there are.
func (h *hub) hubsBack() bool {
	view := h.directory.View()
	if view.Revision == 0 {
		return false
	}
	for i := range view.Hubs {
		other := &view.Hubs[i]
		if string(other.ID) != h.self.ID && other.Gone.IsZero() && h.peering.Peer(hubNode(other.ID)).Phase != peering.Up {
			return false
		}
	}
	return true
}

// sitesBack says whether every office that dials is back, here or at another hub.
func (h *hub) sitesBack() bool {
	for _, s := range h.sitesOf(h.directory.View()) {
		if s.Static == "" && h.peering.Peer(siteNode(s.ID)).Phase != peering.Up && !h.hasFresh(&s) {
			return false
		}
	}
	return true
}

// hasFresh says whether there is a current path to one of an office's blocks.
func (h *hub) hasFresh(s *discovery.Site) bool {
	table := h.table.Snapshot()
	for _, b := range s.Owns {
		e := table.Get(b.NLRI(h.domain))
		if e != nil && e.Usable > 0 && leadsTo(&e.Paths[0], s.ID) {
			return true
		}
	}
	return false
}

func leadsTo(p *routetable.Path, id federation.SiteID) bool {
	return p.Decision.Class == routetable.Learned && !p.Stale && p.Attributes.Origin.Site == id
}

func (h *hub) routeFile() string { return filepath.Join(h.options.Config.StateDir, routeFile) }
