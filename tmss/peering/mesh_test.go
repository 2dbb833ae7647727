package peering

import (
	"context"
	"crypto/tls"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mss-federation/mss/pkg/exchange"
	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/identity"
)

// wires are what lies between hubs: each wire can be cut.
type wires struct {
	t     *testing.T
	parts sync.WaitGroup
	list  []exchange.Hub
	mu    sync.Mutex
	hubs  map[federation.HubID]*hub
	cut   map[pair]bool
	live  map[pair]context.CancelFunc
}

// wire is the end of one that was dialled.
type wire struct {
	end
	close context.CancelFunc
}

// State is of no certificate.
func (wire) State() tls.ConnectionState { return tls.ConnectionState{} }

func (wire) Remote() string { return "" }

// Close ends both ends.
func (w wire) Close() { w.close() }

func newWires(t *testing.T, names ...federation.HubID) *wires {
	t.Helper()
	w := &wires{t: t, hubs: map[federation.HubID]*hub{}, cut: map[pair]bool{}, live: map[pair]context.CancelFunc{}}
	for _, name := range names {
		w.list = append(w.list, exchange.Hub{ID: name, GRPC: string(name)})
	}
	for _, name := range names {
		h := newHubNamed(t, name, 1, w.dialFrom(name))
		w.mu.Lock()
		w.hubs[name] = h
		w.mu.Unlock()
	}
	for name, h := range w.hubs {
		for _, other := range names {
			if other != name {
				h.p.TrunkChanged(federation.NodeID("hub/"+other), true)
			}
		}
		h.p.SetHubs(w.list)
	}
	return w
}

func (w *wires) dialFrom(from federation.HubID) Dial {
	return func(_ context.Context, to exchange.Hub) (Line, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		between := pair{from, to.ID}
		if w.cut[between] || from > to.ID {
			return nil, errors.New("no wire")
		}
		ctx, cancel := context.WithCancel(w.t.Context())
		w.live[between] = cancel
		there, back := make(pipe, 16), make(pipe, 16)
		node := identity.Node{Domain: domain, Role: identity.Hub, ID: string(from)}
		h := w.hubs[to.ID]
		w.parts.Go(func() {
			_ = h.p.carry(ctx, node, exchange.RoleCore, source{address: string(from)}, end{ctx, there, back}) // seen in the table
			cancel()
		})
		return wire{end{ctx, back, there}, cancel}, nil
	}
}

func (w *wires) sever(a, b federation.HubID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut[pair{a, b}] = true
	w.live[pair{a, b}]()
}

func (w *wires) mend(a, b federation.HubID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut[pair{a, b}] = false
}

func (w *wires) close() {
	for _, h := range w.hubs {
		h.close()
	}
	w.parts.Wait()
}

// A number of an office at one hub is known at the other, which says so to its own offices; what came from a hub is not
// told to a third one that has it first hand.
func TestHubsExchange(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWires(t, "a", "b", "c")
		defer w.close()
		london := w.hubs["a"].connect("london", "4xxx")
		w.hubs["b"].connect("hongkong", "1xxx")
		<-time.After(time.Second)
		w.hubs["a"].want("1001", "hub/b")
		w.hubs["b"].want("4001", "hub/a")
		w.hubs["c"].want("1001", "hub/b")
		if got := london.offered("1xxx"); got != "hub/a" {
			t.Errorf("london is offered 1xxx by %q", got)
		}
		<-time.After(time.Minute)
		for name, h := range w.hubs {
			for _, number := range []federation.Number{"1001", "4001"} {
				var hubs int
				for _, p := range h.table.Lookup(number).Paths {
					if _, ok := hubOf(p.Neighbour); ok {
						hubs++
					}
				}
				if hubs > 1 {
					t.Errorf("hub %s has %s from %d hubs", name, number, hubs)
				}
			}
		}
		if got := w.hubs["a"].p.Peer("hub/b"); got.Phase != Up || got.Sessions != 1 {
			t.Errorf("peer %+v", got)
		}
	})
}

// Two hubs that lose each other have their routes through the third one, and their own again when they are back.
func TestHubsAreBridged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWires(t, "a", "b", "c")
		defer w.close()
		w.hubs["c"].connect("hongkong", "1xxx")
		<-time.After(10 * time.Second)
		b := w.hubs["b"]
		b.want("1001", "hub/c")
		w.sever("b", "c")
		b.want("1001", "hub/c stale")
		<-time.After(5 * time.Second) // grace, keepalives that say so, grace again
		b.want("1001", "hub/a")
		w.mend("b", "c")
		<-time.After(10 * time.Second)
		b.want("1001", "hub/c")
		if paths := b.table.Lookup("1001").Paths; len(paths) != 1 {
			t.Errorf("%d paths are left, want that of hub c alone", len(paths))
		}
	})
}

// A hub that is gone takes no route of others with it, and its own come back with it; nobody is dialled for ever in vain.
func TestHubDiesAndReturns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWires(t, "a", "b")
		defer w.close()
		w.hubs["a"].connect("london", "4xxx")
		w.hubs["b"].connect("hongkong", "1xxx")
		<-time.After(time.Second)
		b := w.hubs["b"]
		b.want("4001", "hub/a")
		w.sever("a", "b")
		b.p.TrunkChanged("hub/a", false)
		b.want("4001", "hub/a stale")
		<-time.After(grace)
		b.want("4001", "404")
		b.want("1001", "site/hongkong")
		w.mend("a", "b")
		b.p.TrunkChanged("hub/a", true)
		<-time.After(3 * time.Second)
		b.want("4001", "hub/a")
		if got := w.hubs["a"].p.Peer("hub/b"); got.Sessions != 2 {
			t.Errorf("peer %+v", got)
		}
	})
}
