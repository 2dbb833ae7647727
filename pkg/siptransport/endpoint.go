// Package siptransport owns the sockets and connections that SIP travels on. It hands whole messages,
// as bytes, to one [Receiver] and sends bytes on flows. It knows nothing of SIP but where a message
// ends: what is in it is judged elsewhere (sipgate, siptx). Start at [New], then [Endpoint.AddUDP],
// [Endpoint.AddListener] and [Endpoint.Run].
//
// Each UDP socket has one reader. Each stream connection has a reader and a writer, so that a slow
// peer delays nobody but itself.
package siptransport

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/network"
)

// What Send answers, and what ends a connection. Receiver.FlowClosed may get others: io.EOF when the
// peer closed, the kernel's, a framing error.
var (
	ErrStopped     = errors.New("sip endpoint has stopped")
	ErrNoSocket    = errors.New("no socket has the flow's local address")
	ErrFlowClosed  = errors.New("connection is closed")
	ErrQueueFull   = errors.New("too much waits on this connection")
	ErrTooMany     = errors.New("too many outgoing connections")
	ErrClosedHere  = errors.New("closed by this side")
	ErrSilent      = errors.New("no first byte in time")
	ErrSlowMessage = errors.New("message not whole in time")
	ErrIdle        = errors.New("idle")
	ErrHandshake   = errors.New("TLS handshake failed")
)

type state uint8

const (
	idle state = iota
	running
	stopped
)

// Endpoint is all SIP sockets of one process. It is safe for concurrent use.
type Endpoint struct {
	opts     Options
	log      *slog.Logger
	receiver Receiver
	watcher  Watcher
	stats    counters
	unkept   atomic.Int64 // accepted connections that nobody keeps

	handshakes chan struct{} // see turn

	// sockets is copied on write, so that Send over UDP takes no lock.
	sockets atomic.Pointer[map[netip.AddrPort]*socket]
	routes  routes

	done chan struct{} // closed when stopping begins
	fail context.CancelCauseFunc
	wg   sync.WaitGroup // everything that Run waits for; added to under mu while running

	mu        sync.RWMutex // guards what follows
	state     state
	listeners []*listener
	streams   map[FlowID]*stream
	dialled   map[dialKey]*stream
	sources   map[netip.Prefix]int // accepted connections
	lastID    FlowID
}

// New makes an endpoint without sockets. Options are checked by Run.
func New(opts Options) *Endpoint {
	opts.EnsureDefaults()
	e := &Endpoint{
		opts:     opts,
		log:      opts.Logger,
		receiver: opts.Receiver,
		watcher:  opts.Watcher,
		done:     make(chan struct{}),
		streams:  make(map[FlowID]*stream),
		dialled:  make(map[dialKey]*stream),
		sources:  make(map[netip.Prefix]int),

		handshakes: make(chan struct{}, max(0, opts.MaxHandshakes)), // Run refuses less than one
	}
	e.sockets.Store(&map[netip.AddrPort]*socket{})
	return e
}

// AddUDP takes over a bound socket, before or during Run. The endpoint closes it at Run's end, or at
// once if it cannot be added.
func (e *Endpoint) AddUDP(conn network.PacketConn) error {
	s := &socket{e: e, conn: network.Direct(conn), local: network.AddrPort(conn.LocalAddr())}
	e.mu.Lock()
	defer e.mu.Unlock()
	old := *e.sockets.Load()
	switch {
	case e.state == stopped:
		return errors.Join(ErrStopped, conn.Close())
	case old[s.local] != nil:
		return errors.Join(fault.New("add udp socket", fault.Exists, s.local.String(), "each local address has one socket"), conn.Close())
	}
	sockets := maps.Clone(old)
	sockets[s.local] = s
	e.sockets.Store(&sockets)
	e.routes.addLocal(UDP, s.local)
	if e.state == running {
		e.wg.Go(s.read)
	}
	return nil
}

// AddListener takes over a TCP listener, before or during Run. The endpoint closes it at Run's end, or at
// once if it cannot be added. For TLS see [Endpoint.AddTLS].
func (e *Endpoint) AddListener(t Transport, ln net.Listener) error {
	if t != TCP {
		return errors.Join(fault.New("add listener", fault.Invalid, t.String()+" "+ln.Addr().String(), "TCP only; TLS needs a configuration"), ln.Close())
	}
	return e.addListener(&listener{e: e, ln: ln, transport: t})
}

func (e *Endpoint) addListener(l *listener) error {
	t, ln := l.transport, l.ln
	local := network.AddrPort(ln.Addr())
	if !local.IsValid() {
		return errors.Join(fault.New("add listener", fault.Invalid, t.String()+" "+ln.Addr().String(), "streams over TCP only"), ln.Close())
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.state == stopped {
		return errors.Join(ErrStopped, ln.Close())
	}
	e.listeners = append(e.listeners, l)
	if !l.inbound {
		e.routes.addLocal(t, local)
	}
	if e.state == running {
		e.wg.Go(l.accept)
	}
	return nil
}

// Run reads until ctx ends, then closes everything and waits for it: what was queued on connections
// has Options.Linger to leave. It returns nil when ctx ended, and the cause when a socket broke. An
// endpoint runs once.
func (e *Endpoint) Run(ctx context.Context) error {
	if err := e.opts.Validate(); err != nil {
		return err
	}
	parent := ctx
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if err := e.start(cancel); err != nil {
		return err
	}
	<-ctx.Done()
	e.stop()
	e.wg.Wait()
	if parent.Err() != nil {
		return nil
	}
	return context.Cause(ctx)
}

func (e *Endpoint) start(fail context.CancelCauseFunc) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.state != idle {
		return fault.New("run sip endpoint", fault.Conflict, "", "an endpoint runs once")
	}
	e.state = running
	e.fail = fail
	for _, s := range *e.sockets.Load() {
		e.wg.Go(s.read)
	}
	for _, l := range e.listeners {
		e.wg.Go(l.accept)
	}
	for _, s := range e.streams { // what was sent before Run
		e.wg.Go(s.open)
	}
	return nil
}

// stop closes sockets and listeners and tells connections to end.
func (e *Endpoint) stop() {
	e.mu.Lock()
	e.state = stopped
	close(e.done)
	listeners := e.listeners
	sockets := *e.sockets.Load()
	streams := make([]*stream, 0, len(e.streams))
	for _, s := range e.streams {
		streams = append(streams, s)
	}
	e.mu.Unlock()
	for _, s := range streams {
		s.shut(ErrStopped)
	}
	for _, l := range listeners {
		e.closed("listener", l.ln.Close())
	}
	for _, s := range sockets {
		e.closed("socket", s.conn.Close())
	}
}

// closed notes a Close that failed; there is nothing else to do about it.
func (e *Endpoint) closed(what string, err error) {
	if err != nil && !errors.Is(err, net.ErrClosed) {
		e.log.Warn("close failed", "what", what, "err", err)
	}
}

// broke ends Run, unless it is ending: somebody closed a socket under us, and a process must not go on
// deaf.
func (e *Endpoint) broke(what, local string, err error) {
	select {
	case <-e.done:
	default:
		e.fail(&fault.Error{Op: "read " + what, Kind: fault.Unavailable, Subject: local, Err: err})
	}
}

// Send sends msg on a flow and never waits for the network. After an error, msg was not sent and
// failed is not called.
//
// Over UDP it is one datagram from the socket at flow.Local. On a stream msg is copied into the
// connection's queue; with flow.ID zero, a connection to flow.Remote is opened if this endpoint has
// none, and messages wait for it, and for Run, in order. failed, which may be nil, is called once from another
// goroutine if msg was certainly not written whole; it must not block. A message that was written may
// still be lost with the connection: that is FlowClosed.
func (e *Endpoint) Send(flow Flow, msg []byte, failed func(error)) error {
	if flow.Transport == UDP {
		return e.sendUDP(flow, msg)
	}
	if !flow.Transport.Stream() {
		return fault.New("send", fault.Invalid, flow.String(), "no such transport")
	}
	if flow.ID != 0 {
		s := e.stream(flow)
		if s == nil {
			return ErrFlowClosed
		}
		return s.enqueue(msg, failed)
	}
	return e.sendDialled(flow, msg, failed)
}

// Keep marks a connection as used by a registered phone or a trunk, so that it has no idle limit, or
// takes the mark away. With flow.ID zero it means the connection dialled to flow.Remote. Unknown
// flows and UDP are ignored.
func (e *Endpoint) Keep(flow Flow, keep bool) {
	if s := e.stream(flow); s != nil {
		s.keep(keep)
	}
}

// Close ends a connection once what is queued has left, or Options.Linger is over. Later sends fail.
// Unknown flows and UDP are ignored.
func (e *Endpoint) Close(flow Flow) {
	if s := e.stream(flow); s != nil {
		s.shut(ErrClosedHere)
	}
}

// stream finds the connection that a flow means, or nil.
func (e *Endpoint) stream(flow Flow) *stream {
	if !flow.Transport.Stream() {
		return nil
	}
	if flow.ID == 0 {
		flow = e.withLocal(flow)
	}
	e.mu.RLock()
	defer e.mu.RUnlock()
	if flow.ID != 0 {
		return e.streams[flow.ID]
	}
	return e.dialled[keyOf(flow)]
}

// pause waits a little between attempts at something that failed; false means that Run is ending.
func (e *Endpoint) pause(failures int) bool {
	const shortest, longest = time.Millisecond, 100 * time.Millisecond
	t := time.NewTimer(min(shortest<<min(failures, 10), longest))
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-e.done:
		return false
	}
}
