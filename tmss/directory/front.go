package directory

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/mss-federation/mss/pkg/identity"
)

const (
	handshakeLimit = 5 * time.Second
	connectionsMax = 256 // hubs and members: a handful each
	acceptPause    = 100 * time.Millisecond
)

// front is a TLS listener that hands what hubs say to a Unix socket of etcd.
type front struct {
	listener net.Listener
	config   *tls.Config
	socket   string
	trust    *identity.Trust
	logger   *slog.Logger
	slots    chan struct{}

	mu struct {
		sync.Mutex
		open map[*tls.Conn]struct{}
	}
}

func newFront(listener net.Listener, config *tls.Config, socket string, trust *identity.Trust, logger *slog.Logger) *front {
	f := &front{
		listener: listener, config: config, socket: socket, trust: trust,
		logger: logger.With(slog.String("listener", listener.Addr().String())),
		slots:  make(chan struct{}, connectionsMax),
	}
	f.mu.open = map[*tls.Conn]struct{}{}
	return f
}

// withHTTP2 lets gRPC through, which wants ALPN.
func withHTTP2(c *tls.Config) *tls.Config {
	inner := c.GetConfigForClient
	c.NextProtos = []string{"h2"}
	c.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		made, err := inner(hello)
		if err == nil {
			made.NextProtos = c.NextProtos
		}
		return made, err
	}
	return c
}

// run accepts until ctx ends; when it returns, no connection is left.
func (f *front) run(ctx context.Context) error {
	var tasks sync.WaitGroup
	defer tasks.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = f.listener.Close() })
	defer stop()
	tasks.Go(func() { f.cut(ctx) })
	for {
		conn, err := f.listener.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				_ = conn.Close()
			}
			return nil
		case errors.Is(err, net.ErrClosed):
			return err
		case err != nil: // out of descriptors: some will come back
			f.logger.WarnContext(ctx, "connection not accepted", slog.Any("error", err))
			pause(ctx, acceptPause)
			continue
		}
		select {
		case f.slots <- struct{}{}:
			tasks.Go(func() {
				f.serve(ctx, tls.Server(conn, f.config))
				<-f.slots
			})
		default:
			_ = conn.Close()
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// serve carries one connection to its end.
func (f *front) serve(ctx context.Context, outside *tls.Conn) {
	defer outside.Close()
	limited, cancel := context.WithTimeout(ctx, handshakeLimit)
	err := outside.HandshakeContext(limited)
	cancel()
	if err != nil {
		f.logger.WarnContext(ctx, "connection refused", slog.String("peer", outside.RemoteAddr().String()), slog.Any("error", err))
		return
	}
	var dialer net.Dialer
	inside, err := dialer.DialContext(ctx, "unix", f.socket)
	if err != nil {
		f.logger.ErrorContext(ctx, "etcd does not take a connection", slog.Any("error", err))
		return
	}
	defer inside.Close()
	f.hold(outside)
	defer f.release(outside)
	// A revocation between the handshake and hold is not missed.
	if _, err := f.trust.Check(outside.ConnectionState()); err != nil {
		return
	}
	stop := context.AfterFunc(ctx, func() { _, _ = outside.NetConn().Close(), inside.Close() })
	defer stop()
	join(outside, inside)
}

// join copies both ways until one side ends, and closes both.
func join(a, b net.Conn) {
	var back sync.WaitGroup
	back.Go(func() {
		_, _ = io.Copy(a, b) // an ended connection is no news: both sides learn it
		_, _ = a.Close(), b.Close()
	})
	_, _ = io.Copy(b, a)
	_, _ = a.Close(), b.Close()
	back.Wait()
}

func (f *front) hold(c *tls.Conn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.open[c] = struct{}{}
}

func (f *front) release(c *tls.Conn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.mu.open, c)
}

// cut closes, at each change of whom we trust, the connections of those whom we do not trust any more.
func (f *front) cut(ctx context.Context) {
	for {
		changed := f.trust.Changed()
		f.mu.Lock()
		for c := range f.mu.open {
			if _, err := f.trust.Check(c.ConnectionState()); err != nil {
				f.logger.WarnContext(ctx, "connection cut", slog.String("peer", c.RemoteAddr().String()), slog.Any("error", err))
				_ = c.NetConn().Close() // the copying ends and closes the rest
			}
		}
		f.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
	}
}
