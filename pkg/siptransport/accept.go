package siptransport

import (
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"time"

	"github.com/mss-federation/mss/pkg/network"
)

// listener accepts stream connections.
type listener struct {
	e         *Endpoint
	ln        net.Listener
	transport Transport
	config    *tls.Config // of a TLS listener
	inbound   bool        // what this endpoint dials neither shows its address nor leaves from it
}

// accept ends only when the listener is closed. When the process is out of file descriptors it waits
// for some to come back.
func (l *listener) accept() {
	for failures := 0; ; {
		conn, err := l.ln.Accept()
		if err == nil {
			failures = 0
			l.admit(conn)
			continue
		}
		if errors.Is(err, net.ErrClosed) {
			l.e.broke("listener", l.ln.Addr().String(), err)
			return
		}
		l.e.stats.acceptErrors.Add(1)
		if failures == 0 {
			l.e.log.Warn("accept failed", "local", l.ln.Addr().String(), "err", err)
		}
		if failures++; !l.e.pause(failures) {
			return
		}
	}
}

// admit starts a connection, or closes it when there are too many. The peer hears nothing more: a
// flood gets no bytes out of us.
func (l *listener) admit(conn net.Conn) {
	flow := Flow{
		Transport: l.transport,
		Local:     network.AddrPort(conn.LocalAddr()),
		Remote:    network.AddrPort(conn.RemoteAddr()),
	}
	wrapped := conn
	if l.config != nil {
		wrapped = tls.Server(&turn{Conn: conn, slots: l.e.handshakes}, l.config)
	}
	if !l.e.startAccepted(flow, wrapped) {
		l.e.closed("refused connection", conn.Close()) // without a word of TLS
	}
}

func (e *Endpoint) startAccepted(flow Flow, conn net.Conn) bool {
	source := sourceOf(flow.Remote.Addr())
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.state != running:
		return false
	case e.sources[source] >= e.sourceLimit(flow.Remote.Addr()):
		e.stats.refusedPerIP.Add(1)
		return false
	case e.unkept.Load() >= int64(e.opts.MaxUnkept):
		e.stats.refusedUnkept.Add(1)
		return false
	}
	e.stats.accepted.Add(1)
	e.sources[source]++
	e.unkept.Add(1)
	s := e.newStreamLocked(flow)
	s.conn = conn
	e.wg.Go(s.serve)
	return true
}

func (e *Endpoint) sourceLimit(addr netip.Addr) int {
	if addr.IsPrivate() || addr.IsLoopback() || addr.IsLinkLocalUnicast() {
		return e.opts.MaxConnsPerPrivateIP
	}
	return e.opts.MaxConnsPerIP
}

// sourceOf is what counts as one source: an IPv4 address, or the /64 of an IPv6 one, which is what one
// customer gets.
func sourceOf(addr netip.Addr) netip.Prefix {
	bits := 32
	if addr.Is6() {
		bits = 64
	}
	p, err := addr.Prefix(bits)
	if err != nil {
		return netip.Prefix{} // no address: all such count together
	}
	return p
}

// newStreamLocked makes a connection known, and gives the flow its ID.
func (e *Endpoint) newStreamLocked(flow Flow) *stream {
	e.lastID++
	flow.ID = e.lastID
	now := time.Now()
	s := &stream{e: e, flow: flow, since: now, active: now}
	s.changed.L = &s.mu
	e.streams[flow.ID] = s
	return s
}

// forget makes a connection that ended unknown.
func (e *Endpoint) forget(s *stream) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.streams, s.flow.ID)
	if s.dialled {
		e.forgetDialledLocked(s)
		e.stats.dialledOpen.Add(-1)
		return
	}
	source := sourceOf(s.flow.Remote.Addr())
	if e.sources[source]--; e.sources[source] <= 0 {
		delete(e.sources, source)
	}
}
