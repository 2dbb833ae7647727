// Package voice is the RTP side of a test phone: it sends one tone in G.711 every 20 ms, listens, and counts
// what was lost, late, doubled or from the wrong place. It knows nothing of SIP or SDP. Start at [Open].
package voice

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/mss-federation/mss/cmd/internal/rig/tone"
)

const (
	frame        = 20 * time.Millisecond
	frameSamples = tone.Rate / 50
	reportEvery  = time.Second // RTCP, far below RFC 3550 §6.2's 5 s so that short tests see some
	loudness     = 0.3
	bindTries    = 50
)

// Session is one RTP socket pair that sends to and listens from one far end at a time. Its methods may be
// called from any goroutine.
type Session struct {
	rtp, rtcp *net.UDPConn
	local     netip.AddrPort
	ssrc      uint32
	cancel    context.CancelFunc
	group     sync.WaitGroup

	mu struct {
		sync.Mutex
		remote    netip.AddrPort // invalid: nothing is sent
		codec     Codec
		sending   bool
		talking   bool // the last frame was sent
		tone      *tone.Generator
		seq       uint16
		timestamp uint32
		digits    []digit
		sent      uint64
		rtcpSent  uint64
		in        inbound
	}
}

// Open binds an even RTP port and the RTCP port after it (RFC 3550 §11) at address and begins to listen. The
// tone is in hertz; 0 sends silence. Nothing is sent before [Session.Aim].
func Open(address netip.Addr, freq float64) (*Session, error) {
	rtp, rtcp, err := bindPair(address)
	if err != nil {
		return nil, err
	}
	var seed [10]byte
	if _, err := rand.Read(seed[:]); err != nil {
		return nil, errors.Join(fmt.Errorf("seed RTP: %w", err), rtp.Close(), rtcp.Close())
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &Session{rtp: rtp, rtcp: rtcp, local: localOf(rtp), ssrc: binary.BigEndian.Uint32(seed[:]), cancel: cancel}
	s.mu.seq = binary.BigEndian.Uint16(seed[4:])
	s.mu.timestamp = binary.BigEndian.Uint32(seed[6:])
	s.mu.tone = tone.NewGenerator(freq, tone.Rate, loudness)
	if freq == 0 {
		s.mu.tone = &tone.Generator{}
	}
	s.group.Go(func() { s.send(ctx) })
	s.group.Go(s.listen)
	s.group.Go(s.listenControl)
	return s, nil
}

func bindPair(address netip.Addr) (rtp, rtcp *net.UDPConn, err error) {
	for range bindTries {
		rtp, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(address, 0)))
		if err != nil {
			return nil, nil, fmt.Errorf("bind RTP at %v: %w", address, err)
		}
		if port := localOf(rtp).Port(); port%2 == 0 {
			rtcp, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(address, port+1)))
			if err == nil {
				return rtp, rtcp, nil
			}
		}
		if cerr := rtp.Close(); cerr != nil {
			return nil, nil, fmt.Errorf("close unused port: %w", cerr)
		}
	}
	return nil, nil, fmt.Errorf("no even port with a free odd neighbour at %v: %w", address, err)
}

func localOf(c *net.UDPConn) netip.AddrPort {
	a, ok := c.LocalAddr().(*net.UDPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(a.AddrPort().Addr().Unmap(), a.AddrPort().Port())
}

// Local is the address that packets are expected at.
func (s *Session) Local() netip.AddrPort { return s.local }

// Aim sets where packets go, in which codec, and whether any are sent. Packets from anywhere else count as
// strangers from now on.
func (s *Session) Aim(remote netip.AddrPort, codec Codec, sending bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.remote, s.mu.codec, s.mu.sending = remote, codec, sending
	s.mu.in.expect(remote)
}

// Close ends sending and listening and frees the ports. The statistics stay.
func (s *Session) Close() {
	s.cancel()
	s.mu.Lock()
	s.mu.in.end = time.Now()
	s.mu.Unlock()
	// The error of closing a socket that nobody writes to any more tells nothing.
	_ = s.rtp.Close()
	_ = s.rtcp.Close()
	s.group.Wait()
}
