package routetable

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/mss-federation/mss/pkg/federation"
)

// alter makes a copy of a change with other attributes and decision.
func alter(c Change, f func(*federation.Attributes, *Change)) Change {
	a := *c.Route.Attributes
	c.Route.Attributes = &a
	f(&a, &c)
	return c
}

func TestOrderStepByStep(t *testing.T) {
	t.Parallel()
	n := digits("1", 4, 4)
	via := func(f func(*federation.Attributes, *Change)) Change { // the same site over a hub
		return alter(site("m", n), func(a *federation.Attributes, c *Change) {
			c.Neighbour = "hub/m"
			a.AdvPath = append(a.AdvPath, federation.PathElement{Node: "hub/m", Epoch: 1})
			c.Route.Revisions = []uint64{1, 1}
			f(a, c)
		})
	}
	base := via(func(*federation.Attributes, *Change) {})
	for _, test := range []struct {
		step   Step
		better bool // than base
		other  Change
	}{
		{ByClass, true, via(func(_ *federation.Attributes, c *Change) { c.Decision.Class = Static })},
		{ByClass, true, via(func(a *federation.Attributes, _ *Change) { a.Emergency = true })},
		{ByClass, false, via(func(a *federation.Attributes, _ *Change) {
			a.Communities = []federation.Community{federation.FallbackOnly}
		})},
		{ByLocalPref, true, via(func(_ *federation.Attributes, c *Change) { c.Decision.LocalPref = 101 })},
		{ByLocalPref, false, via(func(a *federation.Attributes, _ *Change) {
			a.Communities = []federation.Community{federation.GracefulShutdown}
		})},
		{ByAuthority, false, via(func(_ *federation.Attributes, c *Change) { c.Decision.Authority = NotFound })},
		{ByRoutedPath, false, via(func(a *federation.Attributes, _ *Change) { a.RoutedPath = []federation.NodeID{"site/m", "hub/x"} })},
		{ByCost, false, via(func(a *federation.Attributes, _ *Change) { a.Cost = 1 })},
		{ByPriority, false, via(func(a *federation.Attributes, _ *Change) { a.Priority = 1 })},
		{ByOrigin, true, via(func(a *federation.Attributes, _ *Change) { a.Origin.Node = "site/a" })},
		{ByNeighbour, true, via(func(_ *federation.Attributes, c *Change) { c.Neighbour = "hub/a" })},
		{ByPathID, false, via(func(_ *federation.Attributes, c *Change) { c.Route.PathID = 2 })},
		{ByEligibility, false, via(func(_ *federation.Attributes, c *Change) { c.Decision.Reject = Rejected })},
		{ByEligibility, false, via(func(_ *federation.Attributes, c *Change) { c.Decision.Authority = Invalid })},
		{ByEligibility, false, via(func(a *federation.Attributes, _ *Change) { a.NextHops = nil })},
		{ByEligibility, false, via(func(a *federation.Attributes, _ *Change) { a.ValidUntil = noon })},
		{ByEligibility, false, via(func(a *federation.Attributes, _ *Change) { a.AdvPath[0].Node = "hub/self" })},
	} {
		if test.other.Neighbour == "hub/m" && test.other.Route.PathID == 1 {
			test.other.Neighbour = "hub/n" // so that it is a path of its own; it loses no earlier step by this
		}
		if test.other.Route.Attributes.AdvPath[0].Node == "hub/self" {
			test.other.Route.Attributes.AdvPath = []federation.PathElement{{Node: "hub/self"}}
		}
		table := New(Options{Self: "hub/self", Epoch: 1})
		table.Apply(noon, base, test.other)
		paths := table.Snapshot().Get(n).Paths
		if paths[1].Step != test.step || (paths[0].Neighbour != "hub/m") != test.better {
			t.Errorf("%s: first is %s, the other stands behind by %s", test.step, paths[0].Neighbour, paths[1].Step)
		}
	}
}

func TestUnauthorisedClaimGoesToLowerSite(t *testing.T) {
	t.Parallel()
	n := digits("1", 4, 4)
	unknown := func(id federation.SiteID, cost uint32) Change {
		return alter(site(id, n), func(a *federation.Attributes, c *Change) {
			c.Decision.Authority = NotFound
			a.Cost = cost
		})
	}
	table := New(Options{Self: "hub/a", Epoch: 1})
	events := table.Apply(noon, unknown("b", 0), unknown("a", 9))
	if len(events) != 1 || events[0].Kind != Conflict || fmt.Sprint(events[0].Sites) != "[a b]" {
		t.Errorf("events %v", events)
	}
	m := table.Lookup("1001")
	if m.Paths[0].Neighbour != "site/a" || m.Paths[1].Step != BySite || m.Shared() != 1 {
		t.Errorf("%s first, by %s, %d share", m.Paths[0].Neighbour, m.Paths[1].Step, m.Shared())
	}
	if events := table.Apply(noon, site("b", n)); len(events) != 0 || table.Lookup("1001").Paths[0].Neighbour != "site/b" {
		t.Errorf("the authorised site does not have it: %v", events)
	}
	events = table.Apply(noon, site("a", n))
	if len(events) != 1 || events[0].Kind != Resolved || table.Lookup("1001").Shared() != 2 {
		t.Errorf("both are authorised: %v, %d share", events, table.Lookup("1001").Shared())
	}
}

// TestPriorityIsTransitive has BGP's MED riddle: two groups, of which one has two priorities.
func TestPriorityIsTransitive(t *testing.T) {
	t.Parallel()
	n := digits("1", 4, 4)
	member := func(id federation.SiteID, group string, priority uint32) Change {
		return alter(site(id, n), func(a *federation.Attributes, _ *Change) { a.Origin.Group, a.Priority = group, priority })
	}
	table := New(Options{Self: "hub/a", Epoch: 1})
	table.Apply(noon, member("a", "x", 20), member("b", "y", 15), member("c", "x", 10))
	order := ""
	for _, p := range table.Lookup("1001").Paths {
		order += fmt.Sprintf("%s %s; ", p.Attributes.Origin.Site, p.Step)
	}
	if order != "b first; c origin; a priority; " {
		t.Error(order)
	}
	if shared := table.Lookup("1001").Shared(); shared != 2 {
		t.Errorf("%d share", shared)
	}
}

// draw makes an announcement out of few values, so that many collide.
func draw(t *rapid.T, i int) Change {
	number := func(name string, most uint32) uint32 { return rapid.Uint32Range(0, most).Draw(t, name) }
	id := federation.SiteID(rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "site"))
	n := digits(rapid.SampledFrom([]string{"1", "10", "100", "11"}).Draw(t, "key"), 4, uint8(4+number("range", 1)))
	return alter(site(id, n), func(a *federation.Attributes, c *Change) {
		c.Neighbour = federation.NodeID(fmt.Sprintf("hub/%d", i)) // each announcement is another path
		c.Decision.Authority = Authority(number("authority", 2))
		c.Decision.Class = Class(number("class", 5))
		c.Decision.LocalPref = number("preference", 1)
		a.Cost, a.Priority = number("cost", 1), number("priority", 2)
		a.Origin.Group = rapid.SampledFrom([]string{"", "g", "h"}).Draw(t, "group")
		a.RoutedPath = make([]federation.NodeID, number("length", 2))
	})
}

func dump(s *Snapshot) string {
	var b strings.Builder
	for e := range s.All() {
		fmt.Fprintf(&b, "%s usable=%d\n", e.NLRI, e.Usable)
		for _, p := range e.Paths {
			fmt.Fprintf(&b, "  %s %d %s stale=%v %s %s\n", p.Neighbour, p.PathID, p.Attributes.Origin.Site, p.Stale, p.Reason, p.Step)
		}
	}
	return b.String()
}

func TestAnyOrderGivesTheSameTable(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var changes []Change
		for i := range rapid.IntRange(1, 12).Draw(t, "announcements") {
			changes = append(changes, draw(t, i))
		}
		one := New(Options{Self: "hub/self", Epoch: 1})
		one.Apply(noon, changes...)
		other := New(Options{Self: "hub/self", Epoch: 1})
		for _, c := range rapid.Permutation(changes).Draw(t, "order") {
			other.Apply(noon, c) // one by one: batches must not matter either
		}
		if a, b := dump(one.Snapshot()), dump(other.Snapshot()); a != b {
			t.Fatalf("one order:\n%s\nanother:\n%s", a, b)
		}
	})
}

func TestExpiry(t *testing.T) {
	t.Parallel()
	n := digits("1", 4, 4)
	table := New(Options{Self: "hub/a", Epoch: 1})
	table.Apply(noon, alter(site("a", n), func(a *federation.Attributes, _ *Change) { a.ValidUntil = noon.Add(time.Hour) }))
	table.Expire(noon.Add(time.Hour - 1))
	if found(table.Lookup("1001")) != "1/4 site/a" {
		t.Error("it expired early")
	}
	revision := table.Snapshot().Revision()
	table.Expire(noon.Add(time.Hour))
	if found(table.Lookup("1001")) != "nothing" || table.Snapshot().Get(n).Paths[0].Reason != Expired {
		t.Error("it did not expire")
	}
	if table.Snapshot().Revision() != revision+1 {
		t.Error("neighbours do not learn of it")
	}
}
