package routetable

import (
	"fmt"
	"testing"
	"time"

	"github.com/mss-federation/mss/pkg/federation"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func digits(key string, shortest, longest uint8) federation.NLRI {
	return federation.NLRI{Domain: "example.org", Family: federation.Enterprise, Key: key, MinLen: shortest, MaxLen: longest}
}

// site is a path that a site announced itself.
func site(id federation.SiteID, n federation.NLRI) Change {
	node := federation.NodeID("site/" + id)
	return Change{
		Op: Announce, Neighbour: node, Decision: Decision{Authority: Valid, LocalPref: DefaultLocalPref},
		Route: federation.Route{NLRI: n, PathID: 1, Revisions: []uint64{1}, Attributes: &federation.Attributes{
			Origin:     federation.Origin{Node: node, Site: id, Epoch: 1},
			AdvPath:    []federation.PathElement{{Node: node, Epoch: 1}},
			RoutedPath: []federation.NodeID{node},
			NextHops:   []federation.NextHop{{Node: node}},
		}},
	}
}

func found(m Match) string {
	switch {
	case m.Entry == nil:
		return "nothing"
	case m.Null:
		return m.Entry.NLRI.String() + " null"
	}
	return fmt.Sprintf("%s %s", m.Entry.NLRI, m.Paths[0].Neighbour)
}

func TestLookup(t *testing.T) {
	t.Parallel()
	table := New(Options{Self: "hub/a", Epoch: 1})
	e164 := federation.NLRI{Domain: "example.org", Family: federation.E164, Key: "1555", MinLen: 8, MaxLen: 11}
	user := federation.NLRI{Domain: "example.org", Family: federation.URIUser, Key: "alice@example.org"}
	domain := federation.NLRI{Domain: "example.org", Family: federation.URIDomain, Key: "example.org"}
	sub := federation.NLRI{Domain: "example.org", Family: federation.URIDomain, Key: "lab.example.org"}
	null := site("hk", digits("20", 4, 4))
	null.Decision.Class = Null
	table.Apply(noon,
		site("hk", digits("1", 4, 4)), site("mk", digits("1", 3, 6)), site("vip", digits("1001", 4, 4)), site("ldn", digits("4", 4, 4)),
		site("ny", e164), site("al", user), site("or", domain), site("lab", sub), site("all", digits("2", 4, 4)), null)
	for number, want := range map[federation.Number]string{
		"1002": "1/4 site/hk", "1001": "1001/4 site/vip", "10010": "1/3-6 site/mk", "100": "1/3-6 site/mk", "10": "nothing",
		"4001": "4/4 site/ldn", "40011": "nothing", "5": "nothing", "": "nothing", "+": "nothing",
		"+15550101": "+1555/8-11 site/ny", "15550101": "nothing", "+1555010": "nothing",
		"alice@example.org": "alice@example.org site/al", "bob@example.org": "example.org site/or",
		"bob@x.lab.example.org": "lab.example.org site/lab", "bob@notexample.org": "nothing", "bob@org": "nothing", "bob": "nothing",
		"2101": "2/4 site/all", "2001": "20/4 null",
	} {
		if got := found(table.Lookup(number)); got != want {
			t.Errorf("%q: %s, want %s", number, got, want)
		}
	}
	rest := federation.NLRI{Domain: "example.org", Family: federation.Default}
	table.Apply(noon, site("gw", rest))
	for number, want := range map[federation.Number]string{"5": "default site/gw", "bob": "default site/gw", "2001": "20/4 null"} {
		if got := found(table.Lookup(number)); got != want {
			t.Errorf("with a default: %q: %s, want %s", number, got, want)
		}
	}
}
