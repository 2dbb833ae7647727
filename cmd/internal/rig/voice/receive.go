package voice

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/mss-federation/mss/cmd/internal/rig/tone"
)

const (
	eventNames = "0123456789*#ABCD"
	// window is how much of the last voice a question about tones looks at, and enough is how much of it must
	// have arrived.
	window    = 300 * time.Millisecond
	enough    = window * 2 / 3
	maxPacket = 1500
)

// inbound is what arrived. Its owner is the Session's lock.
type inbound struct {
	from      netip.AddrPort // the far end, strangers are all others
	recent    []heard        // not older than window
	digits    []byte
	lastEvent uint32

	received, duplicates, reordered, strangers, malformed, rtcp uint64
	missing                                                     int64 // packets between the first and the last that did not come
	ssrc                                                        uint32
	ssrcs                                                       int
	maxSeq                                                      uint16
	seen                                                        uint64 // bit n: maxSeq-n came
	jitter                                                      float64
	transit                                                     int64
	first, last, end                                            time.Time
	maxSeqGap                                                   int
	maxSilence                                                  time.Duration
	mark                                                        time.Time // gaps are counted from here
}

type heard struct {
	at      time.Time
	samples []int16
}

func (in *inbound) expect(from netip.AddrPort) { in.from = from }

func (s *Session) listen() {
	buf := make([]byte, maxPacket)
	for {
		n, from, err := s.rtp.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		s.mu.Lock()
		s.mu.in.packet(time.Now(), from, buf[:n])
		s.mu.Unlock()
	}
}

func (s *Session) listenControl() {
	buf := make([]byte, maxPacket)
	for {
		n, _, err := s.rtcp.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		s.mu.Lock()
		if n >= 8 && buf[0]&0xc0 == rtpVersion {
			s.mu.in.rtcp++
		} else {
			s.mu.in.malformed++
		}
		s.mu.Unlock()
	}
}

// packet takes one RTP packet in.
func (in *inbound) packet(now time.Time, from netip.AddrPort, p []byte) {
	if len(p) < 12 || p[0] != rtpVersion {
		in.malformed++
		return
	}
	if !in.from.IsValid() {
		return // voice may be faster than the answer that says where it comes from (RFC 3264 §5.1)
	}
	if from != in.from {
		in.strangers++
		return
	}
	payloadType := p[1] & 0x7f
	seq, timestamp := binary.BigEndian.Uint16(p[2:]), binary.BigEndian.Uint32(p[4:])
	ssrc := binary.BigEndian.Uint32(p[8:])
	if !in.sequence(ssrc, seq) {
		return
	}
	in.silence(now)
	in.received++
	switch payload := p[12:]; payloadType {
	case byte(PCMU), byte(PCMA):
		in.measureJitter(now, timestamp)
		in.keep(now, Codec(payloadType).decode(payload))
	case EventPayload:
		in.event(timestamp, payload)
	default:
		in.malformed++
	}
}

// sequence counts losses and says whether the packet is new.
func (in *inbound) sequence(ssrc uint32, seq uint16) bool {
	if in.ssrcs == 0 || ssrc != in.ssrc {
		in.ssrc, in.maxSeq, in.seen, in.transit = ssrc, seq, 1, 0
		in.ssrcs++
		return true
	}
	switch delta := int(int16(seq - in.maxSeq)); {
	case delta > 0:
		in.missing += int64(delta - 1)
		in.maxSeqGap = max(in.maxSeqGap, delta-1)
		in.seen = in.seen<<min(delta, 64) | 1
		in.maxSeq = seq
	case delta <= -64 || in.seen&(1<<-delta) != 0:
		in.duplicates++
		return false
	default:
		in.reordered++
		in.missing--
		in.seen |= 1 << -delta
	}
	return true
}

func (in *inbound) silence(now time.Time) {
	if in.first.IsZero() {
		in.first, in.last = now, now
	}
	in.maxSilence = max(in.maxSilence, now.Sub(later(in.last, in.mark)))
	in.last = now
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// measureJitter is RFC 3550 A.8, in samples.
func (in *inbound) measureJitter(now time.Time, timestamp uint32) {
	arrival := now.UnixMicro() * tone.Rate / 1e6
	transit := arrival - int64(timestamp)
	if in.transit != 0 {
		d := float64(int32(transit - in.transit))
		in.jitter += (max(d, -d) - in.jitter) / 16
	}
	in.transit = transit
}

func (in *inbound) keep(now time.Time, samples []int16) {
	in.recent = append(in.recent, heard{at: now, samples: samples})
	drop := 0
	for drop < len(in.recent) && now.Sub(in.recent[drop].at) > window {
		drop++
	}
	in.recent = in.recent[drop:]
}

// event notes a digit once; its packets share one timestamp.
func (in *inbound) event(timestamp uint32, payload []byte) {
	if len(payload) < 4 || int(payload[0]) >= len(eventNames) || timestamp == in.lastEvent && len(in.digits) > 0 {
		return
	}
	in.lastEvent = timestamp
	in.digits = append(in.digits, eventNames[payload[0]])
}

// lately is the voice of the last 300 ms before now; ok says whether there was enough to judge.
func (in *inbound) lately(now time.Time) (samples []int16, ok bool) {
	for _, h := range in.recent {
		if now.Sub(h.at) <= window {
			samples = append(samples, h.samples...)
		}
	}
	return samples, len(samples) >= int(enough.Seconds()*tone.Rate)
}
