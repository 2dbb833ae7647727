package exchange

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/mss-federation/mss/pkg/federation"
)

// ledger is a hub's table in the small: several paths, a ring that forgets, and an export policy.
type ledger struct {
	revision uint64
	paths    map[federation.NLRI][]federation.Route
	ring     []ledgerChange
	hidden   string // keys that begin like this are not offered
	since    uint64 // the first revision that was stated under this policy
}

type ledgerChange struct {
	revision uint64
	nlri     federation.NLRI
	before   int
}

const ledgerRing = 40

func (l *ledger) set(n federation.NLRI, costs []uint32, pad int) {
	l.ring = append(l.ring, ledgerChange{l.revision + 1, n, len(l.paths[n])})
	l.ring = l.ring[max(0, len(l.ring)-ledgerRing):]
	l.revision++
	var routes []federation.Route
	for _, cost := range costs {
		routes = append(routes, federation.Route{NLRI: n, Revisions: []uint64{l.revision}, Attributes: &federation.Attributes{
			Origin: federation.Origin{Node: "hub/a"}, AdvPath: []federation.PathElement{{Node: "hub/a", Epoch: 3}},
			Media: federation.MediaCaps{Codecs: []string{strings.Repeat("x", pad)}}, Cost: cost,
		}})
	}
	l.paths = maps.Clone(l.paths)
	if delete(l.paths, n); len(routes) > 0 {
		l.paths[n] = routes
	}
}

func (l *ledger) hide(prefix string) {
	l.hidden, l.since = prefix, l.revision+1
}

func (l *ledger) View() View {
	c := *l
	c.ring = slices.Clone(l.ring)
	return &c
}

func (l *ledger) Revision() uint64 { return l.revision }

func (l *ledger) holds(since uint64) bool {
	return since <= l.revision && l.revision-since <= uint64(len(l.ring))
}

func (l *ledger) Resumable(version uint64) bool { return version >= l.since && l.holds(version) }

func (l *ledger) Changes(since uint64, limit int) (changes []Change, through uint64, ok bool) {
	if !l.holds(since) {
		return nil, 0, false
	}
	for _, c := range l.ring[uint64(len(l.ring))-(l.revision-since):] {
		if len(changes) == limit {
			return changes, since, true
		}
		since = c.revision
		if !l.hides(c.nlri) {
			changes = append(changes, Change{Revision: c.revision, NLRI: c.nlri, Had: uint32(c.before), Urgent: len(l.paths[c.nlri]) < c.before})
		}
	}
	return changes, l.revision, true
}

func (l *ledger) hides(n federation.NLRI) bool {
	return l.hidden != "" && strings.HasPrefix(n.Key, l.hidden)
}

func (l *ledger) Keys(after federation.NLRI) iter.Seq[federation.NLRI] {
	keys := slices.SortedFunc(maps.Keys(l.paths), federation.NLRI.Compare)
	return slices.Values(slices.DeleteFunc(keys, func(n federation.NLRI) bool { return n.Compare(after) <= 0 }))
}

func (l *ledger) Routes(n federation.NLRI, limit uint32) []federation.Route {
	if l.hides(n) {
		return nil
	}
	routes := l.paths[n]
	return routes[:min(len(routes), int(limit))]
}

// TestHubToSiteAfterAnyCut does to a large table with several paths, little credit and a short memory what
// TestResumeAfterAnyCut does to a list: whatever happens, the site ends with what a first session gives.
func TestHubToSiteAfterAnyCut(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		source := &ledger{paths: map[federation.NLRI][]federation.Route{}}
		pad := rapid.SampledFrom([]int{0, MaxAttributes - 200}).Draw(t, "pad")
		for i := range 80 {
			source.set(digits(fmt.Sprintf("%02d", i), 4), []uint32{1, 2, 3}[:1+i%3], pad)
		}
		site, hub := siteConfig(), hubConfig()
		site.Window = minWindow
		p := newPair(t, site, hub, Nothing{}, source)
		p.a.handle(Start{}, p.now)
		p.b.handle(Start{}, p.now)
		sink := p.a.sink
		for range rapid.IntRange(1, 50).Draw(t, "events") {
			switch rapid.SampledFrom([]string{"set", "set", "up", "down", "downs", "time", "policy", "ask", "cut"}).Draw(t, "event") {
			case "set":
				for range rapid.SampledFrom([]int{1, 2, 20, ledgerRing + 5}).Draw(t, "changes") {
					key := rapid.IntRange(0, 90).Draw(t, "key")
					source.set(digits(fmt.Sprintf("%02d", key), 4), []uint32{9, 8, 7, 6}[:rapid.IntRange(0, 4).Draw(t, "paths")], pad)
				}
				p.b.handle(Changed{}, p.now)
			case "up":
				step(p.a, p.b, p.now)
			case "down":
				step(p.b, p.a, p.now)
			case "downs":
				for range 10 {
					step(p.b, p.a, p.now)
				}
			case "time":
				p.now = p.now.Add(50 * time.Millisecond)
				p.a.handle(Tick{}, p.now)
				p.b.handle(Tick{}, p.now)
			case "policy":
				source.hide(rapid.SampledFrom([]string{"", "1", "2", "33"}).Draw(t, "hidden"))
				p.b.handle(PolicyChanged{}, p.now)
			case "ask":
				p.a.handle(RequestRefresh{Family: federation.Enterprise, Filter: "4"}, p.now)
			case "cut":
				site.Resume = p.a.session.Resume()
				now := p.now
				p = newPair(t, site, hub, Nothing{}, source)
				p.now, p.a.sink = now, sink
				p.a.handle(Start{}, p.now)
				p.b.handle(Start{}, p.now)
			}
		}
		p.settle()
		p.wait(6 * time.Second) // the next keepalive tells the version
		if p.a.over != nil || p.b.over != nil {
			t.Fatal(p.a.over, p.b.over)
		}
		whole := newPair(t, siteConfig(), hub, Nothing{}, source)
		whole.start()
		if got, want := content(sink.Routes()), content(whole.a.sink.Routes()); got != want {
			t.Fatalf("site has %s\nand a first session gives %s", got, want)
		}
		if resume := p.a.session.Resume(); resume != (Resume{Epoch: 3, Version: source.revision}) {
			t.Fatalf("the site resumes from %+v, the hub is at %d", resume, source.revision)
		}
	})
}

// TestPathIsNotForgottenBehindABlockedBatch sends three paths of an NLRI ahead of their turn in the ring,
// because it was due for an older change; when one of them goes before the ring comes to where there were
// three, the site must still be told.
func TestPathIsNotForgottenBehindABlockedBatch(t *testing.T) {
	t.Parallel()
	source := &ledger{paths: map[federation.NLRI][]federation.Route{}}
	site, hub := siteConfig(), hubConfig()
	site.Window = minWindow
	p := newPair(t, site, hub, Nothing{}, source)
	p.start()
	const pad = MaxAttributes - 200
	x := digits("99", 4)
	source.set(x, []uint32{1}, pad)
	for i := range 25 {
		source.set(digits(fmt.Sprint(10+i), 4), []uint32{1, 2, 3}, pad)
	}
	source.set(x, []uint32{1, 2, 3}, pad)
	p.b.handle(Changed{}, p.now)
	p.b.handle(Tick{}, p.now.Add(50*time.Millisecond))
	if !p.b.session.out.blocked || p.b.session.out.sent >= source.revision {
		t.Fatal("the credit was enough for everything: the test shows nothing")
	}
	source.set(x, []uint32{1, 2}, pad)
	p.b.handle(Changed{}, p.now)
	p.settle()
	for _, r := range p.a.sink.Routes() {
		if r.NLRI == x && r.PathID > 2 {
			t.Errorf("the site still has path %d", r.PathID)
		}
	}
}
