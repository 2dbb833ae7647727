package relay

import (
	"net/netip"
	"time"
)

// Flow is one endpoint's voice with its far end: who may speak, to whom we speak, what was counted. It
// does no I/O, and nothing that it does for a packet allocates. It belongs to one goroutine. The zero
// Flow hears nobody.
type Flow struct {
	aimed      bool
	send       bool
	receive    bool
	keep       bool // see [Aim.Keepalive]
	generation uint32
	rate       uint32
	types      *[128]uint8 // nil: payload types stay
	rtp        source
	rtcp       rtcpSource
	alive      time.Time // when voice last came, or was first expected
	in         reception
	rtcpIn     uint64
	packetsOut uint64
	bytesOut   uint64
	rtcpOut    uint64
	rtpPulse   pulse
	rtcpPulse  pulse
	dropped    [drops]uint64
}

// Verdict is what to do with a packet that came from the far end.
type Verdict struct {
	// Drop is Passed, or why the packet goes no further.
	Drop Drop
	// Learned: the packet's sender was made the source just now.
	Learned bool
}

// Aim takes new SDP. The same generation as before changes the flags alone and forgets nothing, so that it
// may be repeated.
func (f *Flow) Aim(now time.Time, a Aim) {
	fresh := !f.aimed || a.Generation != f.generation
	if fresh {
		to := usable(a.RTP)
		f.rtp.reset(now, to, a.Learn)
		f.rtcp.reset(usable(a.RTCP), to)
	}
	if a.Receive && (fresh || !f.receive) {
		f.alive = now
	}
	f.aimed, f.generation = true, a.Generation
	f.send, f.receive, f.keep = a.Send, a.Receive, a.Keepalive
	f.rate = a.ClockRate
	if f.rate == 0 {
		f.rate = defaultRate
	}
	f.types = table(a.PayloadTypes)
}

// usable is the address that voice may be sent to, or the invalid one: an SDP must not make us send to a
// group or to nobody.
func usable(a netip.AddrPort) netip.AddrPort {
	addr := a.Addr().Unmap()
	if !addr.IsValid() || addr.IsUnspecified() || addr.IsMulticast() || a.Port() == 0 {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(addr.WithZone(""), a.Port())
}

func table(m map[uint8]uint8) *[128]uint8 {
	if len(m) == 0 {
		return nil
	}
	t := new([128]uint8)
	for i := range t {
		t[i] = uint8(i)
	}
	for from, to := range m {
		t[from&0x7f] = to & 0x7f
	}
	return t
}

// Restore locks what was learned before a restart.
func (f *Flow) Restore(learned netip.AddrPort) {
	if learned = usable(learned); learned.IsValid() && !f.rtp.locked.IsValid() {
		f.rtp.lock(learned)
	}
}

// RTP judges a packet that came to the RTP port.
func (f *Flow) RTP(now time.Time, from netip.AddrPort, pkt []byte) Verdict {
	h, ok := parseRTP(pkt)
	if !ok {
		return f.drop(odd(pkt))
	}
	drop, learned := f.rtp.admit(now, from, h, f.receive)
	if drop != Passed {
		return f.drop(drop)
	}
	f.alive = now
	v := Verdict{Learned: learned}
	if !f.receive {
		v.Drop = Held
		f.dropped[Held]++
		return v
	}
	f.in.packet(now, h, len(pkt), f.rate)
	return v
}

// RTCP judges a packet that came to the RTCP port. It passes through hold: reports are how both ends
// know that the other one lives.
func (f *Flow) RTCP(now time.Time, from netip.AddrPort, pkt []byte) Verdict {
	if !validRTCP(pkt) {
		return f.drop(odd(pkt))
	}
	if drop := f.rtcp.admit(from, &f.rtp); drop != Passed {
		return f.drop(drop)
	}
	f.alive = now
	f.rtcpIn++
	return Verdict{}
}

// odd says why a packet that is neither RTP nor RTCP is not passed on.
func odd(pkt []byte) Drop {
	if isKeepalive(pkt) {
		return Keepalive
	}
	return Malformed
}

func (f *Flow) drop(d Drop) Verdict {
	f.dropped[d]++
	return Verdict{Drop: d}
}

// SendRTP prepares a packet of the other leg for the far end: it rewrites the payload type in place and
// says where to send it. Anything but Passed means: do not send.
func (f *Flow) SendRTP(pkt []byte) (netip.AddrPort, Drop) {
	if !f.send {
		return netip.AddrPort{}, f.refuse(Muted)
	}
	to := f.rtp.target()
	if !to.IsValid() {
		return to, f.refuse(Unaimed)
	}
	if f.types != nil {
		pkt[1] = pkt[1]&0x80 | f.types[pkt[1]&0x7f]
	}
	f.packetsOut++
	f.bytesOut += uint64(len(pkt))
	return to, Passed
}

// SendRTCP says where RTCP of the other leg goes.
func (f *Flow) SendRTCP() (netip.AddrPort, Drop) {
	to := f.rtcp.target(&f.rtp)
	if !to.IsValid() {
		return to, f.refuse(Unaimed)
	}
	f.rtcpOut++
	return to, Passed
}

func (f *Flow) refuse(d Drop) Drop {
	f.dropped[d]++
	return d
}

// Unsent takes back what SendRTP (size > 0) or SendRTCP (size 0) counted: the kernel refused.
func (f *Flow) Unsent(size int) {
	f.dropped[Unsent]++
	if size == 0 {
		f.rtcpOut--
		return
	}
	f.packetsOut--
	f.bytesOut -= uint64(size)
}

// Unjoined counts a packet that had nobody to go to.
func (f *Flow) Unjoined() { f.dropped[Unjoined]++ }

// Silent reports that neither RTP nor RTCP came for timeout although voice is expected. It is true once
// for each timeout that passes.
func (f *Flow) Silent(now time.Time, timeout time.Duration) bool {
	if timeout <= 0 || !f.receive || now.Sub(f.alive) < timeout {
		return false
	}
	f.alive = now
	return true
}

// Source is the locked source of RTP, or the invalid address.
func (f *Flow) Source() netip.AddrPort { return f.rtp.locked }

// Learned is the locked source if it is not just what the SDP said, or the invalid address.
func (f *Flow) Learned() netip.AddrPort {
	if f.rtp.locked == f.rtp.sdp {
		return netip.AddrPort{}
	}
	return f.rtp.locked
}

// rtcpSource is where RTCP comes from and goes to. It follows the source of RTP: the SDP's own RTCP
// address while RTP comes from the SDP's address; any one port of a learned source.
type rtcpSource struct {
	sdp    netip.AddrPort
	locked netip.AddrPort
}

func (s *rtcpSource) reset(rtcp, rtp netip.AddrPort) {
	if !rtcp.IsValid() {
		rtcp = next(rtp)
	}
	*s = rtcpSource{sdp: rtcp}
}

// admit judges the sender of a valid packet.
func (s *rtcpSource) admit(from netip.AddrPort, rtp *source) Drop {
	learned := rtp.locked.IsValid() && rtp.locked != rtp.sdp
	switch {
	case !learned && !s.sdp.IsValid():
		return Unaimed
	case !learned && from == s.sdp:
		return Passed
	case !learned || from.Addr() != rtp.locked.Addr():
		return Stranger
	case s.locked.IsValid() && s.locked.Addr() == rtp.locked.Addr() && s.locked != from:
		return Stranger
	}
	s.locked = from
	return Passed
}

func (s *rtcpSource) target(rtp *source) netip.AddrPort {
	to := rtp.target()
	switch {
	case to == rtp.sdp:
		return s.sdp
	case s.locked.IsValid() && s.locked.Addr() == to.Addr():
		return s.locked
	}
	return next(to)
}

// next is RTCP's customary port (RFC 3550 §11).
func next(rtp netip.AddrPort) netip.AddrPort {
	if !rtp.IsValid() || rtp.Port() == 65535 {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(rtp.Addr(), rtp.Port()+1)
}
