package hub

import (
	"slices"
	"testing"
	"time"

	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/tmss/routetable"
)

func TestCarriers(t *testing.T) {
	t.Parallel()
	table := routetable.New(routetable.Options{Self: "hub/a", Epoch: 1})
	announce := func(from federation.NodeID, prefix string, site federation.SiteID, routed ...federation.NodeID) {
		n, err := federation.ParsePattern("example.org", prefix)
		if err != nil {
			t.Fatal(err)
		}
		table.Apply(time.Unix(1, 0), routetable.Change{
			Op: routetable.Announce, Neighbour: from, Decision: routetable.Decision{Class: routetable.Learned},
			Route: federation.Route{NLRI: n, PathID: 1, Attributes: &federation.Attributes{Origin: federation.Origin{Site: site}, RoutedPath: routed}},
		})
	}
	announce("site/hongkong", "1xxx", "hongkong", "site/hongkong")
	announce("hub/d", "1xxx", "hongkong", "site/hongkong", "hub/d")
	announce("hub/b", "1xxx", "hongkong", "site/hongkong", "hub/c", "hub/b") // passed on
	announce("hub/c", "1xxx", "hongkong", "site/hongkong", "hub/c")
	announce("hub/b", "2xxx", "tokyo", "site/tokyo", "hub/b")
	announce("hub/c", "20xx", "", "hub/c")
	table.Apply(time.Unix(2, 0), routetable.Change{Op: routetable.MarkStale, Neighbour: "hub/d"})
	var c carriers
	if got := c.of("site/hongkong"); got != nil {
		t.Errorf("before the first reading: %v", got)
	}
	found := carriersIn(table.Snapshot())
	c.current.Store(&found)
	for site, want := range map[federation.NodeID][]federation.NodeID{
		"site/hongkong": {"hub/c", "hub/d", "hub/b"}, "site/tokyo": {"hub/b"}, "site/london": nil, "hub/b": nil,
	} {
		if got := c.of(site); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", site, got, want)
		}
	}
}
