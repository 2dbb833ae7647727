package routetable

import (
	"testing"

	"github.com/mss-federation/mss/pkg/federation"
)

func TestRefreshSweepsWhatWasNotToldAgain(t *testing.T) {
	t.Parallel()
	table := New(Options{Self: "hub/a", Epoch: 1})
	second := alter(site("l", digits("2", 4, 4)), func(_ *federation.Attributes, c *Change) { c.Route.PathID = 2 })
	table.Apply(noon, site("l", digits("1", 4, 4)), site("l", digits("2", 4, 4)), second, site("l", digits("30", 4, 4)), site("x", digits("1", 4, 4)))
	begin, sweep := Change{Op: BeginRefresh, Neighbour: "site/l"}, Change{Op: EndRefresh, Neighbour: "site/l"}
	table.Apply(noon, begin, site("l", digits("2", 4, 4)), sweep)
	want := "1/4 usable=1\n  site/x 1 x stale=false eligible first\n2/4 usable=1\n  site/l 1 l stale=false eligible first\n"
	if got := dump(table.Snapshot()); got != want {
		t.Errorf("after the sweep:\n%s", got)
	}
	if table.Held("site/l") != 1 || table.Held("site/x") != 1 {
		t.Errorf("held %d and %d", table.Held("site/l"), table.Held("site/x"))
	}
}

func TestRefreshInAnyOrder(t *testing.T) {
	t.Parallel()
	table := New(Options{Self: "hub/a", Epoch: 1})
	first := site("l", digits("2", 4, 4))
	second := alter(first, func(_ *federation.Attributes, c *Change) { c.Route.PathID = 2 })
	table.Apply(noon, first, second)
	table.Apply(noon, Change{Op: BeginRefresh, Neighbour: "site/l"}, second, first, Change{Op: EndRefresh, Neighbour: "site/l"})
	if _, paths := table.Snapshot().Routes(); paths != 2 {
		t.Errorf("%d paths are left of two that were told again", paths)
	}
}

func TestRefreshKeepsToItsLimits(t *testing.T) {
	t.Parallel()
	table := New(Options{Self: "hub/a", Epoch: 1})
	uri := federation.NLRI{Domain: "example.org", Family: federation.URIDomain, Key: "example.org"}
	table.Apply(noon, site("l", digits("1", 4, 4)), site("l", digits("2", 4, 4)), site("l", uri))
	limits := Change{Neighbour: "site/l", Family: federation.Enterprise, Filter: "1"}
	begin, sweep := limits, limits
	begin.Op, sweep.Op = BeginRefresh, EndRefresh
	table.Apply(noon, begin, sweep)
	if table.Snapshot().Get(digits("1", 4, 4)) != nil || table.Snapshot().Get(digits("2", 4, 4)) == nil || table.Snapshot().Get(uri) == nil {
		t.Errorf("swept the wrong ones:\n%s", dump(table.Snapshot()))
	}
}

func TestStaleIsToldToNobodyUntilPublished(t *testing.T) {
	t.Parallel()
	table := New(Options{Self: "hub/a", Epoch: 1})
	n := digits("1", 4, 4)
	table.Apply(noon, site("a", n), site("b", n))
	before := table.Snapshot().Revision()
	table.Apply(noon, Change{Op: MarkStale, Neighbour: "site/a"})
	if m := table.Lookup("1001"); m.Paths[0].Neighbour != "site/b" || m.Paths[1].Step != ByFreshness {
		t.Errorf("a stale path is not ranked lower:\n%s", dump(table.Snapshot()))
	}
	if got := table.Snapshot().Revision(); got != before {
		t.Errorf("neighbours are told: revision %d, was %d", got, before)
	}
	// The site comes back after a restart: a new epoch, the same routes.
	again := alter(site("a", n), func(a *federation.Attributes, c *Change) {
		a.Origin.Epoch, c.Route.Revisions = 2, []uint64{77}
		a.AdvPath = []federation.PathElement{{Node: "site/a", Epoch: 2}}
	})
	table.Apply(noon, Change{Op: BeginRefresh, Neighbour: "site/a"}, again, Change{Op: EndRefresh, Neighbour: "site/a"})
	if m := table.Lookup("1001"); m.Paths[0].Neighbour != "site/a" || m.Paths[0].Stale || m.Paths[0].Attributes.Origin.Epoch != 2 {
		t.Errorf("it is not back:\n%s", dump(table.Snapshot()))
	}
	if got := table.Snapshot().Revision(); got != before {
		t.Errorf("neighbours are told of a restart: revision %d, was %d", got, before)
	}
	table.Apply(noon, Change{Op: MarkStale, Neighbour: "site/a"}, Change{Op: PublishStale, Neighbour: "site/a"})
	if got := table.Snapshot().Revision(); got != before+1 {
		t.Errorf("published: revision %d, was %d", got, before)
	}
	table.Apply(noon, Change{Op: ClearStale, Neighbour: "site/a"})
	if table.Lookup("1001").Paths[0].Neighbour != "site/a" {
		t.Error("a resumed session did not make its paths fresh")
	}
	if got := table.Snapshot().Revision(); got != before+2 {
		t.Errorf("who was told that it is stale is not told that it is back: revision %d, was %d", got, before)
	}
	table.Apply(noon, Change{Op: MarkStale, Neighbour: "site/a"}, Change{Op: PublishStale, Neighbour: "site/a"}, again)
	if got := table.Snapshot().Revision(); got != before+4 {
		t.Errorf("nor by a new announcement: revision %d, was %d", got, before)
	}
}

func TestNextHopDownLeavesTheFallback(t *testing.T) {
	t.Parallel()
	table := New(Options{Self: "hub/a", Epoch: 1})
	with := alter(site("l", digits("1", 4, 4)), func(a *federation.Attributes, _ *Change) { a.Fallback.E164 = "+15550100" })
	table.Apply(noon, with, site("l", digits("2", 4, 4)), Change{Op: HopDown, Neighbour: "site/l"}, site("l", digits("3", 4, 4)))
	if m := table.Lookup("1001"); len(m.Paths) != 1 || m.Paths[0].Class() != FallbackOnly {
		t.Errorf("with a fallback:\n%s", dump(table.Snapshot()))
	}
	for _, number := range []federation.Number{"2001", "3001"} {
		if m := table.Lookup(number); m.Entry != nil {
			t.Errorf("%s without a fallback:\n%s", number, dump(table.Snapshot()))
		}
	}
	table.Apply(noon, Change{Op: HopUp, Neighbour: "site/l"})
	if table.Lookup("1001").Paths[0].Class() != Learned || len(table.Lookup("2001").Paths) != 1 {
		t.Errorf("after it is up:\n%s", dump(table.Snapshot()))
	}
}

func TestCauseDropsPathsThroughTheSameNode(t *testing.T) {
	t.Parallel()
	n := digits("1", 4, 4)
	over := func(hub federation.NodeID, revision uint64) Change {
		return alter(site("l", n), func(a *federation.Attributes, c *Change) {
			c.Neighbour = hub
			a.AdvPath = append(a.AdvPath, federation.PathElement{Node: hub, Epoch: 1})
			c.Route.Revisions = []uint64{revision, 5}
		})
	}
	withdraw := Change{Op: Withdraw, Neighbour: "hub/b", Route: federation.Route{NLRI: n, Cause: federation.Cause{Node: "site/l", Epoch: 1, Revision: 4}}}
	table := New(Options{Self: "hub/a", Epoch: 1})
	table.Apply(noon, over("hub/b", 3), over("hub/c", 3), over("hub/d", 4), withdraw)
	if m := table.Lookup("1001"); len(m.Paths) != 1 || m.Paths[0].Neighbour != "hub/d" {
		t.Errorf("after a withdrawal whose root is the site:\n%s", dump(table.Snapshot()))
	}
	newer := over("hub/b", 1)
	newer.Route.Attributes.AdvPath[0].Epoch = 2
	newer.Route.Cause = federation.Cause{Node: "site/l", Epoch: 2, Revision: 1}
	table.Apply(noon, newer)
	if m := table.Lookup("1001"); len(m.Paths) != 1 || m.Paths[0].Neighbour != "hub/b" {
		t.Errorf("after a newer epoch:\n%s", dump(table.Snapshot()))
	}
	changes, ok := table.Changes(0, 99, make([]Changed, 0, 99))
	if last := changes[len(changes)-1]; !ok || last.Cause != newer.Route.Cause || len(last.Before.Paths) != 1 {
		t.Errorf("the ring has %+v", last)
	}
}

func TestForget(t *testing.T) {
	t.Parallel()
	table := New(Options{Self: "hub/a", Epoch: 1})
	table.Apply(noon, site("l", digits("1", 4, 4)), site("x", digits("1", 4, 4)), site("l", digits("2", 4, 4)), Change{Op: Forget, Neighbour: "site/l"})
	if routes, paths := table.Snapshot().Routes(); routes != 1 || paths != 1 || table.Held("site/l") != 0 {
		t.Errorf("%d routes, %d paths:\n%s", routes, paths, dump(table.Snapshot()))
	}
}

func TestRing(t *testing.T) {
	t.Parallel()
	table := New(Options{Self: "hub/a", Epoch: 9, Ring: 4})
	for _, key := range []string{"1", "2", "3", "4", "5", "6"} {
		table.Apply(noon, site("l", digits(key, 4, 4)))
	}
	if table.Holds(1) || !table.Holds(2) || !table.Holds(6) || table.Holds(7) {
		t.Error("the ring holds the last four changes: 3 to 6")
	}
	changes, ok := table.Changes(3, 5, make([]Changed, 0, 10))
	if !ok || len(changes) != 2 || changes[0].NLRI.Key != "4" || changes[1].Revision != 5 {
		t.Errorf("changes %+v", changes)
	}
	if c := changes[0].Cause; c != (federation.Cause{Node: "hub/a", Epoch: 9, Revision: 4}) {
		t.Errorf("without another, this node is the cause: %+v", c)
	}
}
