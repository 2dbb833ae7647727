package exchange

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	exchangev1 "github.com/mss-federation/mss/proto/mss/exchange/v1"
)

// host keeps what a session brought.
type host struct {
	mu      sync.Mutex
	sink    Mirror
	actions []Action
	block   chan struct{} // when set, Deliver waits for it
}

func (h *host) Deliver(deltas []Delta) {
	h.mu.Lock()
	block := h.block
	h.mu.Unlock()
	if block != nil {
		<-block
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sink.Apply(deltas)
}

func (h *host) Tell(a Action) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.actions = append(h.actions, a)
}

func (h *host) list() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return (&end{sink: &h.sink}).list()
}

func (h *host) synchronised() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Contains(h.actions, Action(Synchronised{}))
}

// server is a hub that runs one session for each stream.
type server struct {
	exchangev1.UnimplementedExchangeServer
	host *host
	ctx  context.Context //nolint:containedctx // it is the server's life, as Run wants it
	ends chan error
}

func (s *server) Session(stream exchangev1.Exchange_SessionServer) error {
	err := NewRunner(New(hubConfig(), Nothing{}), s.host).Run(s.ctx, stream)
	s.ends <- err
	return err
}

// line is a site and a hub joined by gRPC in memory.
type line struct {
	site, hub *host
	book      *Book
	runner    *Runner
	stopHub   context.CancelFunc
	stopSite  context.CancelFunc
	breakOff  context.CancelFunc // ends the site's stream without a word
	siteEnd   chan error
	hubEnd    chan error
}

func newLine(t *testing.T) *line {
	t.Helper()
	l := &line{site: &host{}, hub: &host{}, book: NewBook("site/london", 7), siteEnd: make(chan error, 1), hubEnd: make(chan error, 1)}
	listener := bufconn.Listen(1 << 16)
	hubCtx, stopHub := context.WithCancel(t.Context())
	g := grpc.NewServer(grpc.InitialWindowSize(StreamWindow), grpc.InitialConnWindowSize(StreamWindow))
	exchangev1.RegisterExchangeServer(g, &server{host: l.hub, ctx: hubCtx, ends: l.hubEnd})
	served := make(chan error, 1)
	go func() { served <- g.Serve(listener) }()
	conn, err := grpc.NewClient("passthrough:///hub", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithInitialWindowSize(StreamWindow), grpc.WithInitialConnWindowSize(StreamWindow),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	streamCtx, breakOff := context.WithCancel(context.Background())
	siteCtx, stopSite := context.WithCancel(t.Context())
	l.stopHub, l.stopSite, l.breakOff = stopHub, stopSite, breakOff
	l.book.Set(london("4"))
	stream, err := exchangev1.NewExchangeClient(conn).Session(streamCtx)
	if err != nil {
		t.Fatal(err)
	}
	l.runner = NewRunner(New(siteConfig(), l.book), l.site)
	go func() {
		l.siteEnd <- l.runner.Run(siteCtx, stream)
		breakOff()
	}()
	t.Cleanup(func() {
		stopSite()
		stopHub()
		breakOff()
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
		g.Stop()
		if err := <-served; err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			t.Error(err)
		}
	})
	return l
}

func TestRunOverGRPC(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLine(t)
		synctest.Wait()
		if got := l.hub.list(); got != "4/4 " || !l.hub.synchronised() || !l.site.synchronised() {
			t.Fatalf("hub has %q", got)
		}
		l.book.Set(london("4", "50"))
		l.runner.Notify()
		<-time.After(49 * time.Millisecond)
		synctest.Wait()
		if got := l.hub.list(); got != "4/4 " {
			t.Fatalf("hub has %q before the delay is over", got)
		}
		<-time.After(time.Millisecond)
		synctest.Wait()
		if got := l.hub.list(); got != "4/4 50/4 " {
			t.Fatalf("hub has %q", got)
		}
		if got := l.runner.Stats().AnnouncedOut; got != 2 {
			t.Errorf("%d announcements counted at once, want 2", got)
		}
		<-time.After(10 * time.Minute)
		select {
		case err := <-l.siteEnd:
			t.Fatal("an idle session ended:", err)
		case err := <-l.hubEnd:
			t.Fatal("an idle session ended:", err)
		default:
		}
		l.stopHub()
		if err := <-l.siteEnd; !strings.Contains(err.Error(), "session ended by neighbour: unavailable: shutdown: the node stops") {
			t.Error("site:", err)
		}
		if err := <-l.hubEnd; !strings.Contains(err.Error(), "session ended by this node: unavailable: shutdown") {
			t.Error("hub:", err)
		}
	})
}

func TestRunEndsWhenTheStreamBreaks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLine(t)
		synctest.Wait()
		l.breakOff()
		for name, ends := range map[string]chan error{"site": l.siteEnd, "hub": l.hubEnd} {
			if err := <-ends; !strings.Contains(err.Error(), "exchange: read: unavailable") {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// TestRunHearsWhileTheTableIsBusy blocks the hub's table for longer than the hold time: what arrives
// meanwhile must not be lost, and the session must not take itself for silent.
func TestRunHearsWhileTheTableIsBusy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLine(t)
		synctest.Wait()
		block := make(chan struct{})
		l.hub.mu.Lock()
		l.hub.block = block
		l.hub.mu.Unlock()
		l.book.Set(london("4", "50"))
		l.runner.Notify()
		<-time.After(15 * time.Second) // keepalives of the site wait in the inbox
		close(block)
		synctest.Wait()
		if got := l.hub.list(); got != "4/4 50/4 " {
			t.Errorf("hub has %q", got)
		}
		<-time.After(time.Minute)
		select {
		case err := <-l.hubEnd:
			t.Error("the session ended:", err)
		default:
		}
	})
}

// deaf is a stream whose other end takes nothing.
type deaf struct{ ctx context.Context } //nolint:containedctx // a stream has one

func (d deaf) Send(*exchangev1.Frame) error {
	<-d.ctx.Done()
	return d.ctx.Err()
}

func (d deaf) Recv() (*exchangev1.Frame, error) {
	<-d.ctx.Done()
	return nil, d.ctx.Err()
}

// talker says what a hub says, and takes nothing.
type talker struct {
	deaf
	said *int
}

func (d talker) Recv() (*exchangev1.Frame, error) {
	*d.said++
	switch *d.said {
	case 1:
		return &exchangev1.Frame{Kind: &exchangev1.Frame_Open{Open: &exchangev1.Open{
			MinVersion: 1, MaxVersion: 1, NodeId: "hub/a", Domain: "example.org", BootEpoch: 1, Role: RoleHub, HoldMs: 20_000,
		}}}, nil
	case 2:
		return &exchangev1.Frame{Kind: &exchangev1.Frame_OpenConfirm{OpenConfirm: &exchangev1.OpenConfirm{Version: 1}}}, nil
	}
	select {
	case <-time.After(time.Second):
		return &exchangev1.Frame{Kind: &exchangev1.Frame_Keepalive{Keepalive: &exchangev1.Keepalive{}}}, nil
	case <-d.ctx.Done():
		return nil, d.ctx.Err()
	}
}

func TestRunGivesUpOnADeafNeighbour(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		began := time.Now()
		err := NewRunner(New(siteConfig(), Nothing{}), &host{}).Run(t.Context(), talker{deaf{ctx}, new(int)})
		if took := time.Since(began); !strings.Contains(err.Error(), errSlow.Error()) || took < 20*time.Second || took > 22*time.Second {
			t.Errorf("gave up after %v: %v", took, err)
		}
	})
}

// flood sends frames without end.
type flood struct{ deaf }

func (flood) Recv() (*exchangev1.Frame, error) {
	return &exchangev1.Frame{Kind: &exchangev1.Frame_Keepalive{Keepalive: &exchangev1.Keepalive{}}}, nil
}

func TestRunBoundsItsInbox(t *testing.T) {
	t.Parallel()
	b := inbox{limit: 10_000, ready: make(chan struct{}, 1)}
	b.fill(flood{}) // returns, although the stream never ends
	if frames, err := b.take(); !errors.Is(err, errFlood) || len(frames) > 10_000/frameCost {
		t.Errorf("%d frames, %v", len(frames), err)
	}
}
