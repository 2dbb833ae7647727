package exchange

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/mss-federation/mss/pkg/federation"
)

// drawRoutes makes a list of a site, of few values, so that changes meet.
func drawRoutes(t *rapid.T) map[federation.NLRI]*federation.Attributes {
	list := map[federation.NLRI]*federation.Attributes{}
	for _, key := range rapid.SliceOfDistinct(rapid.SampledFrom([]string{"1", "2", "3", "40", "41", "5"}), rapid.ID[string]).Draw(t, "routes") {
		list[digits(key, 4)] = &federation.Attributes{
			Origin: federation.Origin{Site: "london"}, Cost: rapid.Uint32Range(0, 2).Draw(t, "cost"),
		}
	}
	return list
}

func content(routes []federation.Route) string {
	out := ""
	for _, r := range routes {
		out += fmt.Sprintf("%s#%d cost %d revision %v; ", r.NLRI, r.PathID, r.Attributes.Cost, r.Revisions)
	}
	return out
}

// TestResumeAfterAnyCut changes a site's list, carries frames in any order between the two directions,
// lets time pass and cuts the stream anywhere. In the end the hub must have what a first session gives.
func TestResumeAfterAnyCut(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		book := NewBook("site/london", 7)
		site, hub := siteConfig(), hubConfig()
		p := newPair(t, site, hub, book, Nothing{})
		p.a.handle(Start{}, p.now)
		p.b.handle(Start{}, p.now)
		sink := p.b.sink
		for range rapid.IntRange(1, 60).Draw(t, "events") {
			switch rapid.SampledFrom([]string{"set", "up", "up", "down", "down", "time", "refresh", "policy", "ask", "cut"}).Draw(t, "event") {
			case "set":
				book.Set(drawRoutes(t))
				p.a.handle(Changed{}, p.now)
			case "up":
				step(p.a, p.b, p.now)
			case "down":
				step(p.b, p.a, p.now)
			case "time":
				p.now = p.now.Add(50 * time.Millisecond)
				p.a.handle(Tick{}, p.now)
				p.b.handle(Tick{}, p.now)
			case "refresh":
				p.b.handle(RequestRefresh{}, p.now)
			case "ask":
				p.b.handle(RequestRefresh{Family: federation.Enterprise, Filter: "4"}, p.now)
			case "policy":
				p.a.handle(PolicyChanged{}, p.now)
			case "cut":
				hub.Resume = p.b.session.Resume()
				now := p.now
				p = newPair(t, site, hub, book, Nothing{})
				p.now, p.b.sink = now, sink
				p.a.handle(Start{}, p.now)
				p.b.handle(Start{}, p.now)
			}
		}
		p.settle()
		p.now = p.now.Add(50 * time.Millisecond)
		p.a.handle(Tick{}, p.now)
		p.settle()
		if p.a.over != nil || p.b.over != nil {
			t.Fatalf("over: %v %v", p.a.over, p.b.over)
		}
		whole := newPair(t, site, hubConfig(), book, Nothing{})
		whole.start()
		if got, want := content(sink.Routes()), content(whole.b.sink.Routes()); got != want {
			t.Fatalf("hub has %s\nand a first session gives %s", got, want)
		}
	})
}

func TestResumeIsRefused(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		resume Resume
		want   bool
	}{
		"here":          {Resume{Epoch: 7, Version: 2}, true},
		"newest":        {Resume{Epoch: 7, Version: 3}, true},
		"other epoch":   {Resume{Epoch: 6, Version: 2}, false},
		"of the future": {Resume{Epoch: 7, Version: 4}, false},
		"nothing":       {Resume{}, false},
	} {
		book := NewBook("site/london", 7)
		book.Set(london("1", "2", "3"))
		hub := hubConfig()
		hub.Resume = test.resume
		p := newPair(t, siteConfig(), hub, book, Nothing{})
		p.start()
		if p.b.peer.Resumed != test.want {
			t.Errorf("%s: resumed %v", name, p.b.peer.Resumed)
		}
	}
}

func TestBookForgetsOldChanges(t *testing.T) {
	t.Parallel()
	book := NewBook("site/london", 7)
	for i := range bookRing + 10 {
		list := london("1")
		list[digits("1", 4)].Cost = uint32(i)
		book.Set(list)
	}
	view := book.View()
	if view.Resumable(9) || !view.Resumable(10) || view.Resumable(bookRing+11) {
		t.Error("the newest changes alone are kept")
	}
	if book.Set(london("1")) != true || book.Set(london("1")) != false {
		t.Error("the same list again is no change")
	}
}

func TestResumedIsFresh(t *testing.T) {
	t.Parallel()
	for _, epoch := range []uint64{7, 8} { // the site's session breaks, and the site restarts
		book := NewBook("site/london", epoch)
		book.Set(london("1", "2"))
		site, hub := siteConfig(), hubConfig()
		site.Epoch, hub.Resume = epoch, Resume{Epoch: 7, Version: 1}
		p := newPair(t, site, hub, book, Nothing{})
		p.b.sink.SetStale()
		p.start()
		if p.b.sink.Stale() || p.b.peer.Resumed != (epoch == 7) {
			t.Errorf("epoch %d: stale %v, resumed %v", epoch, p.b.sink.Stale(), p.b.peer.Resumed)
		}
	}
}

// TestHalfARefreshIsNoState cuts inside a refresh that the hub asked for: the next session must bring
// everything, since what the hub asked for has not come.
func TestHalfARefreshIsNoState(t *testing.T) {
	t.Parallel()
	book := NewBook("site/london", 7)
	book.Set(london("1", "2"))
	p := newPair(t, siteConfig(), hubConfig(), book, Nothing{})
	p.start()
	p.b.handle(RequestRefresh{}, p.now)
	step(p.b, p.a, p.now)
	before := p.b.session.Resume()
	step(p.a, p.b, p.now)
	if got := p.b.session.Resume(); got != (Resume{}) || before.Version != 2 {
		t.Errorf("before the refresh %+v, inside it %+v", before, got)
	}
	p.settle()
	if got := p.b.session.Resume(); got != before {
		t.Errorf("after the refresh %+v", got)
	}
}

func TestManyChanges(t *testing.T) {
	t.Parallel()
	const routes = 3000
	book := NewBook("site/london", 7)
	list := map[federation.NLRI]*federation.Attributes{}
	for i := range routes {
		list[digits(fmt.Sprintf("%04d", i), 4)] = &federation.Attributes{}
	}
	book.Set(list)
	hub := hubConfig()
	hub.Window = minWindow
	p := newPair(t, siteConfig(), hub, book, Nothing{})
	p.start()
	for n := range list {
		list[n] = &federation.Attributes{Cost: 1}
	}
	book.Set(list)
	p.a.handle(Changed{}, p.now) // more than one batch: no reason to wait
	p.settle()
	for _, r := range p.b.sink.Routes() {
		if r.Attributes.Cost != 1 {
			t.Fatalf("%s was not told", r.NLRI)
		}
	}
	if got := p.b.session.Resume().Version; got != 2*routes {
		t.Errorf("the hub has version %d", got)
	}
}
