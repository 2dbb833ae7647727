package admin

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/mss-federation/mss/pkg/adminapi"
	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/identity"
	"github.com/mss-federation/mss/pkg/nodelink"
	"github.com/mss-federation/mss/pkg/siptransport"
	"github.com/mss-federation/mss/pkg/tracering"
	"github.com/mss-federation/mss/tmss/discovery"
	"github.com/mss-federation/mss/tmss/peering"
	"github.com/mss-federation/mss/tmss/policy"
	"github.com/mss-federation/mss/tmss/routetable"
)

const domain = "example.org"

// hubUnderTest is a running API over a real table and real links; the directory, the neighbours and the audit log are
// kept in memory.
type hubUnderTest struct {
	directory *memoryDirectory
	peers     *knownPeers
	audit     *memoryAudit
	table     *routetable.Table
	trace     *tracering.Ring
	conn      *grpc.ClientConn
}

// memoryDirectory is a directory of one hub, without etcd.
type memoryDirectory struct {
	mu   sync.Mutex
	view discovery.View
	err  error // what writes get
}

func (d *memoryDirectory) View() *discovery.View {
	d.mu.Lock()
	defer d.mu.Unlock()
	v := d.view
	return &v
}

func (*memoryDirectory) Status() discovery.Status { return discovery.Status{Live: true, Revision: 7} }

func (d *memoryDirectory) PutSite(_ context.Context, site discovery.Site, by string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err != nil {
		return d.err
	}
	site.Changed = discovery.Change{By: by, At: time.Now(), Revision: 1}
	d.view.Sites = append(slices.Clone(d.view.Sites), site)
	slices.SortFunc(d.view.Sites, func(a, b discovery.Site) int { return compare(a.ID, b.ID) })
	return nil
}

func (d *memoryDirectory) DeleteSite(_ context.Context, id federation.SiteID, _ int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.view.Sites = slices.DeleteFunc(slices.Clone(d.view.Sites), func(s discovery.Site) bool { return s.ID == id })
	return d.err
}

func (d *memoryDirectory) PutRoute(_ context.Context, route discovery.Route, by string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err != nil {
		return d.err
	}
	route.Changed = discovery.Change{By: by, At: time.Now(), Revision: 1}
	d.view.Routes = append(slices.Clone(d.view.Routes), route)
	slices.SortFunc(d.view.Routes, func(a, b discovery.Route) int { return compare(a.ID, b.ID) })
	return nil
}

func (d *memoryDirectory) DeleteRoute(_ context.Context, id string, _ int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.view.Routes = slices.DeleteFunc(slices.Clone(d.view.Routes), func(r discovery.Route) bool { return r.ID == id })
	return d.err
}

func compare[T ~string](a, b T) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// knownPeers are neighbours that a test made up, and the signal that the table changed.
type knownPeers struct {
	mu      sync.Mutex
	list    []peering.Peer
	changed chan struct{}
}

func (p *knownPeers) Peers() []peering.Peer {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.list)
}

func (p *knownPeers) Peer(id federation.NodeID) peering.Peer {
	for _, known := range p.Peers() {
		if known.Node == id {
			return known
		}
	}
	return peering.Peer{Node: id}
}

func (p *knownPeers) TableChanged() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.changed
}

func (p *knownPeers) tellChanged() {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.changed)
	p.changed = make(chan struct{})
}

// memoryAudit keeps records.
type memoryAudit struct {
	mu      sync.Mutex
	records []adminapi.Record
	refused []string
	err     error
}

func (a *memoryAudit) Append(r adminapi.Record) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err != nil {
		return a.err
	}
	a.records = append(a.records, r)
	return nil
}

func (a *memoryAudit) Refuse(_ adminapi.Record, why error) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.refused = append(a.refused, why.Error())
	return nil
}

func (a *memoryAudit) List(_ time.Time, limit int, each func(adminapi.Record, string) error) error {
	for i, r := range slices.Backward(a.all()) {
		if len(a.all())-i > limit {
			break
		}
		if err := each(r, ""); err != nil {
			return err
		}
	}
	return nil
}

func (a *memoryAudit) all() []adminapi.Record {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.records)
}

// newHub starts the API on a socket.
func newHub(t *testing.T) *hubUnderTest {
	t.Helper()
	h := &hubUnderTest{
		directory: &memoryDirectory{}, peers: &knownPeers{changed: make(chan struct{})}, audit: &memoryAudit{},
		table: routetable.New(routetable.Options{Self: "hub/a", Epoch: 1}), trace: tracering.New(1, 1<<20),
	}
	links := nodelink.New(nodelink.Options{Accept: true})
	links.SetStatics([]nodelink.Static{{Node: "site/lab", Flow: siptransport.Flow{
		Transport: siptransport.UDP, Local: netip.MustParseAddrPort("192.0.2.1:5060"), Remote: netip.MustParseAddrPort("192.0.2.7:5060"),
	}}})
	api := New(Options{
		Logger: slog.New(slog.DiscardHandler), Level: new(slog.LevelVar), Hub: "a", Domain: domain, Directory: h.directory, Table: h.table, Peers: h.peers,
		Links: links, Audit: h.audit, Trace: h.trace,
		Breaker:    func(siptransport.Flow) string { return "open" },
		Configured: []discovery.Site{{ID: "lab", Static: "udp 192.0.2.7:5060", Owns: []discovery.Block{{Prefix: "7", MinLen: 4, MaxLen: 4}}}},
		Token: func(_ context.Context, node identity.Node, by string) (string, time.Time, error) {
			return "token of " + node.URI(), time.Now().Add(time.Minute), nil
		},
		Status: func() Status {
			return Status{Process: Process{Version: "v1", Started: time.Now(), Processes: []Child{{"hub", 7}}}, Counters: map[string]uint64{"requests_forwarded": 3}}
		},
	})
	h.serve(t, adminapi.New(adminapi.Options{Logger: slog.New(slog.DiscardHandler), Rules: Rules, Register: api.Register}))
	return h
}

func (h *hubUnderTest) serve(t *testing.T, server *adminapi.Server) {
	t.Helper()
	folder, err := os.MkdirTemp("", "mss")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	listener, err := adminapi.Listen(filepath.Join(folder, "admin.sock"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx, listener) }()
	h.conn, err = grpc.NewClient("unix:"+listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(h.conn.Close(), <-done); err != nil {
			t.Error(err)
		}
	})
}

// install makes the directory's sites and routes the table's, as a hub does, with what the site london announces.
func (h *hubUnderTest) announce(t *testing.T, prefix string) {
	t.Helper()
	var sites []policy.Site
	for _, s := range h.directory.View().Sites {
		sites = append(sites, policy.Site{ID: s.ID, Prefixes: []federation.NLRI{s.Owns[0].NLRI(domain)}})
	}
	p, err := policy.New(domain, sites)
	if err != nil {
		t.Fatal(err)
	}
	p.Install(h.table, time.Now(), nil)
	n, err := federation.ParsePattern(domain, prefix)
	if err != nil {
		t.Fatal(err)
	}
	attributes := &federation.Attributes{
		Origin: federation.Origin{Node: "site/london", Site: "london"}, NextHops: []federation.NextHop{{Node: "site/london"}},
		AdvPath: []federation.PathElement{{Node: "site/london", Epoch: 1}},
	}
	h.table.Apply(time.Now(), routetable.Change{
		Op: routetable.Announce, Neighbour: "site/london", Decision: p.Import("site/london", n, attributes),
		Route: federation.Route{NLRI: n, PathID: 1, Attributes: attributes, Revisions: []uint64{1}},
	})
	h.peers.tellChanged()
}

// receive reads a stream to its end.
func receive[T any](t *testing.T, stream grpc.ServerStreamingClient[T], err error) (all []*T) {
	t.Helper()
	for err == nil {
		var m *T
		if m, err = stream.Recv(); err == nil {
			all = append(all, m)
		}
	}
	if !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	return all
}

var errNoQuorum = fault.New("put site", fault.Unavailable, "x", "no quorum")
