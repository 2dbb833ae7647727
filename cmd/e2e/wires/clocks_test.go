package wires

import (
	"testing"
	"time"

	"github.com/mss-federation/mss/cmd/internal/rig/netns"
	"github.com/mss-federation/mss/cmd/internal/rig/node"
	commonv1 "github.com/mss-federation/mss/proto/mss/common/v1"
)

const (
	// published is when others learn of a session that is gone, and a next hop that is silent is withdrawn.
	published = 2 * time.Second
	// early is what a clock of two seconds may be before: the node's own notice comes after ours.
	early = 200 * time.Millisecond
	// unanswered is how long an INVITE waits for the first word.
	unanswered = 1500 * time.Millisecond
	// answered bounds what a caller waits.
	answered = 2 * time.Second
	// breakFor is an interruption after which a session is back within two seconds.
	breakFor = 500 * time.Millisecond
	// quietFor is how long nobody must hear of it.
	quietFor = 4 * time.Second

	suspectAfter, closedAfter = 2 * time.Second, 6 * time.Second
	hubHold, hubKeepalive     = 5 * time.Second, time.Second
	siteHold, siteKeepalive   = 20 * time.Second, 5 * time.Second
	// settled is how long a session has stood that is dialled again at once when it ends.
	settled = 10 * time.Second
	// ping is how often a trunk is asked; what was heard last was heard that long before a cut at most.
	ping = time.Second
)

// rounds is how often each clock is measured.
func rounds() int {
	if long {
		return 10
	}
	return 1
}

// TestClocks holds the nodes to the clocks that the network promises, for a site and for a hub: what becomes of new calls
// and of routes when a session ends, falls silent, or a node dies. Other tests wait: they would be measured too.
func TestClocks(t *testing.T) {
	l := &ledger{}
	t.Run("nodes", func(t *testing.T) {
		for _, c := range []struct {
			name    string
			prepare func(*testing.T, *ledger) func(*testing.T, netns.End)
			first   int // of the ways to end, as each round has one
		}{{"a site's routes", siteRoutes, 0}, {"a site's uplink", siteUplink, 0}, {"a hub", hubClocks, 1}} {
			t.Run(c.name, func(t *testing.T) {
				measure := c.prepare(t, l)
				t.Parallel() // not before: starting nodes takes the machine
				for i := range rounds() {
					measure(t, []netns.End{netns.FIN, netns.RST}[(c.first+i)%2])
				}
			})
		}
	})
	t.Log(l.table())
}

func watch(t *testing.T, h *townHub) *node.Watch {
	t.Helper()
	w, err := h.Watch(within(t, settleFor), "")
	must(t, err)
	t.Cleanup(w.Close)
	return w
}

// until is when a hub knows of a prefix what fits, after a fault.
func until(t *testing.T, w *node.Watch, since time.Time, prefix string, fits func(*node.Change) bool) time.Duration {
	t.Helper()
	c, err := w.Until(within(t, settleFor), since, func(c *node.Change) bool { return c.Prefix == prefix && fits(c) })
	must(t, err)
	return c.At.Sub(since)
}

// knows is when a hub has for a prefix what fits, after a fault, be it for itself alone.
func knows(t *testing.T, h *townHub, since time.Time, prefix string, fits func(*node.Change) bool) time.Duration {
	t.Helper()
	at, err := h.PathUntil(within(t, settleFor), prefix, fits)
	must(t, err)
	return at.Sub(since)
}

// hears is when a hub has told a neighbour anything more than it had before, after a fault.
func hears(t *testing.T, h *townHub, since time.Time, peer string, before uint64) time.Duration {
	t.Helper()
	at, err := h.PeerUntil(within(t, settleFor), peer, func(p *commonv1.Peer) bool { return p.GetAnnouncedOut()+p.GetWithdrawnOut() > before })
	must(t, err)
	return at.Sub(since)
}

// steady waits until a session has stood for so long that it is dialled again at once.
func steady(t *testing.T, h *townHub, peer string) {
	t.Helper()
	_, err := h.PeerUntil(within(t, settleFor), peer, func(p *commonv1.Peer) bool {
		return p.GetSession() == commonv1.Session_SESSION_UP && time.Since(p.GetSince().AsTime()) > settled
	})
	must(t, err)
}

// back is when a hub has a session again, after a fault.
func back(t *testing.T, h *townHub, peer string, since time.Time) time.Duration {
	t.Helper()
	at, err := h.PeerUntil(within(t, settleFor), peer, func(p *commonv1.Peer) bool { return p.GetSession() == commonv1.Session_SESSION_UP })
	must(t, err)
	return at.Sub(since)
}

// behind wants a stale path to come behind another one, which is the best.
func behind(late, first string) func(*node.Change) bool {
	return func(c *node.Change) bool {
		return c.Path(late).GetStale() && c.Path(late).GetRank() > 1 && c.Path(first).GetRank() == 1
	}
}

func stale(neighbour string) func(*node.Change) bool {
	return func(c *node.Change) bool { return c.Path(neighbour).GetStale() }
}

func withdrawn(neighbour string) func(*node.Change) bool {
	return func(c *node.Change) bool { return c.Path(neighbour) == nil }
}

func hopDown(neighbour string) func(*node.Change) bool {
	return func(c *node.Change) bool { return c.Path(neighbour).GetDown() }
}

// told is how much a hub has told a neighbour.
func told(t *testing.T, h *townHub, peer string) uint64 {
	t.Helper()
	p, err := h.Peer(within(t, settleFor), peer)
	must(t, err)
	return p.GetAnnouncedOut() + p.GetWithdrawnOut()
}

// pass lets a time pass in which something must not happen.
func pass(t *testing.T, until time.Time) {
	t.Helper()
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.Context().Done():
		t.Fatal(t.Context().Err())
	}
}
