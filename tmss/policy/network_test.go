package policy

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/mss-federation/mss/pkg/exchange"
	"github.com/mss-federation/mss/pkg/federation"
	exchangev1 "github.com/mss-federation/mss/proto/mss/exchange/v1"
	"github.com/mss-federation/mss/tmss/routetable"
)

// network is hubs in a mesh and sites with two uplinks each, out of pure parts: tables, policies and
// sessions. Which frame travels next is the test's choice, so that a run can be repeated.
type network struct {
	now   time.Time
	hubs  map[federation.NodeID]*routetable.Table
	books map[federation.NodeID]*exchange.Book
	// By "from to": an end lives at from.
	ends map[string]*lineEnd
	keys []string
	offs map[string]*Outbound
}

// lineEnd is one end of a session.
type lineEnd struct {
	key     string
	session *exchange.Session
	in      *Inbound
	sink    *exchange.Mirror // of a site
	wire    []*exchangev1.Frame
}

var (
	netHubs  = []federation.NodeID{"hub/a", "hub/b", "hub/c"}
	netSites = map[federation.NodeID][]federation.NodeID{
		"site/hongkong": {"hub/a", "hub/b"}, "site/leeds": {"hub/b", "hub/c"}, "site/london": {"hub/a", "hub/c"},
	}
)

func newNetwork(p *Policy) *network {
	n := &network{
		now: noon, hubs: map[federation.NodeID]*routetable.Table{}, books: map[federation.NodeID]*exchange.Book{},
		ends: map[string]*lineEnd{}, offs: map[string]*Outbound{},
	}
	for _, hub := range netHubs {
		n.hubs[hub] = routetable.New(routetable.Options{Self: hub, Epoch: 1})
	}
	for site := range netSites {
		n.books[site] = exchange.NewBook(site, 1)
	}
	for _, line := range lines() {
		n.connect(p, line[0], line[1], exchange.Resume{}, exchange.Resume{})
	}
	n.keys = slices.Sorted(maps.Keys(n.ends))
	return n
}

func lines() (all [][2]federation.NodeID) {
	for i, a := range netHubs {
		for _, b := range netHubs[i+1:] {
			all = append(all, [2]federation.NodeID{a, b})
		}
	}
	for _, site := range slices.Sorted(maps.Keys(netSites)) {
		for _, hub := range netSites[site] {
			all = append(all, [2]federation.NodeID{site, hub})
		}
	}
	return all
}

func (n *network) connect(p *Policy, a, b federation.NodeID, aKnows, bKnows exchange.Resume) {
	n.open(p, a, b, aKnows)
	n.open(p, b, a, bKnows)
	n.handle(n.ends[string(a+" "+b)], exchange.Start{})
	n.handle(n.ends[string(b+" "+a)], exchange.Start{})
}

func (n *network) open(p *Policy, self, peer federation.NodeID, resume exchange.Resume) {
	key := string(self + " " + peer)
	c := exchange.Config{Self: self, Peer: peer, Domain: "example.org", Epoch: 1, Role: exchange.RoleCore, Resume: resume}
	e := &lineEnd{key: key}
	switch {
	case n.books[self] != nil:
		c.Role = exchange.RoleBranch
		e.session = exchange.New(c, n.books[self])
		if old := n.ends[key]; old != nil {
			e.sink = old.sink
		} else {
			e.sink = &exchange.Mirror{}
		}
	default:
		if n.books[peer] != nil {
			c.Role = exchange.RoleHub
		}
		if n.offs[key] == nil {
			n.offs[key] = NewOutbound(n.hubs[self], peer, 10)
		}
		e.session = exchange.New(c, n.offs[key])
		e.in = NewInbound(n.hubs[self], peer, func() *Policy { return p }, Limit{})
	}
	n.ends[key] = e
}

// cut breaks a line and makes a new session over it; frames on the wire are lost.
func (n *network) cut(p *Policy, a, b federation.NodeID) {
	aKnows, bKnows := n.ends[string(a+" "+b)].session.Resume(), n.ends[string(b+" "+a)].session.Resume()
	for _, side := range [][2]federation.NodeID{{a, b}, {b, a}} {
		if table := n.hubs[side[0]]; table != nil {
			table.Apply(n.now, routetable.Change{Op: routetable.MarkStale, Neighbour: side[1]})
		}
	}
	n.connect(p, a, b, aKnows, bKnows)
}

func (n *network) handle(e *lineEnd, ev exchange.Event) {
	self, _, _ := strings.Cut(e.key, " ")
	for _, action := range e.session.Handle(ev, n.now) {
		switch a := action.(type) {
		case exchange.Send:
			e.wire = append(e.wire, a.Frame)
		case exchange.Deliver:
			if e.sink != nil {
				e.sink.Apply(a.Deltas)
				continue
			}
			e.in.Apply(n.now, a.Deltas)
			n.changed(self)
		}
	}
}

// changed tells the other sessions of a node.
func (n *network) changed(node string) {
	for _, key := range n.keys {
		if strings.HasPrefix(key, node+" ") {
			n.handle(n.ends[key], exchange.Changed{})
		}
	}
}

// carry takes the next frame of one end to the other.
func (n *network) carry(key string) bool {
	from := n.ends[key]
	if len(from.wire) == 0 {
		return false
	}
	f := from.wire[0]
	from.wire = from.wire[1:]
	a, b, _ := strings.Cut(key, " ")
	n.handle(n.ends[b+" "+a], exchange.Received{Frame: f})
	return true
}

// settle carries everything until nobody has more to say.
func (n *network) settle() {
	for range 8 {
		for moved := true; moved; {
			moved = false
			for _, key := range n.keys {
				moved = n.carry(key) || moved
			}
		}
		n.now = n.now.Add(50 * time.Millisecond)
		for _, key := range n.keys {
			n.handle(n.ends[key], exchange.Tick{})
		}
	}
}

// content is all tables without revisions and path ids, which depend on what happened before.
func (n *network) content() string {
	var b strings.Builder
	for _, hub := range netHubs {
		fmt.Fprintf(&b, "%s\n", hub)
		for e := range n.hubs[hub].Snapshot().All() {
			for _, p := range e.Paths {
				fmt.Fprintf(&b, "  %s by %s cost %d over %v stale=%v %s %s\n", e.NLRI, p.Neighbour, p.Attributes.Cost, p.Attributes.RoutedPath, p.Stale, p.Reason, p.Step)
			}
		}
	}
	for _, key := range n.keys {
		if sink := n.ends[key].sink; sink != nil {
			for _, r := range sink.Routes() {
				fmt.Fprintf(&b, "%s: %s#%d over %v\n", key, r.NLRI, r.PathID, r.Attributes.RoutedPath)
			}
		}
	}
	return b.String()
}

func list(keys ...string) map[federation.NLRI]*federation.Attributes {
	routes := map[federation.NLRI]*federation.Attributes{}
	for _, key := range keys {
		routes[digits(key, uint8(cmp.Or(len(key)/5*5, 4)))] = &federation.Attributes{}
	}
	return routes
}

func withSite(routes map[federation.NLRI]*federation.Attributes, site federation.SiteID) map[federation.NLRI]*federation.Attributes {
	for n := range routes {
		routes[n] = &federation.Attributes{Origin: federation.Origin{Site: site}}
	}
	return routes
}

func TestRouteCrossesTheNetwork(t *testing.T) {
	t.Parallel()
	n := newNetwork(offices(t))
	n.books["site/hongkong"].Set(withSite(list("1"), "hongkong"))
	n.changed("site/hongkong")
	n.settle()
	want := `hub/a
  1/4 by site/hongkong cost 0 over [site/hongkong] stale=false eligible first
  1/4 by hub/b cost 10 over [site/hongkong hub/b] stale=false eligible routed path length
hub/b
  1/4 by site/hongkong cost 0 over [site/hongkong] stale=false eligible first
  1/4 by hub/a cost 10 over [site/hongkong hub/a] stale=false eligible routed path length
hub/c
  1/4 by hub/a cost 10 over [site/hongkong hub/a] stale=false eligible first
  1/4 by hub/b cost 10 over [site/hongkong hub/b] stale=false eligible neighbour
site/leeds hub/b: 1/4#1 over [site/hongkong hub/b]
site/leeds hub/c: 1/4#1 over [site/hongkong hub/a hub/c]
site/london hub/a: 1/4#1 over [site/hongkong hub/a]
site/london hub/c: 1/4#1 over [site/hongkong hub/a hub/c]
`
	if got := n.content(); got != want {
		t.Errorf("the network has\n%s\nwant\n%s", got, want)
	}
	n.books["site/hongkong"].Set(nil)
	n.changed("site/hongkong")
	n.settle()
	if got := n.content(); got != "hub/a\nhub/b\nhub/c\n" {
		t.Errorf("after the withdrawal the network has\n%s", got)
	}
}

// TestAnyInterleavingGivesTheSameTables lets sites change their lists and lines break while frames travel
// in any order. In the end every table must be the one that a network has which starts with these lists.
func TestAnyInterleavingGivesTheSameTables(t *testing.T) {
	t.Parallel()
	p := offices(t)
	own := map[federation.NodeID][]string{
		"site/hongkong": {"1", "10", "11", "4"}, "site/leeds": {"77000", "77001"}, "site/london": {"4", "40", "77000", "1"},
	}
	sites := slices.Sorted(maps.Keys(own))
	rapid.Check(t, func(t *rapid.T) {
		n := newNetwork(p)
		last := map[federation.NodeID][]string{}
		for range rapid.IntRange(1, 60).Draw(t, "events") {
			switch rapid.SampledFrom([]string{"set", "carry", "carry", "carry", "time", "cut"}).Draw(t, "event") {
			case "set":
				site := rapid.SampledFrom(sites).Draw(t, "site")
				last[site] = rapid.SliceOfDistinct(rapid.SampledFrom(own[site]), rapid.ID[string]).Draw(t, "list")
				n.books[site].Set(withSite(list(last[site]...), federation.SiteID(strings.TrimPrefix(string(site), "site/"))))
				n.changed(string(site))
			case "carry":
				key := rapid.SampledFrom(n.keys).Draw(t, "line")
				for range rapid.IntRange(1, 8).Draw(t, "frames") {
					n.carry(key)
				}
			case "time":
				n.now = n.now.Add(50 * time.Millisecond)
				for _, key := range n.keys {
					n.handle(n.ends[key], exchange.Tick{})
				}
			case "cut":
				line := rapid.SampledFrom(lines()).Draw(t, "cut")
				n.cut(p, line[0], line[1])
			}
		}
		n.settle()
		fresh := newNetwork(p)
		for site, keys := range last {
			fresh.books[site].Set(withSite(list(keys...), federation.SiteID(strings.TrimPrefix(string(site), "site/"))))
			fresh.changed(string(site))
		}
		fresh.settle()
		if got, want := n.content(), fresh.content(); got != want {
			t.Fatalf("the network has\n%s\nand a fresh one\n%s", got, want)
		}
	})
}
