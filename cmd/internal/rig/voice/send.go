package voice

import (
	"context"
	"encoding/binary"
	"net/netip"
	"time"
)

const (
	rtpVersion   = 2 << 6
	senderReport = 200
	ntpEpoch     = 2208988800 // seconds from 1900 to 1970
	eventFrames  = 5          // 100 ms
	eventEnds    = 3          // RFC 4733 §2.5.1.4: the end is sent three times
	eventVolume  = 10
)

// digit is a telephone event on its way out.
type digit struct {
	code  byte
	frame int
	start uint32
}

// send keeps the 20 ms beat. A late goroutine catches up packet by packet, so that the sequence has no hole
// that the network did not make.
func (s *Session) send(ctx context.Context) {
	next, report := time.Now(), time.Now().Add(reportEvery)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		for now := time.Now(); !next.After(now); next = next.Add(frame) {
			s.sendFrame()
		}
		if now := time.Now(); now.After(report) {
			s.sendReport(now)
			report = now.Add(reportEvery)
		}
		timer.Reset(time.Until(next))
	}
}

// sendFrame builds under the lock and writes outside of it.
func (s *Session) sendFrame() {
	packet, remote := s.nextPacket()
	if packet == nil {
		return
	}
	// A closed far port or a dead relay is what tests look for in the receiver's counts, not here.
	_, _ = s.rtp.WriteToUDPAddrPort(packet, remote)
}

func (s *Session) nextPacket() ([]byte, netip.AddrPort) {
	s.mu.Lock()
	defer s.mu.Unlock()
	timestamp := s.mu.timestamp
	s.mu.timestamp += frameSamples
	samples := s.mu.tone.Next(frameSamples)
	if !s.mu.sending || !s.mu.remote.IsValid() || s.mu.remote.Addr().IsUnspecified() {
		s.mu.talking = false
		return nil, netip.AddrPort{}
	}
	payloadType, payload, marker := byte(s.mu.codec), s.mu.codec.encode(samples), !s.mu.talking // RFC 3551 §4.1
	s.mu.talking = true
	if len(s.mu.digits) > 0 {
		payloadType = EventPayload
		payload, timestamp, marker = s.nextEventLocked(timestamp)
	}
	if marker {
		payloadType |= 0x80
	}
	packet := make([]byte, 0, 12+len(payload))
	packet = append(packet, rtpVersion, payloadType)
	packet = binary.BigEndian.AppendUint16(packet, s.mu.seq)
	packet = binary.BigEndian.AppendUint32(packet, timestamp)
	packet = binary.BigEndian.AppendUint32(packet, s.ssrc)
	s.mu.seq++
	s.mu.sent++
	return append(packet, payload...), s.mu.remote
}

// nextEventLocked is the next packet of the digit in progress (RFC 4733 §2.3). All packets of an event carry
// the timestamp of its start; only the first has the marker.
func (s *Session) nextEventLocked(timestamp uint32) (payload []byte, start uint32, marker bool) {
	d := &s.mu.digits[0]
	if d.frame == 0 {
		d.start = timestamp
	}
	d.frame++
	flags, duration := byte(eventVolume), uint16(min(d.frame, eventFrames)*frameSamples)
	if d.frame >= eventFrames {
		flags |= 0x80
	}
	payload = binary.BigEndian.AppendUint16([]byte{d.code, flags}, duration)
	start, marker = d.start, d.frame == 1
	if d.frame == eventFrames+eventEnds-1 {
		s.mu.digits = s.mu.digits[1:]
	}
	return payload, start, marker
}

// SendDigits sends telephone events, one after the other, instead of the tone. Characters other than
// 0-9 * # A-D are left out.
func (s *Session) SendDigits(digits string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range digits {
		for code := range byte(len(eventNames)) {
			if rune(eventNames[code]) == c {
				s.mu.digits = append(s.mu.digits, digit{code: code})
			}
		}
	}
}

// sendReport sends a sender report without report blocks (RFC 3550 §6.4.1).
func (s *Session) sendReport(now time.Time) {
	s.mu.Lock()
	remote, sent, timestamp, sending := s.mu.remote, s.mu.sent, s.mu.timestamp, s.mu.sending
	s.mu.Unlock()
	if !sending || !remote.IsValid() {
		return
	}
	p := []byte{rtpVersion, senderReport, 0, 6}
	p = binary.BigEndian.AppendUint32(p, s.ssrc)
	p = binary.BigEndian.AppendUint32(p, uint32(now.Unix()+ntpEpoch))
	p = binary.BigEndian.AppendUint32(p, uint32((uint64(now.Nanosecond())<<32)/1e9))
	p = binary.BigEndian.AppendUint32(p, timestamp)
	p = binary.BigEndian.AppendUint32(p, uint32(sent))
	p = binary.BigEndian.AppendUint32(p, uint32(sent*frameSamples))
	if _, err := s.rtcp.WriteToUDPAddrPort(p, netip.AddrPortFrom(remote.Addr(), remote.Port()+1)); err != nil {
		return // counted by the other side as missing
	}
	s.mu.Lock()
	s.mu.rtcpSent++
	s.mu.Unlock()
}
