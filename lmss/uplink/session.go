package uplink

import (
	"context"
	"crypto/tls"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/mss-federation/mss/pkg/exchange"
	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/fault/faultgrpc"
	"github.com/mss-federation/mss/pkg/identity"
	"github.com/mss-federation/mss/pkg/network"
	exchangev1 "github.com/mss-federation/mss/proto/mss/exchange/v1"
)

// Phase is how far a session has come.
type Phase uint8

// The phases. The zero Phase is Down.
const (
	Down          Phase = iota // there is no session
	Opening                    // both sides say who they are
	Synchronising              // routes flow; the first whole state is not here
	Up
)

// String is the phase in an operator's words.
func (p Phase) String() string { return [...]string{"down", "opening", "synchronising", "up"}[p] }

// session keeps one exchange session with one hub up. Its goroutine is run's.
type session struct {
	uplink *Uplink
	hub    exchange.Hub
	node   identity.Node
	config *tls.Config
	log    *slog.Logger
	wake   chan struct{} // holds a token when an attempt is worth it now
	resume exchange.Resume
	// rotation remembers which address of the hub worked.
	rotation network.Rotation
	// failed says that the last attempt made no session, and failure of what kind that was.
	failed  bool
	failure fault.Kind

	mu struct {
		sync.Mutex
		sessionState
		local  netip.Addr       // of the connection
		runner *exchange.Runner // nil: there is no session
	}
}

// sessionState is what others may see.
type sessionState struct {
	phase    Phase
	since    time.Time
	reason   string
	sessions uint32
	software string
	stats    exchange.Stats
}

func newSession(u *Uplink, hub exchange.Hub, config *tls.Config) *session {
	s := &session{
		uplink: u, hub: hub, config: config, wake: make(chan struct{}, 1),
		node: identity.Node{Domain: string(u.options.Domain), Role: identity.Hub, ID: string(hub.ID)},
		log:  u.log.With("hub", string(hub.ID)),
	}
	s.mu.since = time.Now()
	return s
}

func (s *session) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *session) established() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.phase >= Synchronising
}

func (s *session) state() sessionState {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.sessionState
}

func (s *session) enter(phase Phase, reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.phase != phase {
		s.mu.phase, s.mu.since = phase, time.Now()
	}
	s.mu.reason = reason
	if phase == Synchronising {
		s.mu.sessions++
	}
}

// run makes one session after the other until ctx ends.
func (s *session) run(ctx context.Context) {
	for n := 0; ; n++ {
		began := time.Now()
		err := s.attempt(ctx)
		if ctx.Err() != nil {
			s.enter(Down, "this node stops")
			return
		}
		lasted := s.established()
		s.report(err, lasted)
		if lasted && time.Since(began) >= settled {
			n = 0
		}
		timer := time.NewTimer(backoff(n, rand.Float64()))
		select {
		case <-ctx.Done():
		case <-s.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// report says why a session ended, and why none can be made, each kind of failure once in a row.
func (s *session) report(err error, lasted bool) {
	s.enter(Down, err.Error())
	kind := fault.KindOf(err)
	switch {
	case lasted:
		s.log.Warn("session ended", "err", err)
	case !s.failed || s.failure != kind:
		s.log.Warn("no session with hub", "address", strings.Join(s.hub.GRPCAddresses(), " "), "err", err)
	}
	s.failed, s.failure = !lasted, kind
}

// attempt carries one session from its dialling to its end. The error tells why it is over.
func (s *session) attempt(ctx context.Context) error {
	const op = "exchange with hub"
	conn, err := grpc.NewClient("passthrough:///"+s.hub.GRPC,
		grpc.WithTransportCredentials(credentials.NewTLS(s.config)),
		grpc.WithContextDialer(s.dial),
		grpc.WithInitialWindowSize(exchange.StreamWindow),
		grpc.WithInitialConnWindowSize(exchange.StreamWindow),
		grpc.WithDisableServiceConfig(),
	)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // it was good or its end is known
	// The stream outlives ctx by the moment in which the Cease leaves.
	streaming, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	unbound := context.AfterFunc(ctx, cancel)
	late := time.AfterFunc(connectTime, cancel)
	stream, err := exchangev1.NewExchangeClient(conn).Session(streaming)
	late.Stop()
	if !unbound() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return faultgrpc.Error(op, err)
	}
	s.rotation.Worked()
	err = s.exchange(ctx, stream)
	part(stream)
	return err
}

// part waits until the hub has ended the stream: what was sent last is only queued, and cancelling would drop it.
func part(stream grpc.ClientStream) {
	if stream.CloseSend() != nil {
		return
	}
	timer := time.NewTimer(partTime)
	defer timer.Stop()
	select {
	case <-stream.Context().Done():
	case <-timer.C:
	}
}

// connectTime bounds what comes before the first frame.
const connectTime = 5 * time.Second

// partTime bounds what comes after the last.
const partTime = 500 * time.Millisecond

func (s *session) exchange(ctx context.Context, stream exchange.Stream) error {
	config := exchange.Config{
		Self: s.uplink.self().NodeID(), Domain: s.uplink.options.Domain, Epoch: s.uplink.epoch, Role: exchange.RoleBranch,
		Peer: s.node.NodeID(), Software: s.uplink.options.Software, Resume: s.resume,
	}
	config.EnsureDefaults()
	if err := config.Validate(); err != nil {
		return err
	}
	s.enter(Opening, "")
	core := exchange.New(config, s.uplink.book)
	runner := exchange.NewRunner(core, (*host)(s))
	s.carry(runner)
	err := runner.Run(ctx, stream)
	s.carry(nil)
	s.resume = core.Resume()
	s.mu.Lock()
	s.mu.stats = core.Stats()
	s.mu.Unlock()
	return err
}

func (s *session) carry(runner *exchange.Runner) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.runner = runner
}

// notify says that the book has changed.
func (s *session) notify() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.runner != nil {
		s.mu.runner.Notify()
	}
}

// dial opens the connection below the session.
func (s *session) dial(ctx context.Context, _ string) (net.Conn, error) {
	remotes, err := s.uplink.find(ctx, s.hub.GRPCAddresses())
	if err != nil {
		return nil, err
	}
	conn, err := s.rotation.Dial(ctx, s.uplink.options.Network, remotes)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.mu.local = network.AddrPort(conn.LocalAddr()).Addr()
	s.mu.Unlock()
	return conn, nil
}

// host takes what a session brings.
type host session

// Deliver counts; routes are the hubs' to know.
func (h *host) Deliver([]exchange.Delta) {}

// Tell takes the rest.
func (h *host) Tell(action exchange.Action) {
	s := (*session)(h)
	switch a := action.(type) {
	case exchange.Established:
		s.enter(Synchronising, "")
		s.mu.Lock()
		s.mu.software = a.Peer.Software
		local := s.mu.local
		s.mu.Unlock()
		s.uplink.observe(s.hub.ID, local, a.Peer.Observed.Addr())
		s.log.Info("session established", "software", a.Peer.Software, "resumed", a.Peer.Resumed)
		s.uplink.opened(exchange.Hub{ID: s.hub.ID, GRPC: s.hub.GRPC, GRPCAlso: s.hub.GRPCAlso, SIP: a.Peer.SIP, Software: a.Peer.Software})
	case exchange.Synchronised:
		s.enter(Up, "")
	case exchange.Learned:
		s.uplink.learn(a.Hubs)
	}
}
