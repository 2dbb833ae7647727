package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	commonv1 "github.com/mss-federation/mss/proto/mss/common/v1"
	tmssv1 "github.com/mss-federation/mss/proto/mss/tmss/v1"
)

// admin connects to the node's admin socket, as mssctl does; without a process each time it can be asked often.
func (n *tree) admin() (*grpc.ClientConn, error) {
	return grpc.NewClient("passthrough:///node", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(n.dir, "admin.sock"))
		}))
}

// Peer is what the node says of a neighbour; nil if it does not know it.
func (n *tree) Peer(ctx context.Context, name string) (*commonv1.Peer, error) {
	conn, err := n.admin()
	if err != nil {
		return nil, fmt.Errorf("ask about %s: %w", name, err)
	}
	defer conn.Close()
	return peer(ctx, conn, name)
}

func peer(ctx context.Context, conn *grpc.ClientConn, name string) (*commonv1.Peer, error) {
	// It ends when the last is received.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := commonv1.NewPeersClient(conn).ListPeers(ctx, &commonv1.ListPeersRequest{Node: name})
	if err != nil {
		return nil, fmt.Errorf("ask about %s: %w", name, err)
	}
	m, err := stream.Recv()
	if err != nil {
		return nil, fmt.Errorf("ask about %s: %w", name, err)
	}
	return m.GetPeer(), nil
}

// PeerUntil asks about a neighbour until what the node says fits, and gives the moment.
func (n *tree) PeerUntil(ctx context.Context, name string, fits func(*commonv1.Peer) bool) (time.Time, error) {
	conn, err := n.admin()
	if err != nil {
		return time.Time{}, fmt.Errorf("ask about %s: %w", name, err)
	}
	defer conn.Close()
	for {
		p, err := peer(ctx, conn, name)
		if err == nil && fits(p) {
			return time.Now(), nil
		}
		if stop := pause(ctx, pollEvery); stop != nil {
			return time.Time{}, fmt.Errorf("%s is still %v: %w", name, p, stop)
		}
	}
}

// PathUntil asks a hub for its paths to a prefix until they fit, best first, and gives the moment. Unlike a [Watch] it sees
// what the hub keeps to itself.
func (h *Hub) PathUntil(ctx context.Context, prefix string, fits func(*Change) bool) (time.Time, error) {
	conn, err := h.admin()
	if err != nil {
		return time.Time{}, fmt.Errorf("ask for %s: %w", prefix, err)
	}
	defer conn.Close()
	for {
		c, err := paths(ctx, conn, prefix)
		if err == nil && fits(c) {
			return time.Now(), nil
		}
		if stop := pause(ctx, pollEvery); stop != nil {
			return time.Time{}, fmt.Errorf("hub %s has for %s still %v: %w", h.opt.Hub, prefix, c, stop)
		}
	}
}

func paths(ctx context.Context, conn *grpc.ClientConn, prefix string) (*Change, error) {
	stream, err := tmssv1.NewRoutesClient(conn).ListRoutes(ctx, &tmssv1.ListRoutesRequest{})
	c := &Change{Prefix: prefix}
	for err == nil {
		var m *tmssv1.ListRoutesResponse
		if m, err = stream.Recv(); err == nil && m.GetPath().GetPrefix() == prefix {
			c.Paths = append(c.Paths, m.GetPath())
		}
	}
	if !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("ask for %s: %w", prefix, err)
	}
	return c, nil
}

// Change is what a hub knew of a prefix from a moment on.
type Change struct {
	At     time.Time
	Prefix string
	Paths  []*tmssv1.Path // best first; none: gone
}

// Path is the path of a change that a neighbour announced, nil without one.
func (c *Change) Path(neighbour string) *tmssv1.Path {
	for _, p := range c.Paths {
		if p.GetNeighbour() == neighbour {
			return p
		}
	}
	return nil
}

// Watch follows a hub's routes, as mssctl route watch does.
type Watch struct {
	cancel context.CancelFunc
	ended  chan struct{}

	mu struct {
		sync.Mutex
		changes []Change
		news    chan struct{} // closed at the next change, and at the end
		err     error
	}
}

// Watch begins to follow the routes whose prefix begins in a way, and returns when it has the first state. The caller
// closes it.
func (h *Hub) Watch(ctx context.Context, prefix string) (*Watch, error) {
	conn, err := h.admin()
	if err != nil {
		return nil, fmt.Errorf("watch routes: %w", err)
	}
	w := &Watch{ended: make(chan struct{})}
	w.mu.news = make(chan struct{})
	following, cancel := context.WithCancel(context.WithoutCancel(ctx))
	w.cancel = cancel
	synced := make(chan struct{})
	go func() {
		defer close(w.ended)
		defer conn.Close()
		w.follow(following, conn, prefix, synced)
	}()
	select {
	case <-synced:
		return w, nil
	case <-w.ended:
	case <-ctx.Done():
	}
	w.Close()
	return nil, fmt.Errorf("watch routes of hub %s: %w", h.opt.Hub, w.mu.err)
}

func (w *Watch) follow(ctx context.Context, conn *grpc.ClientConn, prefix string, synced chan<- struct{}) {
	stream, err := tmssv1.NewRoutesClient(conn).WatchRoutes(ctx, &tmssv1.WatchRoutesRequest{Prefix: prefix})
	for err == nil {
		var m *tmssv1.WatchRoutesResponse
		if m, err = stream.Recv(); err != nil {
			break
		}
		if m.GetChange() == tmssv1.WatchRoutesResponse_CHANGE_SYNCED {
			close(synced)
			continue
		}
		w.add(Change{At: time.Now(), Prefix: m.GetPrefix(), Paths: m.GetPaths()}, nil)
	}
	w.add(Change{}, err)
}

func (w *Watch) add(c Change, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err == nil {
		w.mu.changes = append(w.mu.changes, c)
	}
	w.mu.err = err
	close(w.mu.news)
	w.mu.news = make(chan struct{})
}

// Since are the changes from a moment on.
func (w *Watch) Since(from time.Time) (after []Change) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.mu.changes {
		if !c.At.Before(from) {
			after = append(after, c)
		}
	}
	return after
}

// Until waits for a change from a moment on that fits.
func (w *Watch) Until(ctx context.Context, from time.Time, fits func(*Change) bool) (*Change, error) {
	for {
		w.mu.Lock()
		news, err := w.mu.news, w.mu.err
		w.mu.Unlock()
		after := w.Since(from)
		for i := range after {
			if fits(&after[i]) {
				return &after[i], nil
			}
		}
		if err != nil {
			return nil, fmt.Errorf("wait for a route: %w", err)
		}
		select {
		case <-news:
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for a route: only %v came: %w", after, ctx.Err())
		}
	}
}

// Close ends it; what was seen stays.
func (w *Watch) Close() {
	w.cancel()
	<-w.ended
}
