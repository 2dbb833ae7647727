package siptransport

import (
	"errors"
	"net"
	"net/netip"

	"github.com/mss-federation/mss/pkg/network"
)

// freeRetries is how many reads in a row may fail before the reader pauses: each ICMP error that a
// peer causes fails one read, and must not delay the next datagram.
const freeRetries = 64

// socket is one UDP socket. Its reader is its only goroutine.
type socket struct {
	e     *Endpoint
	conn  network.PacketConn
	local netip.AddrPort
}

// read ends only when the socket is closed.
func (s *socket) read() {
	scratch := make([]byte, maxMessage)
	for failures := 0; ; {
		n, from, err := s.conn.ReadFromUDPAddrPort(scratch)
		if err == nil {
			failures = 0
			s.take(scratch[:n], from)
			continue
		}
		if errors.Is(err, net.ErrClosed) {
			s.e.broke("udp socket", s.local.String(), err)
			return
		}
		s.e.stats.readErrors.Add(1)
		if failures++; failures == freeRetries {
			s.e.log.Warn("socket keeps failing to read", "local", s.local, "err", err)
		}
		if failures >= freeRetries && !s.e.pause(failures-freeRetries) {
			return
		}
	}
}

func (s *socket) take(data []byte, from netip.AddrPort) {
	s.e.stats.bytesIn.Add(uint64(len(data)))
	if keepAlive(data) {
		s.e.stats.keepAlives.Add(1)
		return
	}
	s.e.stats.datagramsIn.Add(1)
	remote := netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
	s.e.receiver.Receive(newInbound(Flow{Transport: UDP, Local: s.local, Remote: remote}, data))
}

// keepAlive says whether a datagram is only there to keep a NAT's mapping: line ends or zeros, or empty.
func keepAlive(data []byte) bool {
	for _, c := range data {
		if c != '\r' && c != '\n' && c != 0 {
			return false
		}
	}
	return true
}

func (e *Endpoint) sendUDP(flow Flow, msg []byte) error {
	s := (*e.sockets.Load())[flow.Local]
	if s == nil {
		return ErrNoSocket
	}
	n, err := s.conn.WriteToUDPAddrPort(msg, flow.Remote)
	if err != nil {
		e.stats.sendErrors.Add(1)
		return err
	}
	e.stats.datagramsOut.Add(1)
	e.stats.bytesOut.Add(uint64(n))
	return nil
}
