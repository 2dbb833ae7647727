package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/mss-federation/mss/cmd/internal/rig"
	"github.com/mss-federation/mss/cmd/internal/rig/node"
)

// federation is two hubs, the second of which joined the first, with an office at each.
type federation struct {
	bin  string // folder of the built programs
	a, b *node.Hub
}

func startFederation(t *testing.T) *federation {
	t.Helper()
	ctx := limit(t)
	bin, err := rig.Build()
	must(t, err)
	f := &federation{bin: bin}
	f.a, err = node.StartHub(ctx, node.HubOptions{Bin: bin})
	must(t, err)
	cleanUp(t, f.a)
	token, err := f.a.HubToken(ctx, "b")
	must(t, err)
	f.b, err = node.StartHub(ctx, node.HubOptions{Bin: bin, Hub: "b", Token: token})
	must(t, err)
	cleanUp(t, f.b)
	f.office(t, "london", "4xxx", "a")
	f.office(t, "hongkong", "1xxx", "b")
	return f
}

// office starts one that is attached to one hub alone.
func (f *federation) office(t *testing.T, site, numbers, hub string) {
	t.Helper()
	ctx := limit(t)
	must(t, f.a.AddSite(ctx, site, numbers))
	token, err := f.a.SiteToken(ctx, site)
	must(t, err)
	n, err := node.Start(ctx, node.Options{Bin: f.bin, Site: site, Numbers: []string{numbers}, Token: token, Extra: "uplinks: [" + hub + "]"})
	must(t, err)
	cleanUp(t, n)
}

// has waits until a hub has a path for a prefix that is as wanted.
func has(t *testing.T, h *node.Hub, prefix string, want func(node.Route) bool) time.Duration {
	t.Helper()
	ctx, began := limit(t), time.Now()
	for {
		routes, err := h.Routes(ctx)
		if err == nil && slices.ContainsFunc(routes, func(r node.Route) bool { return r.Prefix == prefix && want(r) }) {
			return time.Since(began)
		}
		select {
		case <-ctx.Done():
			t.Fatalf("hub %s: %s: %+v, %v", h.Name(), prefix, routes, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func via(hub string) func(node.Route) bool {
	return func(r node.Route) bool { return r.Rank == 1 && r.NextHop == hub && !r.Stale && !r.Down }
}

// Two hubs tell each other where numbers are. One that is killed with its directory takes nothing from the other; it
// comes back and knows all that it knew, at once also what only the other knows.
func TestTwoHubs(t *testing.T) {
	t.Parallel()
	f := startFederation(t)
	ctx := limit(t)
	has(t, f.a, "1xxx", via("hub/b"))
	has(t, f.b, "4xxx", via("hub/a"))
	for hub, peer := range map[*node.Hub]string{f.a: "hub/b", f.b: "hub/a"} {
		must(t, waitPeer(ctx, hub, peer))
	}
	must(t, f.b.WaitTakesCalls(ctx))

	_, err := f.a.KillSupervisor()
	must(t, err)
	has(t, f.b, "1xxx", via("site/hongkong"))
	gone := has(t, f.b, "4xxx", func(r node.Route) bool { return r.Rank == 1 && r.NextHop != "hub/a" })
	t.Logf("the numbers behind the killed hub led nowhere after %v", gone.Round(time.Millisecond))
	has(t, f.b, "1xxx", via("site/hongkong"))

	must(t, f.a.Run(ctx))
	has(t, f.a, "1xxx", via("hub/b"))
	has(t, f.b, "4xxx", via("hub/a"))
	has(t, f.a, "4xxx", via("site/london"))
	must(t, f.a.WaitTakesCalls(ctx))

	must(t, f.a.Stop())
	_, err = f.b.KillSupervisor()
	must(t, err)
	must(t, f.a.Run(ctx))
	has(t, f.a, "1xxx", func(r node.Route) bool { return r.NextHop == "hub/b" && r.Stale })
	must(t, f.b.Run(ctx))
	has(t, f.a, "1xxx", via("hub/b"))
}

// waitPeer waits until session and trunk between two hubs stand.
func waitPeer(ctx context.Context, h *node.Hub, peer string) error {
	for {
		var peers []struct{ Node, Session, Trunk string }
		text, err := h.Ctl(ctx, "peer", "list", "-o", "json")
		if err == nil {
			err = json.Unmarshal([]byte(text), &peers)
		}
		for _, p := range peers {
			if p.Node == peer && p.Session == "SESSION_UP" && p.Trunk == "alive" {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("hub %s has not %s: %v, %w", h.Name(), peer, peers, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func limit(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// process is a node that runs.
type process interface {
	Stop() error
	Log() string
	Remove() error
}

func cleanUp(t *testing.T, p process) {
	t.Helper()
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log(p.Log())
		}
		if err := p.Remove(); err != nil {
			t.Error(err)
		}
	})
}
