package relay

import "time"

// The limits of RFC 3550 §A.1: a jump of maxDropout or more, or of maxMisorder backwards, is taken for a
// restarted sender once the next packet confirms it.
const (
	maxDropout  = 3000
	maxMisorder = 100
	seqMod      = 1 << 16
	defaultRate = 8000
)

// reception counts what comes from the far end (RFC 3550 §A.1, §A.3, §A.8). SSRCs follow one another;
// what an earlier one lost stays counted.
type reception struct {
	started     bool
	ssrc        uint32
	ssrcChanges uint64
	packets     uint64
	bytes       uint64

	baseSeq, maxSeq uint16
	cycles          uint32
	badSeq          uint32 // seqMod+1: none
	received        uint64 // of this SSRC since baseSeq
	lostBefore      uint64

	timed     bool
	timestamp uint32
	transit   uint32
	jitter    uint32    // scaled by 16
	first     time.Time // when the first packet came
}

func (r *reception) packet(now time.Time, h header, size int, rate uint32) {
	r.packets++
	r.bytes += uint64(size)
	if !r.started || h.ssrc != r.ssrc {
		r.begin(now, h)
	}
	if r.sequence(h.seq) {
		r.received++
	}
	r.delay(now, h.timestamp, rate)
}

func (r *reception) begin(now time.Time, h header) {
	if r.started {
		r.ssrcChanges++
		r.timed = false
	} else {
		r.first = now
	}
	r.started = true
	r.ssrc = h.ssrc
	r.restart(h.seq)
}

func (r *reception) restart(seq uint16) {
	r.lostBefore = r.lost()
	r.baseSeq, r.maxSeq = seq, seq
	r.cycles, r.received = 0, 0
	r.badSeq = seqMod + 1
}

// sequence is update_seq of §A.1 without probation: whoever speaks here has been admitted already.
func (r *reception) sequence(seq uint16) bool {
	delta := seq - r.maxSeq
	switch {
	case delta < maxDropout:
		if seq < r.maxSeq {
			r.cycles += seqMod
		}
		r.maxSeq = seq
	case delta <= seqMod-maxMisorder:
		if uint32(seq) != r.badSeq {
			r.badSeq = uint32(seq + 1)
			return false
		}
		r.restart(seq)
	}
	return true
}

// lost is §A.3 over all SSRCs. Duplicates may make up for losses, as in RTCP itself, but never below zero.
func (r *reception) lost() uint64 {
	if r.received == 0 {
		return r.lostBefore
	}
	expected := uint64(r.cycles) + uint64(r.maxSeq) - uint64(r.baseSeq) + 1
	if expected <= r.received {
		return r.lostBefore
	}
	return r.lostBefore + expected - r.received
}

// delay is §A.8. Packets that share a timestamp, such as those of one DTMF event (RFC 4733 §2.5.1.2), say
// nothing about the path; nor does a jump of more than a second, which is a sender that paused.
func (r *reception) delay(now time.Time, timestamp, rate uint32) {
	if r.timed && timestamp == r.timestamp {
		return
	}
	elapsed := uint64(now.Sub(r.first) / time.Microsecond)
	transit := uint32(elapsed*uint64(rate)/1e6) - timestamp
	d := int32(transit - r.transit)
	if d < 0 {
		d = -d
	}
	if r.timed && uint32(d) <= rate {
		r.jitter += uint32(d) - (r.jitter+8)>>4
	}
	r.timed, r.timestamp, r.transit = true, timestamp, transit
}

func (r *reception) jitterTime(rate uint32) time.Duration {
	return time.Duration(r.jitter>>4) * time.Second / time.Duration(rate)
}
