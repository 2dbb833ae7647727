package siptransport

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"time"

	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/network"
)

// dialKey is what makes two sends share a dialled connection.
type dialKey struct {
	transport Transport
	local     netip.Addr // zero where no listener tells
	remote    netip.AddrPort
}

func keyOf(flow Flow) dialKey {
	return dialKey{flow.Transport, flow.Local.Addr(), flow.Remote}
}

// withLocal fills in the address that Via and Contact show on an outgoing connection.
func (e *Endpoint) withLocal(flow Flow) Flow {
	if !flow.Local.IsValid() {
		flow.Local, _ = e.LocalFor(flow.Transport, flow.Remote.Addr())
	}
	return flow
}

// sendDialled queues on the connection to flow.Remote, opening it if need be.
func (e *Endpoint) sendDialled(flow Flow, msg []byte, failed func(error)) error {
	if flow.Transport != TCP {
		return fault.New("connect", fault.Unavailable, flow.String(), flow.Transport.String()+" connections are opened by Dial")
	}
	if !flow.Remote.IsValid() || flow.Remote.Port() == 0 {
		return fault.New("connect", fault.Invalid, flow.String(), "name an address and a port to connect to")
	}
	flow = e.withLocal(flow)
	e.mu.Lock()
	defer e.mu.Unlock()
	if s := e.dialled[keyOf(flow)]; s != nil {
		err := s.enqueue(msg, failed)
		if !errors.Is(err, ErrFlowClosed) {
			return err // nil too
		}
		// It is ending: a new one takes its place.
	}
	return e.openLocked(flow, msg, failed)
}

func (e *Endpoint) openLocked(flow Flow, msg []byte, failed func(error)) error {
	if err := e.mayDialLocked(); err != nil {
		return err
	}
	if len(msg) > e.opts.WriteQueue {
		return ErrQueueFull
	}
	s := e.newStreamLocked(flow)
	s.key = keyOf(flow)
	e.dialled[s.key] = s
	e.launchLocked(s)
	return s.enqueue(msg, failed)
}

func (e *Endpoint) mayDialLocked() error {
	switch {
	case e.state == stopped:
		return ErrStopped
	case e.stats.dialledOpen.Load() >= int64(e.opts.MaxDialled):
		e.stats.refusedDials.Add(1)
		return ErrTooMany
	}
	return nil
}

func (e *Endpoint) launchLocked(s *stream) {
	s.dialled = true
	e.stats.dialledOpen.Add(1)
	if e.state == running { // else start sees to it
		e.wg.Go(s.open)
	}
}

func (e *Endpoint) forgetDialledLocked(s *stream) {
	if e.dialled[s.key] == s {
		delete(e.dialled, s.key)
	}
}

// open connects and then serves.
func (s *stream) open() {
	ctx, cancel := context.WithTimeout(context.Background(), s.e.opts.ConnectTimeout)
	defer cancel()
	conn, err := s.dial(ctx, cancel)
	if err != nil {
		s.e.stats.dialErrors.Add(1)
		s.shut(dialFault(s.flow, err))
		s.neverOpen()
		return
	}
	if s.config != nil {
		conn = tls.Client(conn, s.config)
	}
	if !s.connected(conn) {
		s.e.closed("connection", conn.Close())
		s.neverOpen()
		return
	}
	s.serve()
}

// dial connects, unless shut came first or calls cancel meanwhile.
func (s *stream) dial(ctx context.Context, cancel context.CancelFunc) (net.Conn, error) {
	s.mu.Lock()
	s.cancel = cancel
	ending := s.ending
	s.mu.Unlock()
	if ending != nil {
		return nil, ending
	}
	s.e.stats.dials.Add(1)
	return s.e.opts.Network.DialTCP(ctx, netip.AddrPortFrom(s.flow.Local.Addr(), 0), s.flow.Remote)
}

// connected hands the connection over, unless the stream was shut meanwhile.
func (s *stream) connected(conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ending != nil {
		return false
	}
	s.conn = conn
	s.since = time.Now()
	if !s.flow.Local.IsValid() {
		s.flow.Local = network.AddrPort(conn.LocalAddr())
	}
	return true
}

func dialFault(flow Flow, err error) error {
	kind := fault.Unavailable
	if errors.Is(err, context.DeadlineExceeded) {
		kind = fault.Timeout
	}
	return &fault.Error{Op: "connect", Kind: kind, Subject: flow.String(), Err: err}
}
