package uplink_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/mss-federation/mss/lmss/uplink"
	"github.com/mss-federation/mss/pkg/exchange"
	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/identity"
	"github.com/mss-federation/mss/pkg/identity/identitytest"
	"github.com/mss-federation/mss/pkg/network/memnet"
	"github.com/mss-federation/mss/pkg/siptransport"
	exchangev1 "github.com/mss-federation/mss/proto/mss/exchange/v1"
)

var siteAddr = netip.MustParseAddr("192.0.2.100")

// domain is a network of hubs around one site.
type domain struct {
	t     *testing.T
	net   *memnet.Net
	ids   *identitytest.Domain
	hubs  map[federation.HubID]*peer
	addr  netip.Addr // of the site
	epoch atomic.Uint64
}

// peer is a hub: real exchange sessions, and a trunk that only answers pings.
type peer struct {
	exchangev1.UnimplementedExchangeServer
	domain *domain
	entry  exchange.Hub
	stop   func()

	mu struct {
		sync.Mutex
		listed  []exchange.Hub
		sees    netip.AddrPort // where the site speaks from
		routes  exchange.Mirror
		told    int // announcements since the session began
		runner  *exchange.Runner
		over    []string // why sessions ended
		opened  int
		resumed int
	}
}

func newDomain(t *testing.T) *domain {
	t.Helper()
	return &domain{
		t: t, net: memnet.New(memnet.Options{Delay: time.Millisecond}), ids: identitytest.NewDomain(t, "example.org"),
		hubs: map[federation.HubID]*peer{}, addr: siteAddr,
	}
}

// hub starts one; its address follows from its name.
func (d *domain) hub(id federation.HubID) *peer {
	d.t.Helper()
	addr := netip.AddrFrom4([4]byte{192, 0, 2, 200 + id[0] - 'a'})
	p := &peer{domain: d, entry: exchange.Hub{
		ID: id, GRPC: netip.AddrPortFrom(addr, 5443).String(),
		SIP: []exchange.Address{{Transport: "tls", HostPort: netip.AddrPortFrom(addr, 5061).String()}},
	}}
	d.hubs[id] = p
	source := d.ids.Source(d.t, identity.Hub, string(id))
	api := grpc.NewServer(grpc.Creds(credentials.NewTLS(identity.HubTLS(source, d.ids.Trust))), grpc.InitialWindowSize(exchange.StreamWindow))
	exchangev1.RegisterExchangeServer(api, p)
	trunk := siptransport.New(siptransport.Options{Network: d.net.Host(addr), Receiver: deaf{}})
	host := d.net.Host(addr)
	apiListener, err := host.ListenTCP(context.Background(), netip.AddrPortFrom(addr, 5443))
	if err != nil {
		d.t.Fatal(err)
	}
	trunkListener, err := host.ListenTCP(context.Background(), netip.AddrPortFrom(addr, 5061))
	if err != nil {
		d.t.Fatal(err)
	}
	if err := trunk.AddTLS(trunkListener, identity.ServerTLS(source, d.ids.Trust, identity.Site)); err != nil {
		d.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = api.Serve(apiListener) })
	running.Go(func() { _ = trunk.Run(ctx) })
	p.stop = sync.OnceFunc(func() { api.Stop(); cancel(); running.Wait() })
	return p
}

// deaf hears no SIP.
type deaf struct{}

func (deaf) Receive(in *siptransport.Inbound)          { in.Release() }
func (deaf) FlowClosed(siptransport.Flow, error)       {}
func (deaf) Refused(siptransport.Flow, []byte, string) {}

// is gives the hub other addresses; sessions that begin later tell them.
func (p *peer) is(entry exchange.Hub) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.entry = entry
}

// Session serves one session as a hub does.
func (p *peer) Session(stream grpc.BidiStreamingServer[exchangev1.Frame, exchangev1.Frame]) error {
	p.mu.Lock()
	epoch := p.domain.epoch.Add(1)
	config := exchange.Config{
		Self: federation.NodeID("hub/" + p.entry.ID), Domain: "example.org", Epoch: epoch, Role: exchange.RoleHub,
		Peer: "site/london", Software: "test hub", SIP: p.entry.SIP,
		Observed: p.mu.sees,
	}
	config.EnsureDefaults()
	session := exchange.New(config, exchange.Nothing{})
	p.mu.opened++
	p.mu.told = 0
	runner := exchange.NewRunner(session, p)
	p.mu.runner = runner
	listed := p.mu.listed
	p.mu.Unlock()
	if listed != nil {
		runner.Post(stream.Context(), exchange.DirectoryChanged{Hubs: listed})
	}
	return runner.Run(stream.Context(), stream)
}

func (p *peer) Deliver(deltas []exchange.Delta) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.routes.Apply(deltas)
	for i := range deltas {
		if deltas[i].Op == exchange.Announce {
			p.mu.told++
		}
	}
}

func (p *peer) Tell(a exchange.Action) {
	if end, ok := a.(exchange.End); ok {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.mu.over = append(p.mu.over, exchange.CodeName(end.Code)+" graceful="+fmt.Sprint(end.Graceful))
	}
}

// list tells the hub's sites which hubs there are.
func (p *peer) list(hubs ...federation.HubID) {
	var all []exchange.Hub
	for _, id := range hubs {
		all = append(all, p.domain.hubs[id].entry)
	}
	p.mu.Lock()
	p.mu.listed = all
	runner := p.mu.runner
	p.mu.Unlock()
	if runner != nil {
		runner.Post(p.domain.t.Context(), exchange.DirectoryChanged{Hubs: all})
	}
}

func (p *peer) heard() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []string
	for _, r := range p.mu.routes.Routes() {
		all = append(all, fmt.Sprintf("%s via %s", r.NLRI, r.Attributes.Origin.Node))
	}
	return strings.Join(all, ", ")
}

// site is a running uplink and the endpoint below it.
type site struct {
	*uplink.Uplink
	home uplink.Home
	stop func()
}

// know writes the list of hubs that a site starts from.
func (d *domain) know(home uplink.Home, hubs ...federation.HubID) {
	d.t.Helper()
	var list []string
	for _, id := range hubs {
		list = append(list, fmt.Sprintf(`{"id": %q, "grpc": %q}`, id, d.hubs[id].entry.GRPC))
	}
	if err := os.MkdirAll(string(home), 0o700); err != nil {
		d.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(string(home), "hubs.json"), []byte(`{"v": 1, "hubs": [`+strings.Join(list, ",")+`]}`), 0o600); err != nil {
		d.t.Fatal(err)
	}
}

func (d *domain) site(home uplink.Home, prefer ...federation.HubID) *site {
	d.t.Helper()
	return d.siteWith(uplink.Options{Home: home, Prefer: prefer})
}

// siteWith has options beyond those that every site here has.
func (d *domain) siteWith(o uplink.Options) *site {
	d.t.Helper()
	u, err := uplink.New(uplink.Options{
		Site: "london", Domain: "example.org", Prefer: o.Prefer, Home: o.Home, Network: d.net.Host(d.addr), Reach: o.Reach, Forwarded: o.Forwarded, Lookup: o.Lookup,
		Numbers:     []federation.NLRI{{Domain: "example.org", Family: federation.Enterprise, Key: "4", MinLen: 4, MaxLen: 4}},
		Credentials: d.ids.Credentials(d.t, identity.Site, "london"), Software: "test site",
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		d.t.Fatal(err)
	}
	endpoint := siptransport.New(siptransport.Options{Network: d.net.Host(d.addr), Receiver: deaf{}, Watcher: u.Links()})
	u.Links().Attach(endpoint)
	ctx, cancel := context.WithCancel(context.Background())
	sockets, shut := context.WithCancel(context.Background())
	var running, below sync.WaitGroup
	below.Go(func() { _ = endpoint.Run(sockets) })
	running.Go(func() { _ = u.Run(ctx) })
	s := &site{Uplink: u, home: o.Home}
	s.stop = sync.OnceFunc(func() { cancel(); running.Wait(); shut(); below.Wait() })
	return s
}

// state sums up what the site knows of its hubs, in the order of preference.
func (s *site) state() string {
	var all []string
	for _, n := range s.Neighbours() {
		all = append(all, fmt.Sprintf("%s %s %s", n.Node, n.Session, n.Trunk.State))
	}
	return strings.Join(all, ", ")
}

func (s *site) ways(prefer federation.NodeID) string {
	var all []string
	for node, flow := range s.Ways(prefer) {
		if named, ok := s.Node(flow); !ok || named != node {
			return "a flow of " + string(node) + " is taken for " + string(named)
		}
		all = append(all, string(node))
	}
	return strings.Join(all, " ")
}

func want(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Fatalf("%s: %q, want %q", what, got, want)
	}
}

func bubble(t *testing.T, test func(d *domain)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDomain(t)
		defer func() {
			for _, p := range d.hubs {
				p.stop()
			}
		}()
		test(d)
	})
}

func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// TestAttach starts from what a token says: one hub's gRPC address. The rest is learned, kept and used.
func TestAttach(t *testing.T) {
	bubble(t, func(d *domain) {
		t := d.t
		a, b := d.hub("a"), d.hub("b")
		home := uplink.HomeIn(t.TempDir())
		d.know(home, "a")
		s := d.site(home, "b", "a")
		defer s.stop()
		pass(time.Second)
		want(t, "first", s.state(), "hub/a up alive")
		want(t, "hub a heard", a.heard(), "4/4 via site/london")
		if alarms := s.Alarms(); len(alarms) != 1 || !strings.Contains(alarms[0], "no hub b is known") {
			t.Errorf("alarms %q", alarms)
		}
		a.list("a", "b")
		pass(time.Second)
		want(t, "both", s.state(), "hub/b up alive, hub/a up alive")
		want(t, "hub b heard", b.heard(), "4/4 via site/london")
		want(t, "ways", s.ways(""), "hub/b hub/a")
		want(t, "ways of a dialog", s.ways("hub/a"), "hub/a hub/b")
		if alarms := s.Alarms(); len(alarms) != 0 {
			t.Errorf("alarms %q", alarms)
		}
		s.stop()
		synctest.Wait()
		for id, p := range d.hubs {
			if !slices.Equal(p.mu.over, []string{"shutdown graceful=true"}) {
				t.Errorf("hub %s: the session ended with %q", id, p.mu.over)
			}
		}
		a.stop()
		again := d.site(home, "b", "a")
		defer again.stop()
		pass(time.Second)
		want(t, "after a restart without a", again.state(), "hub/b up alive, hub/a down down")
		want(t, "ways", again.ways("hub/a"), "hub/b")
	})
}

// TestHubGoesAndComes wants the session back by itself, and calls never to wait for it.
func TestHubGoesAndComes(t *testing.T) {
	bubble(t, func(d *domain) {
		t := d.t
		a := d.hub("a")
		home := uplink.HomeIn(t.TempDir())
		d.know(home, "a")
		s := d.site(home)
		defer s.stop()
		pass(time.Second)
		a.stop()
		pass(time.Second)
		want(t, "gone", s.state(), "hub/a down down")
		want(t, "ways", s.ways(""), "")
		if n := s.Neighbours()[0]; n.Reason == "" || n.Since.IsZero() {
			t.Errorf("%+v", n)
		}
		pass(time.Hour)
		a = d.hub("a")
		began := time.Now()
		for s.state() != "hub/a up alive" {
			pass(100 * time.Millisecond)
			if time.Since(began) > 4*time.Second {
				t.Fatalf("4 s after the hub is back: %s", s.state())
			}
		}
		want(t, "heard", a.heard(), "4/4 via site/london")
	})
}

// TestWireIsCut wants calls to stop going there in seconds, while the session holds longer.
func TestWireIsCut(t *testing.T) {
	bubble(t, func(d *domain) {
		t := d.t
		d.hub("a")
		home := uplink.HomeIn(t.TempDir())
		d.know(home, "a")
		s := d.site(home)
		defer s.stop()
		pass(time.Second)
		d.net.Cut(siteAddr, netip.MustParseAddr("192.0.2.200"))
		pass(4 * time.Second)
		want(t, "4 s", s.state(), "hub/a up suspect")
		pass(4 * time.Second)
		want(t, "8 s", s.state(), "hub/a up down")
		pass(20 * time.Second)
		want(t, "28 s", s.state(), "hub/a down down")
		if reason := s.Neighbours()[0].Reason; reason == "" {
			t.Error("no reason")
		}
		d.net.Heal(siteAddr, netip.MustParseAddr("192.0.2.200"))
		pass(time.Minute)
		want(t, "healed", s.state(), "hub/a up alive")
	})
}

// TestHubLeavesTheDirectory wants a hub that is still heard to stay, and to go when it is not.
func TestHubLeavesTheDirectory(t *testing.T) {
	bubble(t, func(d *domain) {
		t := d.t
		a, b := d.hub("a"), d.hub("b")
		home := uplink.HomeIn(t.TempDir())
		d.know(home, "a", "b")
		s := d.site(home, "a", "b")
		defer s.stop()
		pass(time.Second)
		a.list("a")
		pass(time.Second)
		want(t, "missing in the list", s.state(), "hub/a up alive, hub/b up alive")
		b.stop()
		pass(30 * time.Second)
		a.list("a")
		pass(time.Second)
		want(t, "missing and dead", s.state(), "hub/a up alive")
	})
}
