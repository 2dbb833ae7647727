package admin

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/mss-federation/mss/lmss/registrar"
	"github.com/mss-federation/mss/lmss/store"
	"github.com/mss-federation/mss/lmss/user"
	"github.com/mss-federation/mss/pkg/adminapi"
	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/siptransport"
	"github.com/mss-federation/mss/pkg/tracering"
	commonv1 "github.com/mss-federation/mss/proto/mss/common/v1"
)

const realm = "london.example.org"

// site is a running API over a real store, directory, registrar and trace ring; only the calls are made up.
type site struct {
	users     *user.Directory
	registrar *registrar.Registrar
	store     *store.Store
	calls     *madeUpCalls
	trace     *tracering.Ring
	server    *Server
	conn      *grpc.ClientConn
	now       time.Time
}

// madeUpCalls are calls without a call.
type madeUpCalls struct {
	mu struct {
		sync.Mutex
		list []CallInfo
		err  error
	}
}

func (c *madeUpCalls) Live(context.Context) ([]CallInfo, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.mu.list), c.mu.err
}

func (c *madeUpCalls) Hangup(_ context.Context, id string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.IndexFunc(c.mu.list, func(info CallInfo) bool { return info.ID == id })
	if i < 0 {
		return fault.New("hang up call", fault.NotFound, id, "gone")
	}
	c.mu.list = slices.Delete(c.mu.list, i, i+1)
	return nil
}

func (c *madeUpCalls) set(err error, list ...CallInfo) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.list, c.mu.err = list, err
}

// newSite starts the API; change may alter its options.
func newSite(t *testing.T, change func(*Options)) *site {
	t.Helper()
	s := &site{calls: &madeUpCalls{}, trace: tracering.New(1, 1<<20), now: time.Now()}
	var err error
	if s.users, err = user.NewDirectory(); err != nil {
		t.Fatal(err)
	}
	if s.registrar, err = registrar.New(registrar.Options{Random: func(int) int { return 0 }}); err != nil {
		t.Fatal(err)
	}
	s.store = newStore(t)
	options := Options{
		Logger: slog.New(slog.DiscardHandler), Site: "london", Realm: realm,
		Users: s.users, Registrar: s.registrar, Calls: s.calls, Store: s.store, Records: s.store, Bindings: s.store, Audits: s.store, Level: new(slog.LevelVar),
		Trace: s.trace, Peers: func() []*commonv1.Peer { return nil },
		Status: func(context.Context) Status {
			return Status{Version: "v1", Commit: "abc", Started: s.now, Processes: []Process{{"signal", os.Getpid()}}, Counters: map[string]uint64{"b": 2, "a": 1}}
		},
	}
	if change != nil {
		change(&options)
	}
	s.server = New(options)
	s.serve(t)
	return s
}

// newStore opens a store that is closed, and whose writer has ended, when the test ends.
func newStore(t *testing.T) *store.Store {
	t.Helper()
	st, err := store.Open(t.TempDir(), store.Options{ReserveBytes: -1})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- st.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-done, st.Close()); err != nil {
			t.Errorf("store: %v", err)
		}
	})
	return st
}

func (s *site) serve(t *testing.T) {
	t.Helper()
	listener, err := adminapi.Listen(socketPath(t))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.server.Run(ctx, listener) }()
	s.conn = dial(t, listener.Addr())
	t.Cleanup(func() {
		if err := s.conn.Close(); err != nil {
			t.Error(err)
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
}

// socketPath is short: a test's own folder can be too long for a socket.
func socketPath(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "mss")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(folder); err != nil {
			t.Error(err)
		}
	})
	return filepath.Join(folder, "run", "admin.sock")
}

func dial(t *testing.T, addr net.Addr) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient("unix:"+addr.String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// register binds a phone of a user.
func (s *site) register(t *testing.T, name federation.User, port uint16) {
	t.Helper()
	address := netip.AddrPortFrom(netip.MustParseAddr("192.0.2.9"), port)
	uri := "sip:" + string(name) + "@" + address.String()
	outcome := s.registrar.Register(s.now, registrar.Request{
		AoR: name, CallID: "reg-" + string(name), CSeq: 1, Expires: -1, UserAgent: "phone\xff",
		Flow:     siptransport.Flow{Transport: siptransport.UDP, Local: netip.MustParseAddrPort("192.0.2.1:5060"), Remote: address},
		Contacts: []registrar.Contact{{Raw: "<" + uri + ">", URI: uri, Expires: -1, Q: registrar.DefaultQ}},
	}, 3)
	if outcome.Status != 200 {
		t.Fatalf("register: %d %s", outcome.Status, outcome.Reason)
	}
}

// audits are the audit records, newest first.
func (s *site) audits(t *testing.T) []store.Audit {
	t.Helper()
	list, err := s.store.LoadAudit(100)
	if err != nil {
		t.Fatal(err)
	}
	return list
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

// streamError is the error that ends a stream.
func streamError[T any](stream grpc.ServerStreamingClient[T], err error) error {
	for err == nil {
		_, err = stream.Recv()
	}
	return err
}
