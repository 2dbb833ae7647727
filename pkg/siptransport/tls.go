package siptransport

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mss-federation/mss/pkg/fault"
)

// Watcher is told of stream connections, so that it can know who is at their other end and whether the peer
// still answers. Its methods are called from many connections at once, those of one in order; they must not
// block.
type Watcher interface {
	// FlowOpened says that a connection stands, TLS handshake included. It comes before the connection's
	// first message reaches the Receiver.
	FlowOpened(flow Flow)
	// FlowAlive says that a keep-alive came: the peer's ping, or its answer to ours.
	FlowAlive(flow Flow)
	// FlowClosed comes once, before the Receiver's, for each connection that FlowOpened told of, and for each
	// that [Endpoint.Dial] began and that never opened.
	FlowClosed(flow Flow, cause error)
}

// unwatched is a Watcher that does not care.
type unwatched struct{}

func (unwatched) FlowOpened(Flow)        {}
func (unwatched) FlowAlive(Flow)         {}
func (unwatched) FlowClosed(Flow, error) {}

// AddTLS takes over a TCP listener, before or during Run, and speaks TLS with who connects to it. The
// handshake runs beside other connections and is part of what Options.FirstByte bounds. config is not copied
// and must not be changed; certificates are replaced through its callbacks.
func (e *Endpoint) AddTLS(ln net.Listener, config *tls.Config) error {
	return e.addTLS(&listener{e: e, ln: ln, transport: TLS, config: config})
}

// AddInboundTLS is AddTLS for a listener of others than those whom this endpoint dials: [Endpoint.LocalFor] does not
// give its address, so that no connection that is dialled shows it or leaves from it.
func (e *Endpoint) AddInboundTLS(ln net.Listener, config *tls.Config) error {
	return e.addTLS(&listener{e: e, ln: ln, transport: TLS, config: config, inbound: true})
}

func (e *Endpoint) addTLS(l *listener) error {
	if l.config == nil {
		return errors.Join(fault.New("add TLS listener", fault.Invalid, l.ln.Addr().String(), "no TLS configuration"), l.ln.Close())
	}
	return e.addListener(l)
}

// Dial opens a connection of its own to flow.Remote, TCP or TLS, and returns its flow, which has an ID, at
// once; messages may be queued on it already. config is for TLS, names the peer, and must not be changed. The
// Watcher hears FlowOpened when it stands, and in any case FlowClosed. Send with a zero ID never finds it.
// The connection has an idle limit until it is kept.
func (e *Endpoint) Dial(flow Flow, config *tls.Config) (Flow, error) {
	if !flow.Transport.Stream() || (flow.Transport == TLS) != (config != nil) {
		return Flow{}, fault.New("connect", fault.Invalid, flow.String(), "TLS needs a configuration, TCP has none")
	}
	if !flow.Remote.IsValid() || flow.Remote.Port() == 0 {
		return Flow{}, fault.New("connect", fault.Invalid, flow.String(), "name an address and a port to connect to")
	}
	flow = e.withLocal(flow)
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.mayDialLocked(); err != nil {
		return Flow{}, err
	}
	s := e.newStreamLocked(flow)
	s.watched, s.config = true, config
	flow = s.flow // which gets its Local when it stands
	e.launchLocked(s)
	return flow, nil
}

// handshake does what TLS needs before the first message. Its time counts from when the connection came.
func (s *stream) handshake() error {
	conn, ok := s.conn.(*tls.Conn)
	if !ok {
		return nil
	}
	limit := s.e.opts.FirstByte
	if s.dialled {
		limit = s.e.opts.ConnectTimeout
	}
	if err := s.deadline(s.since.Add(limit)); err != nil {
		return err
	}
	if err := inTurn(conn); err != nil { // the deadline bounds it, and shut ends it
		if cause := s.cause(); cause != nil {
			return cause
		}
		return fmt.Errorf("%w: %w", ErrHandshake, err)
	}
	return s.deadline(time.Time{})
}

// inTurn shakes hands, taking turns with others where we are the server.
func inTurn(conn *tls.Conn) error {
	if t, ok := conn.NetConn().(*turn); ok {
		t.begin()
		defer t.over()
	}
	return conn.Handshake()
}

// deadline bounds reads and writes unless the connection ends; then shut has set nearer ones.
func (s *stream) deadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ending == nil {
		s.armed = t
		_ = s.conn.SetDeadline(t) // see shut
	}
	return s.ending
}

// Peer is what TLS knows of the other end of a connection that has opened; false for others.
func (e *Endpoint) Peer(flow Flow) (tls.ConnectionState, bool) {
	s := e.stream(flow)
	if s == nil {
		return tls.ConnectionState{}, false
	}
	s.mu.Lock()
	conn, ok := s.conn.(*tls.Conn)
	s.mu.Unlock()
	if !ok {
		return tls.ConnectionState{}, false
	}
	state := conn.ConnectionState()
	return state, state.HandshakeComplete
}

// Ping sends a keep-alive (RFC 5626 §3.5.1). From the first one on, line ends that come on the connection are
// taken for pongs. One side alone, the one that dialled, should ping a connection.
func (e *Endpoint) Ping(flow Flow) error {
	s := e.stream(flow)
	if s == nil {
		return ErrFlowClosed
	}
	s.mu.Lock()
	s.pinging = true
	s.mu.Unlock()
	return s.queueLineEnds("\r\n\r\n")
}

func (s *stream) pings() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pinging
}

// SetUserTimeout bounds how long sent bytes may stay unacknowledged before the kernel ends the connection
// (TCP_USER_TIMEOUT, RFC 5482). Networks other than the kernel's have no such clock: nothing happens.
func (e *Endpoint) SetUserTimeout(flow Flow, d time.Duration) error {
	s := e.stream(flow)
	if s == nil {
		return ErrFlowClosed
	}
	s.mu.Lock()
	conn := s.conn
	s.mu.Unlock()
	if t, ok := conn.(*tls.Conn); ok {
		conn = t.NetConn()
	}
	if t, ok := conn.(*turn); ok {
		conn = t.Conn
	}
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(d.Milliseconds()))
	})
	return errors.Join(err, failed)
}
