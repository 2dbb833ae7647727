package relay

import (
	"net/netip"
	"time"
)

const (
	// inSequence is how many packets of one SSRC, one after the other, make a stranger the source.
	inSequence = 4
	// candidates bounds the strangers that are watched at a time. More than one, so that a spray cannot
	// keep the right one out.
	candidates = 4
	// reserve is how long after new SDP with the same address voice is kept for who was heard before: who floods a
	// port with packets in sequence must not win it at each hold, resume or refresh of the session.
	reserve = 300 * time.Millisecond
)

// source decides from whom RTP is heard. Before the SDP says where the far end is, from nobody. The
// SDP's address comes first; where learning is allowed, the first stranger with four packets in sequence
// is taken instead. Whoever is taken stays until reset, and comes first for a while after it.
type source struct {
	sdp    netip.AddrPort
	locked netip.AddrPort // not valid: nobody yet
	// before is who was locked under the last SDP, when this SDP names the same address: its first packet
	// is enough, so that a hold does not cut voice off.
	before  netip.AddrPort
	until   time.Time              // until when nobody but them is taken
	suspect *[candidates]candidate // nil: nobody may be learned
	turn    uint8                  // of the candidates that were seen equally often, who gives way next
}

type candidate struct {
	addr netip.AddrPort
	ssrc uint32
	next uint16
	seen uint8
}

// reset is new SDP.
func (s *source) reset(now time.Time, sdp netip.AddrPort, learn Learn) {
	last := s.before
	if s.locked.IsValid() {
		last = s.locked
	}
	same := s.sdp == sdp
	*s = source{sdp: sdp}
	if learn == LearnNone {
		s.locked = sdp
		return
	}
	if same {
		s.before, s.until = last, now.Add(reserve)
	}
	s.suspect = new([candidates]candidate)
}

// lock takes addr as the source.
func (s *source) lock(addr netip.AddrPort) {
	s.locked, s.before, s.suspect = addr, netip.AddrPort{}, nil
}

// admit judges one valid packet; learned is true when it made its sender the source. Of a far end that is not expected to
// speak nothing new is learned: it may be silent and only a stranger be heard.
func (s *source) admit(now time.Time, from netip.AddrPort, h header, expected bool) (drop Drop, learned bool) {
	switch {
	case s.locked.IsValid():
		if from == s.locked {
			return Passed, false
		}
		return Stranger, false
	case !s.sdp.IsValid() && s.suspect == nil:
		return Unaimed, false
	case from == s.sdp || from == s.before:
		s.lock(from)
		return Passed, true
	case s.suspect == nil:
		return Stranger, false
	}
	reserved := s.before.IsValid() && (!expected || now.Before(s.until))
	if s.watch(from, h) < inSequence || reserved {
		return Probation, false
	}
	s.lock(from)
	return Passed, true
}

// watch counts a stranger's packets in sequence.
func (s *source) watch(from netip.AddrPort, h header) uint8 {
	for i := range s.suspect {
		c := &s.suspect[i]
		if c.addr != from {
			continue
		}
		if c.ssrc != h.ssrc || c.next != h.seq {
			c.ssrc, c.seen = h.ssrc, 0
		}
		c.seen++
		c.next = h.seq + 1
		return c.seen
	}
	*s.weakest() = candidate{addr: from, ssrc: h.ssrc, next: h.seq + 1, seen: 1}
	return 1
}

// weakest is the place of the candidate with the fewest packets: a spray of single packets from many
// addresses displaces itself.
func (s *source) weakest() *candidate {
	least := &s.suspect[s.turn]
	s.turn = (s.turn + 1) % candidates
	for i := range s.suspect {
		if c := &s.suspect[i]; c.seen < least.seen {
			least = c
		}
	}
	return least
}

// target is where RTP goes: to the source, or to the SDP's address while there is none.
func (s *source) target() netip.AddrPort {
	switch {
	case s.locked.IsValid():
		return s.locked
	case s.before.IsValid():
		return s.before
	}
	return s.sdp
}
