package media

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"

	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/relay"
	mediav1 "github.com/mss-federation/mss/proto/mss/media/v1"
)

// Options say how the media process works.
type Options struct {
	// Socket is the path of the Unix socket to listen on, at most 107 bytes. Ignored with Listener.
	Socket string
	// Listener takes connections instead of Socket. Serve closes it.
	Listener net.Listener
	// PortLow and PortHigh bound the voice ports, both inclusive. Zero means 16384 and 32766.
	PortLow, PortHigh int
	// Relay has the relay's further settings; its ports and logger are those given here.
	Relay relay.Options
	// OrphanTime is how long endpoints go on without a control stream. Zero means 60s; negative, for ever.
	OrphanTime time.Duration
	// Pulse tells others whether the process still relays. It may be nil.
	Pulse *Pulse
	// Ready is called once the socket can be connected to. It may be nil.
	Ready func()
	// Logger gets what an operator must know. Nil means silence.
	Logger *slog.Logger
}

// Pulse is for the heartbeat of the process: a loop that hangs must not pass for alive. The zero Pulse, and
// that of a process that is still starting, is alive.
type Pulse struct {
	engine atomic.Pointer[relay.Engine]
}

// Alive reports whether every relay loop looked at its sockets within the last two seconds.
func (p *Pulse) Alive() bool {
	engine := p.engine.Load()
	return engine == nil || engine.Alive()
}

// Endpoints is how many endpoints are open.
func (p *Pulse) Endpoints() int {
	engine := p.engine.Load()
	if engine == nil {
		return 0
	}
	return engine.Len()
}

// EnsureDefaults fills what is zero.
func (o *Options) EnsureDefaults() {
	if o.OrphanTime == 0 {
		o.OrphanTime = DefaultOrphanTime
	}
	if o.Ready == nil {
		o.Ready = func() {}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Pulse == nil {
		o.Pulse = new(Pulse)
	}
	o.Relay.PortLow, o.Relay.PortHigh, o.Relay.Logger = o.PortLow, o.PortHigh, o.Logger
	o.Relay.EnsureDefaults()
}

// Serve relays voice for whoever connects to the socket, until ctx ends. The order at the end: no more
// commands, then the voice sockets, so that no answer tells of a port that is gone.
func Serve(ctx context.Context, o Options) error {
	o.EnsureDefaults()
	engine, err := relay.New(o.Relay)
	if err != nil {
		return err
	}
	listener := o.Listener
	if listener == nil {
		if listener, err = listen(ctx, o.Socket); err != nil {
			return err
		}
	}
	o.Pulse.engine.Store(engine)
	s := &server{engine: engine, orphanTime: o.OrphanTime, log: o.Logger}
	rpc := grpc.NewServer(grpc.MaxConcurrentStreams(16), grpc.WaitForHandlers(true))
	mediav1.RegisterMediaServer(rpc, s)

	relayCtx, stopRelay := context.WithCancel(context.WithoutCancel(ctx))
	defer stopRelay()
	var running errgroup.Group
	running.Go(func() error { return engine.Run(relayCtx) })
	running.Go(func() error {
		defer stopRelay()
		if err := rpc.Serve(listener); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			return fmt.Errorf("serve media control: %w", err)
		}
		return nil
	})
	stopped := context.AfterFunc(ctx, func() {
		rpc.Stop()
		s.forgetOrphans()
	})
	defer stopped()
	o.Logger.Info("media serves", "socket", listener.Addr().String(), "ports", fmt.Sprintf("%d-%d", o.Relay.PortLow, o.Relay.PortHigh))
	o.Ready()
	return running.Wait()
}

// listen binds the socket for this user alone. A socket file that nobody answers on is what a killed
// process left behind, and is replaced.
func listen(ctx context.Context, path string) (net.Listener, error) {
	const op = "listen for media control"
	var config net.ListenConfig
	l, err := config.Listen(ctx, "unix", path)
	if errors.Is(err, unix.EADDRINUSE) {
		var d net.Dialer
		if conn, dialErr := d.DialContext(ctx, "unix", path); dialErr == nil {
			return nil, errors.Join(fault.New(op, fault.Conflict, path, "another media process serves this socket; end it first"), conn.Close())
		}
		if err := os.Remove(path); err != nil {
			return nil, &fault.Error{Op: op, Kind: fault.Conflict, Subject: path, Err: err}
		}
		l, err = config.Listen(ctx, "unix", path)
	}
	if err != nil {
		return nil, &fault.Error{Op: op, Kind: fault.Unavailable, Subject: path, Err: err}
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(&fault.Error{Op: op, Kind: fault.Denied, Subject: path, Err: err}, l.Close())
	}
	return l, nil
}

// server admits one control stream at a time.
type server struct {
	mediav1.UnimplementedMediaServer
	engine     *relay.Engine
	orphanTime time.Duration
	log        *slog.Logger

	mu struct {
		sync.Mutex
		current *session
		orphans *time.Timer // closes what nobody controls
		ended   bool
	}
}

// Control serves one stream until it ends or a newer one takes its place.
func (s *server) Control(stream mediav1.Media_ControlServer) error {
	c := newSession(s, stream)
	if older := s.admit(c); older != nil {
		older.replace()
		select {
		case <-older.gone:
		case <-stream.Context().Done():
		}
	}
	defer s.leave(c)
	s.log.Info("signalling connected", "endpoints", s.engine.Len())
	err := c.run()
	s.log.Info("signalling disconnected", "endpoints", s.engine.Len(), "cause", err)
	return err
}

// admit makes c the current session and returns the one before.
func (s *server) admit(c *session) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	older := s.mu.current
	s.mu.current = c
	if s.mu.orphans != nil {
		s.mu.orphans.Stop()
	}
	return older
}

// leave lets the endpoints go on; without another stream they are closed in the end.
func (s *server) leave(c *session) {
	close(c.gone)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.current != c {
		return
	}
	s.mu.current = nil
	s.engine.Listen(false)
	if s.orphanTime > 0 && !s.mu.ended {
		s.mu.orphans = time.AfterFunc(s.orphanTime, s.closeOrphans)
	}
}

func (s *server) closeOrphans() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.current != nil || s.mu.ended {
		return
	}
	if r := s.engine.Sync(nil); r.Closed > 0 {
		s.log.Warn("endpoints closed, no signalling controls them", "endpoints", r.Closed, "after", s.orphanTime)
	}
}

func (s *server) forgetOrphans() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.ended = true
	if s.mu.orphans != nil {
		s.mu.orphans.Stop()
	}
}

// during runs work if c is still the current session, so that a stream that was replaced changes nothing.
func (s *server) during(c *session, work func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.current != c {
		return false
	}
	work()
	return true
}
