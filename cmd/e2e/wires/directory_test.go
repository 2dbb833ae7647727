package wires

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mss-federation/mss/cmd/internal/bench/chain"
	"github.com/mss-federation/mss/cmd/internal/rig/node"
)

// Bounds of a directory that is gone.
const (
	callsASecond = 5
	// refusedWithin is how soon a change is refused; mssctl, which is a process, may take startTime more.
	refusedWithin = 2 * time.Second
	startTime     = 500 * time.Millisecond
	// wholeWithin is how soon all hubs are in the directory again once it is back.
	wholeWithin = 10 * time.Second
)

// A directory that is killed, or hangs, takes no call: they go on over both hubs, also over one that starts meanwhile
// from what its own disk holds. Changes are refused with the reason, and when it is back, so are its members.
func TestDirectoryGone(t *testing.T) {
	t.Parallel()
	gone := 15 * time.Second
	if long {
		gone = 5 * time.Minute
	}
	for name, c := range map[string]struct {
		leave    func(*node.Member) error
		comeBack func(context.Context, *node.Member) error
	}{
		"killed":  {(*node.Member).Kill, func(ctx context.Context, m *node.Member) error { return m.Run(ctx) }},
		"stopped": {(*node.Member).Freeze, func(_ context.Context, m *node.Member) error { return m.Thaw() }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := openOutage(t, gone)
			calls := o.callOn(t, gone+wholeWithin)
			o.awaitCalls(t, o.a, 0)
			before := o.epoch(t, o.a)

			until := time.NewTimer(gone)
			must(t, c.leave(o.a.Member()))
			o.returns(t, c.comeBack)
			o.refuses(t, "lisbon", o.a, o.b)
			o.restart(t)
			o.refuses(t, "porto", o.a, o.b)
			select {
			case <-until.C:
			case <-o.ctx.Done():
				t.Fatal(o.ctx.Err())
			}
			o.refuses(t, "faro", o.a, o.b)

			began := time.Now()
			o.back(t)
			o.awaitWhole(t, before, began)
			_, err := o.a.Ctl(o.ctx, "site", "add", "madrid", "--prefix", "6xxx") // not one that was refused: it may still have arrived
			must(t, err)
			if got := <-calls; got.err != nil || got.Failed != 0 {
				t.Errorf("%d of %d calls failed: %s: %v", got.Failed, got.Calls, got.Trouble, got.err)
			} else {
				t.Logf("%d calls in %v, none failed, %d without their 180", got.Calls, got.Elapsed.Round(time.Second), got.Lost180)
			}
		})
	}
}

// outage is two offices with calls between them over two hubs, whose directory is a process that nothing starts again.
type outage struct {
	*chain.Chain

	ctx  context.Context
	a, b *node.Hub
	back func(*testing.T) // once
}

func openOutage(t *testing.T, gone time.Duration) *outage {
	t.Helper()
	o := &outage{ctx: within(t, gone+2*time.Minute)}
	var err error
	o.Chain, err = chain.Open(o.ctx, chain.Options{Bin: bin, Files: filepath.Join("..", "..", "..", "deploy", "bench"), Apart: true})
	must(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of hub a:\n%s\nlog of hub b:\n%s\nlog of the directory:\n%s", o.a.Log(), o.b.Log(), o.a.Member().Log())
		}
		if err := o.Close(); err != nil {
			t.Error(err)
		}
	})
	o.a, o.b = o.Hubs()
	return o
}

// returns brings the directory back, at the end of the test at the latest: what is stopped cannot be ended.
func (o *outage) returns(t *testing.T, how func(context.Context, *node.Member) error) {
	t.Helper()
	var once sync.Once
	o.back = func(t *testing.T) {
		t.Helper()
		once.Do(func() {
			if err := how(o.ctx, o.a.Member()); err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(func() { o.back(t) })
}

// called is what became of the calls.
type called struct {
	chain.CallsResult

	err error
}

// callOn begins calls for a while and gives their result when the last has ended.
func (o *outage) callOn(t *testing.T, d time.Duration) <-chan called {
	t.Helper()
	done := make(chan called, 1)
	go func() {
		r, err := o.Calls(o.ctx, chain.Load{Rate: callsASecond, Seconds: int(d.Seconds()), Hold: time.Second})
		done <- called{r, err}
	}()
	return done
}

// status is what a hub says of itself.
type status struct {
	Directory string
	Counters  []struct {
		Name  string
		Value int
	}
}

func (o *outage) status(t *testing.T, h *node.Hub) (s status) {
	t.Helper()
	text, err := h.Ctl(o.ctx, "status", "-o", "json")
	must(t, err)
	must(t, json.Unmarshal([]byte(text), &s))
	return s
}

// awaitCalls waits until a hub has passed calls on since its start.
func (o *outage) awaitCalls(t *testing.T, h *node.Hub, more int) {
	t.Helper()
	for {
		for _, c := range o.status(t, h).Counters {
			if c.Name == "requests_forwarded" && c.Value > more {
				return
			}
		}
		o.pause(t, "no call passes hub "+h.Name())
	}
}

func (o *outage) pause(t *testing.T, why string) {
	t.Helper()
	select {
	case <-o.ctx.Done():
		t.Fatal(why)
	case <-time.After(100 * time.Millisecond):
	}
}

// refuses wants each hub to refuse changes in time and to say why.
func (o *outage) refuses(t *testing.T, site string, hubs ...*node.Hub) {
	t.Helper()
	var asking sync.WaitGroup
	for _, h := range hubs {
		for _, change := range [][]string{
			{"site", "add", site, "--prefix", "7xxx"},
			{"route", "add", "8xxx", "--via", "site/london"},
			{"site", "token", "london"},
			{"hub", "token", "c"},
		} {
			asking.Go(func() {
				began := time.Now()
				_, err := h.Ctl(o.ctx, change...)
				took := time.Since(began)
				switch {
				case err == nil:
					t.Errorf("hub %s took %v without its directory", h.Name(), change)
				case !strings.Contains(err.Error(), "no quorum") || !strings.Contains(err.Error(), "Calls, registrations and route exchange go on"):
					t.Errorf("hub %s refused %v: %v", h.Name(), change, err)
				case took > refusedWithin+startTime:
					t.Errorf("hub %s refused %v after %v", h.Name(), change, took)
				default:
					t.Logf("hub %s refused %v after %v", h.Name(), change[:3], took.Round(time.Millisecond))
				}
			})
		}
	}
	asking.Wait()
}

// restart kills hub a and starts it again: it has nothing but its own disk, and carries calls from that.
func (o *outage) restart(t *testing.T) {
	t.Helper()
	_, err := o.a.KillSupervisor()
	must(t, err)
	began := time.Now()
	must(t, o.a.Run(o.ctx))
	o.awaitCalls(t, o.a, 0)
	t.Logf("calls passed the hub again %v after its start", time.Since(began).Round(time.Millisecond))
	if s := o.status(t, o.a); !strings.HasPrefix(s.Directory, "out of reach") {
		t.Errorf("calls passed the hub, but its directory was %q", s.Directory)
	}
}

// entry is a hub as another one knows it.
type entry struct {
	ID     string
	Epoch  json.Number
	GoneAt string `json:"gone_at"`
}

func (o *outage) hubs(t *testing.T, at *node.Hub) (all []entry) {
	t.Helper()
	text, err := at.Ctl(o.ctx, "hub", "list", "-o", "json")
	must(t, err)
	must(t, json.Unmarshal([]byte(text), &all))
	return all
}

// epoch is that of a hub's entry.
func (o *outage) epoch(t *testing.T, h *node.Hub) string {
	t.Helper()
	for _, e := range o.hubs(t, h) {
		if e.ID == h.Name() {
			return e.Epoch.String()
		}
	}
	t.Fatalf("hub %s does not know itself", h.Name())
	return ""
}

// awaitWhole waits until both hubs find both in the directory, the restarted one as it is now.
func (o *outage) awaitWhole(t *testing.T, before string, since time.Time) {
	t.Helper()
	for {
		missing := ""
		for _, at := range []*node.Hub{o.a, o.b} {
			all := o.hubs(t, at)
			for _, e := range all {
				if e.GoneAt != "" || e.ID == o.a.Name() && e.Epoch.String() == before {
					missing += fmt.Sprintf("hub %s sees %+v; ", at.Name(), e)
				}
			}
			if s := o.status(t, at); len(all) != 2 || s.Directory != "live" {
				missing += fmt.Sprintf("hub %s sees %d, its directory is %s; ", at.Name(), len(all), s.Directory)
			}
		}
		took := time.Since(since)
		switch {
		case took > wholeWithin:
			t.Fatalf("not whole %v after the directory's return: %s", took, missing)
		case missing == "":
			t.Logf("whole %v after the directory's return", took.Round(time.Millisecond))
			return
		}
		o.pause(t, missing)
	}
}
