package adminapi

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/mss-federation/mss/pkg/identity"
	"github.com/mss-federation/mss/pkg/identity/identitytest"
	commonv1 "github.com/mss-federation/mss/proto/mss/common/v1"
)

// counted knows how many of its connections were open at once.
type counted struct {
	net.Listener
	mu        sync.Mutex
	now, most int
}

func (l *counted) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		l.add(1)
	}
	return &countedConn{Conn: conn, of: l}, err
}

func (l *counted) add(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.now += n
	l.most = max(l.most, l.now)
}

type countedConn struct {
	net.Conn
	of   *counted
	once sync.Once
}

func (c *countedConn) Close() error {
	c.once.Do(func() { c.of.add(-1) })
	return c.Conn.Close()
}

// Who connects and says nothing is sent away soon, and never holds more connections than there may be.
func TestSilentConnectionsAreFewAndShort(t *testing.T) {
	t.Parallel()
	d := identitytest.NewDomain(t, "example.org")
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener := &counted{Listener: ln}
	server := New(Options{
		Logger: slog.New(slog.DiscardHandler), Rules: Rules{method: {Roles: []identity.Role{identity.Operator}}},
		Register: func(r grpc.ServiceRegistrar) { commonv1.RegisterPeersServer(r, &peers{list: who}) },
		TLS:      credentials.NewTLS(identity.HubTLS(d.Source(t, identity.Hub, "a"), d.Trust)), Handshake: 200 * time.Millisecond, MaxConnections: 2,
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx, listener) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	var silent []net.Conn
	for range 6 {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		silent = append(silent, conn)
	}
	for _, conn := range silent {
		_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
		if _, err := conn.Read(make([]byte, 1)); err == nil {
			t.Error("an answer to nothing")
		} else if timeout, ok := err.(net.Error); ok && timeout.Timeout() { //nolint:errorlint // it comes from the socket
			t.Error("still open after 20 s")
		}
		_ = conn.Close()
	}
	listener.mu.Lock()
	defer listener.mu.Unlock()
	if listener.most != 2 {
		t.Errorf("%d connections at once, want 2", listener.most)
	}
}
