package peering

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mss-federation/mss/pkg/exchange"
	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/identity"
	exchangev1 "github.com/mss-federation/mss/proto/mss/exchange/v1"
	"github.com/mss-federation/mss/tmss/policy"
	"github.com/mss-federation/mss/tmss/routetable"
)

const domain = "example.org"

// pipe is one direction of a stream.
type pipe chan *exchangev1.Frame

// end is one end of a stream; both end with ctx, and what was sent before still arrives.
type end struct {
	ctx     context.Context
	in, out pipe
}

func (e end) Send(f *exchangev1.Frame) error {
	select {
	case e.out <- f:
		return nil
	case <-e.ctx.Done():
		return io.EOF
	}
}

func (e end) Recv() (*exchangev1.Frame, error) {
	select {
	case f := <-e.in:
		return f, nil
	case <-e.ctx.Done():
	}
	select {
	case f := <-e.in:
		return f, nil
	default:
		return nil, io.EOF
	}
}

// hub is the hub under test with its table; sites are real sessions at the other end.
type hub struct {
	t      *testing.T
	p      *Peering
	table  *routetable.Table
	mu     sync.Mutex
	sites  map[federation.SiteID]string // with their one prefix
	policy *policy.Policy
	doubt  error // what Believed says
	parts  sync.WaitGroup
	stop   context.CancelFunc
}

func newHub(t *testing.T) *hub {
	t.Helper()
	return newHubNamed(t, "a", 1, nil)
}

func newHubNamed(t *testing.T, name federation.HubID, epoch uint64, dial Dial) *hub {
	t.Helper()
	self := federation.NodeID("hub/" + name)
	h := &hub{t: t, sites: map[federation.SiteID]string{"london": "4xxx", "hongkong": "1xxx"}}
	h.table = routetable.New(routetable.Options{Self: self, Epoch: epoch})
	h.install()
	h.p = New(Options{
		Self: self, Dial: dial, Domain: domain, Epoch: epoch, Table: h.table, Policy: h.current, Admit: h.admit, Believed: h.believed,
		SIP: []exchange.Address{{Transport: "tls", HostPort: "192.0.2.1:5061"}}, Software: "hub software",
	})
	ctx, cancel := context.WithCancel(t.Context())
	h.stop = cancel
	h.parts.Go(func() {
		if err := h.p.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	return h
}

func (h *hub) current() *policy.Policy {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.policy
}

func (h *hub) admit(id federation.NodeID) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	name, office := strings.CutPrefix(string(id), "site/")
	if !office {
		return nil
	}
	if _, ok := h.sites[federation.SiteID(name)]; !ok {
		return fault.New("admit", fault.Denied, string(id), "no such site is configured")
	}
	return nil
}

func (h *hub) believed(tls.ConnectionState) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.doubt
}

// install makes what the sites own the policy in force.
func (h *hub) install() {
	h.mu.Lock()
	var sites []policy.Site
	for id, prefix := range h.sites {
		sites = append(sites, policy.Site{ID: id, Prefixes: []federation.NLRI{h.nlri(prefix)}})
	}
	p, err := policy.New(domain, sites)
	if err != nil {
		h.t.Fatal(err)
	}
	h.policy = p
	h.mu.Unlock()
	p.Install(h.table, time.Now(), nil)
}

func (h *hub) nlri(text string) federation.NLRI {
	n, err := federation.ParsePattern(domain, text)
	if err != nil {
		h.t.Fatal(err)
	}
	return n
}

func (h *hub) outcome(number federation.Number) string {
	m := h.table.Lookup(number)
	switch {
	case len(m.Paths) > 0 && m.Paths[0].Stale:
		return string(m.Paths[0].Neighbour) + " stale"
	case len(m.Paths) > 0:
		return string(m.Paths[0].Neighbour)
	case m.Null:
		return "404"
	}
	return "none"
}

func (h *hub) want(number federation.Number, want string) {
	h.t.Helper()
	synctest.Wait()
	if got := h.outcome(number); got != want {
		h.t.Errorf("%s: %s, want %s", number, got, want)
	}
}

// site is the other end of one session.
type site struct {
	hub     *hub
	mu      sync.Mutex
	routes  map[string]federation.NodeID // what it was offered
	hubs    []exchange.Hub
	ended   error // what its own session ended with
	refused error // what the hub's handler returned
	cut     context.CancelFunc
}

// Deliver keeps what was offered.
func (s *site) Deliver(deltas []exchange.Delta) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range deltas {
		switch d.Op {
		case exchange.Announce:
			s.routes[d.Route.NLRI.Pattern()] = d.Route.Attributes.NextHops[0].Node
		case exchange.Withdraw:
			delete(s.routes, d.Route.NLRI.Pattern())
		default: // refreshes end where they should in pkg/exchange's own tests
		}
	}
}

// Tell keeps the list of hubs.
func (s *site) Tell(a exchange.Action) {
	if learned, ok := a.(exchange.Learned); ok {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.hubs = learned.Hubs
	}
}

func (s *site) offered(pattern string) federation.NodeID {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.routes[pattern]
}

// connect opens a session of a site that announces these prefixes.
func (h *hub) connect(id federation.SiteID, prefixes ...string) *site {
	h.t.Helper()
	node := identity.Node{Domain: domain, Role: identity.Site, ID: string(id)}
	book := exchange.NewBook(node.NodeID(), 7)
	attributes := &federation.Attributes{Origin: federation.Origin{Site: id}}
	routes := map[federation.NLRI]*federation.Attributes{}
	for _, p := range prefixes {
		routes[h.nlri(p)] = attributes
	}
	book.Set(routes)
	ctx, cut := context.WithCancel(h.t.Context())
	s := &site{hub: h, routes: map[string]federation.NodeID{}, cut: cut}
	there, back := make(pipe, 16), make(pipe, 16)
	config := exchange.Config{Self: node.NodeID(), Domain: domain, Epoch: 7, Role: exchange.RoleBranch, Peer: h.table.Self()}
	config.EnsureDefaults()
	h.parts.Go(func() {
		err := exchange.NewRunner(exchange.New(config, book), s).Run(h.t.Context(), end{ctx, back, there})
		s.mu.Lock()
		defer s.mu.Unlock()
		s.ended = err
		cut()
	})
	h.parts.Go(func() {
		err := h.p.carry(ctx, node, exchange.RoleHub, source{address: "192.0.2.9:40000"}, end{ctx, there, back})
		s.mu.Lock()
		defer s.mu.Unlock()
		s.refused = err
		cut()
	})
	synctest.Wait()
	return s
}

func (h *hub) close() {
	h.stop()
	h.parts.Wait()
}

// A site's numbers reach the table and the other site; what it does not own does not.
func TestSiteAnnounces(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t)
		defer h.close()
		h.want("1001", "404") // owned, and announced by nobody yet
		hongkong := h.connect("hongkong", "1xxx", "2xxx")
		london := h.connect("london", "4xxx")
		<-time.After(time.Second) // announcements wait for others
		h.want("1001", "site/hongkong")
		h.want("2001", "none")
		if got := london.offered("1xxx"); got != "hub/a" {
			t.Errorf("london is offered 1xxx by %q", got)
		}
		if london.offered("2xxx") != "" || london.offered("4xxx") != "" || hongkong.offered("4xxx") != "hub/a" {
			t.Errorf("offered: london %v, hongkong %v", london.routes, hongkong.routes)
		}
		p := h.p.Peer("site/hongkong")
		if p.Phase != Up || p.Routes != 2 || p.Address != "192.0.2.9:40000" || p.Sessions != 1 {
			t.Errorf("peer %+v", p)
		}
		if list := h.p.Peers(); len(list) != 2 || list[0].Node != "site/hongkong" {
			t.Errorf("peers %+v", list)
		}
	})
}

// A site that vanishes for a moment is gone for nobody; one that stays away is stale while its trunk stands, and no
// next hop when that is gone too.
func TestSiteVanishes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t)
		defer h.close()
		h.p.TrunkChanged("site/hongkong", true)
		h.connect("hongkong", "1xxx").cut()
		h.want("1001", "site/hongkong stale")
		again := h.connect("hongkong", "1xxx")
		h.want("1001", "site/hongkong")
		again.cut()
		h.want("1001", "site/hongkong stale")
		h.p.TrunkChanged("site/hongkong", false)
		<-time.After(grace)
		h.want("1001", "404")
		h.p.TrunkChanged("site/hongkong", true)
		h.want("1001", "site/hongkong stale")
		if p := h.p.Peer("site/hongkong"); p.Phase != Down || p.Reason == "" || p.Sessions != 2 {
			t.Errorf("peer %+v", p)
		}
	})
}

// A site that operators delete loses its session and its routes, and gets no new one.
func TestSiteIsDeleted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t)
		defer h.close()
		hongkong := h.connect("hongkong", "1xxx")
		h.want("1001", "site/hongkong")
		h.mu.Lock()
		delete(h.sites, "hongkong")
		h.mu.Unlock()
		h.install()
		h.p.Readmit()
		h.want("1001", "none")
		if hongkong.ended == nil || !strings.Contains(hongkong.ended.Error(), "not permitted") {
			t.Errorf("the site was told %v", hongkong.ended)
		}
		if refused := h.connect("hongkong", "1xxx").refused; fault.KindOf(refused) != fault.Denied {
			t.Errorf("a new session: %v", refused)
		}
		h.want("1001", "none")
	})
}

// A session does not outlive the revocation of its certificate.
func TestSiteIsRevoked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t)
		defer h.close()
		hongkong := h.connect("hongkong", "1xxx")
		h.mu.Lock()
		h.doubt = fault.New("check certificate", fault.Denied, "site/hongkong", "revoked")
		h.mu.Unlock()
		h.p.Readmit()
		h.want("1001", "404")
		if hongkong.ended == nil || !strings.Contains(hongkong.ended.Error(), "revoked") {
			t.Errorf("the site was told %v", hongkong.ended)
		}
	})
}

// A new session of the same site takes the old one's place.
func TestNewerSessionWins(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t)
		defer h.close()
		first := h.connect("hongkong", "1xxx")
		second := h.connect("hongkong", "1xxx")
		h.want("1001", "site/hongkong")
		if first.ended == nil || !strings.Contains(first.ended.Error(), "duplicate") || second.ended != nil {
			t.Errorf("first %v, second %v", first.ended, second.ended)
		}
	})
}

// Sites learn the hubs at the start of a session and at each change.
func TestDirectoryIsTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t)
		defer h.close()
		h.p.SetHubs([]exchange.Hub{{ID: "a", GRPC: "192.0.2.1:5443"}})
		s := h.connect("london", "4xxx")
		if len(s.hubs) != 1 || s.hubs[0].GRPC != "192.0.2.1:5443" {
			t.Errorf("at the start: %v", s.hubs)
		}
		h.p.SetHubs([]exchange.Hub{{ID: "a", GRPC: "192.0.2.1:5443"}, {ID: "b", GRPC: "192.0.2.2:5443"}})
		synctest.Wait()
		if len(s.hubs) != 2 {
			t.Errorf("at a change: %v", s.hubs)
		}
	})
}

// When the hub stops, its neighbours are told that it comes back.
func TestHubStops(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t)
		s := h.connect("london", "4xxx")
		h.close()
		if s.ended == nil || !strings.Contains(s.ended.Error(), "shutdown") {
			t.Errorf("the site was told %v", s.ended)
		}
		if err := errors.Join(s.refused); err == nil {
			t.Error("the handler returned nothing")
		}
	})
}
