package relay

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"time"
)

// KeepaliveEvery is how long nothing may leave towards a far end that must be kept open: RFC 6263 §7.
const KeepaliveEvery = 15 * time.Second

// A keepalive is a STUN Binding Indication (RFC 6263 §4.4): the two first bits tell it from RTP and RTCP, and nobody
// answers it.
const (
	keepaliveSize = 20
	stunBinding   = 0x0011
	stunCookie    = 0x2112a442
)

// keepalive makes one.
func keepalive() (p [keepaliveSize]byte) {
	binary.BigEndian.PutUint16(p[0:], stunBinding)
	binary.BigEndian.PutUint32(p[4:], stunCookie)
	binary.BigEndian.PutUint64(p[8:], rand.Uint64()) //nolint:gosec // it names a transaction that nobody answers
	return p
}

// isKeepalive knows one that another relay made.
func isKeepalive(p []byte) bool {
	return len(p) == keepaliveSize && binary.BigEndian.Uint32(p) == stunBinding<<16 && binary.BigEndian.Uint32(p[4:]) == stunCookie
}

// pulse notices that nothing is sent any more.
type pulse struct {
	sent  uint64
	since time.Time // when the count was last seen to move
}

func (p *pulse) due(now time.Time, sent uint64) bool {
	if sent == p.sent && now.Sub(p.since) < KeepaliveEvery {
		return false
	}
	due := sent == p.sent && !p.since.IsZero()
	p.sent, p.since = sent, now
	return due
}

// Keepalive says where a keepalive is to be sent now: towards a far end that is to be kept open, where nothing else
// was sent for a while. Usually both addresses are invalid. It is asked about once a second.
func (f *Flow) Keepalive(now time.Time) (rtp, rtcp netip.AddrPort) {
	if !f.keep {
		return rtp, rtcp
	}
	if f.rtpPulse.due(now, f.packetsOut) {
		rtp = f.rtp.target()
	}
	if f.rtcpPulse.due(now, f.rtcpOut) {
		rtcp = f.rtcp.target(&f.rtp)
	}
	return rtp, rtcp
}
