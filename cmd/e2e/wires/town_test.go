package wires

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/mss-federation/mss/cmd/internal/rig/netns"
	"github.com/mss-federation/mss/cmd/internal/rig/node"
	"github.com/mss-federation/mss/cmd/internal/rig/phone"
	"github.com/mss-federation/mss/cmd/internal/rig/rigtest"
	commonv1 "github.com/mss-federation/mss/proto/mss/common/v1"
)

// settleFor bounds the wait for nodes to come up, and to be as they were after a fault.
const settleFor = 45 * time.Second

// town is hubs and offices, each in a namespace of its own, on one switch.
type town struct {
	net     *netns.Net
	lan     *netns.Switch
	hubs    []*townHub // the first has the directory
	offices []*townOffice
}

// townHub is a hub and where it stands. Sessions come through its relay.
type townHub struct {
	*node.Hub

	space *netns.Space
	wire  *netns.Wire
	relay *netns.Relay
}

// townOffice is an office, where it stands, and the hubs that it uses.
type townOffice struct {
	*node.Node

	space  *netns.Space
	wire   *netns.Wire
	hubs   []*townHub
	prefix string // 4xxx
}

func newTown(t *testing.T, hubs ...string) *town {
	t.Helper()
	w := &town{}
	var err error
	w.net, err = netns.New()
	must(t, err)
	t.Cleanup(func() {
		if err := w.net.Close(); err != nil {
			t.Error(err)
		}
	})
	w.lan, err = w.net.Switch(netip.MustParsePrefix("10.20.0.0/24"))
	must(t, err)
	for _, name := range hubs {
		w.addHub(t, name)
	}
	return w
}

func (w *town) plug(t *testing.T, name string) (*netns.Space, *netns.Wire) {
	t.Helper()
	space, err := w.net.Space(name)
	must(t, err)
	wire, err := w.lan.Plug(space)
	must(t, err)
	return space, wire
}

func (w *town) addHub(t *testing.T, name string) {
	t.Helper()
	ctx := within(t, settleFor)
	h := &townHub{}
	h.space, h.wire = w.plug(t, name)
	opt := node.HubOptions{Bin: bin, Hub: name, Addr: h.wire.Addr(), Inside: h.space.Do}
	if len(w.hubs) > 0 {
		var err error
		opt.Token, err = w.hubs[0].HubToken(ctx, name)
		must(t, err)
	}
	// Hubs dial each other at once: the relay must stand before.
	var err error
	h.Hub, err = node.PrepareHub(opt)
	must(t, err)
	rigtest.CleanUp(t, h)
	h.relay, err = h.space.Relay(h.GRPC())
	must(t, err)
	t.Cleanup(func() {
		if err := h.relay.Close(); err != nil {
			t.Error(err)
		}
	})
	must(t, h.Start(ctx))
	must(t, h.WaitTakesCalls(ctx))
	w.hubs = append(w.hubs, h)
}

// addOffice adds an office with five users whose names begin with a digit, attached to some hubs, best first.
func (w *town) addOffice(t *testing.T, site, digit string, hubs ...*townHub) *townOffice {
	t.Helper()
	ctx := within(t, settleFor)
	o := &townOffice{hubs: hubs, prefix: digit + "xxx"}
	o.space, o.wire = w.plug(t, site)
	must(t, w.hubs[0].AddSite(ctx, site, o.prefix))
	token, err := w.hubs[0].SiteToken(ctx, site)
	must(t, err)
	opt := node.Options{
		Bin: bin, Site: site, Addr: o.wire.Addr(), Inside: o.space.Do, Token: token, Numbers: []string{o.prefix}, Extra: "uplinks: [",
	}
	for i, h := range hubs {
		if i > 0 {
			opt.Extra += ", "
		}
		opt.Extra += h.Name()
	}
	opt.Extra += "]"
	for n := range 5 {
		name := digit + "00" + strconv.Itoa(n+1)
		opt.Users = append(opt.Users, node.User{Name: name, Password: "kettle-bridge-" + name + "-lamp"})
	}
	o.Node, err = node.Start(ctx, opt)
	must(t, err)
	rigtest.CleanUp(t, o)
	w.offices = append(w.offices, o)
	return o
}

// phone registers a user's phone in the office's own building: no wire is between them.
func (o *townOffice) phone(t *testing.T, opt phone.Options) *phone.Phone {
	t.Helper()
	opt.Local, opt.Inside = o.wire.Addr(), o.space.Do
	p := rigtest.Phone(t, o.Node, opt)
	must(t, p.Register(within(t, settleFor)))
	return p
}

// settle waits until every session and trunk stands, no route is stale, and every hub knows every office.
func (w *town) settle(t *testing.T) {
	t.Helper()
	ctx := within(t, settleFor)
	for _, h := range w.hubs {
		for _, other := range w.hubs {
			if h != other {
				w.wait(ctx, t, h, "hub/"+other.Name())
			}
		}
	}
	for _, o := range w.offices {
		for _, h := range o.hubs {
			w.wait(ctx, t, o, "hub/"+h.Name())
			w.wait(ctx, t, h, "site/"+o.Site())
		}
	}
	for _, h := range w.hubs {
		for _, o := range w.offices {
			w.fresh(ctx, t, h, o)
		}
	}
}

// wait waits until session and trunk to a neighbour stand, and no breaker keeps calls away.
func (w *town) wait(ctx context.Context, t *testing.T, n interface {
	PeerUntil(ctx context.Context, name string, fits func(*commonv1.Peer) bool) (time.Time, error)
}, peer string,
) {
	t.Helper()
	_, err := n.PeerUntil(ctx, peer, func(p *commonv1.Peer) bool {
		return p.GetSession() == commonv1.Session_SESSION_UP && p.GetTrunk() == "alive" && p.GetBreaker() != "open"
	})
	must(t, err)
}

// fresh waits until a hub has a path to an office by each hub that the office uses, all of them good.
func (w *town) fresh(ctx context.Context, t *testing.T, h *townHub, o *townOffice) {
	t.Helper()
	for {
		routes, err := h.Routes(ctx)
		hops := make(map[string]bool)
		bad := false
		for _, r := range routes {
			if r.Prefix == o.prefix && r.NextHop != "" {
				hops[r.NextHop] = true
				bad = bad || r.Stale || r.Down
			}
		}
		want := len(o.hubs)
		if err == nil && !bad && len(hops) == want {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("hub %s has not %d good paths to %s: %+v, %v", h.Name(), want, o.Site(), routes, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// best is the hub that a hub sends calls for an office to.
func (w *town) best(t *testing.T, h *townHub, o *townOffice) *townHub {
	t.Helper()
	routes, err := h.Routes(within(t, settleFor))
	must(t, err)
	for _, r := range routes {
		if r.Prefix != o.prefix || r.Rank != 1 {
			continue
		}
		if i := slices.IndexFunc(w.hubs, func(h *townHub) bool { return "hub/"+h.Name() == r.NextHop }); i >= 0 {
			return w.hubs[i]
		}
	}
	t.Fatalf("hub %s has no path over a hub to %s: %+v", h.Name(), o.Site(), routes)
	return nil
}

// muteTrunk lets nothing pass on the trunk between a hub and whoever dialled it, in silence; the session goes on.
func muteTrunk(t *testing.T, h *townHub, dialler *netns.Wire, inside *netns.Space) (restore func()) {
	t.Helper()
	port, hub := strconv.Itoa(int(h.TLS().Port())), h.wire.Addr().String()
	verb := func(verb string) error {
		_, err1 := h.space.Run("iptables", "-w", "10", verb, "INPUT", "-p", "tcp", "-s", dialler.Addr().String(), "--dport", port, "-j", "DROP")
		_, err2 := inside.Run("iptables", "-w", "10", verb, "INPUT", "-p", "tcp", "-s", hub, "--sport", port, "-j", "DROP")
		return errors.Join(err1, err2)
	}
	must(t, verb("-I"))
	return func() { must(t, verb("-D")) }
}

// freeze stops a hub's process: its connections stay, and nothing answers.
func freeze(t *testing.T, h *townHub) (thaw func()) {
	t.Helper()
	pid := h.PID(node.Supervisor)
	if pid == 0 {
		t.Fatalf("hub %s does not run", h.Name()) // to stop process 0 is to stop this one
	}
	must(t, syscall.Kill(pid, syscall.SIGSTOP))
	thawed := false
	thaw = func() {
		if !thawed {
			thawed = true
			must(t, syscall.Kill(pid, syscall.SIGCONT))
		}
	}
	t.Cleanup(thaw) // what is stopped cannot be ended
	return thaw
}
