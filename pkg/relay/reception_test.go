package relay

import (
	"testing"
	"time"
)

func receive(seqs ...uint16) *reception {
	r := &reception{}
	for i, seq := range seqs {
		now := start.Add(time.Duration(i) * 20 * time.Millisecond)
		r.packet(now, header{seq: seq, timestamp: uint32(i) * 160, ssrc: 1}, 172, 8000)
	}
	return r
}

func TestLost(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		seqs []uint16
		want uint64
	}{
		{"none", nil, 0},
		{"one", []uint16{9}, 0},
		{"zero first", []uint16{0, 1, 2}, 0},
		{"in order", []uint16{1, 2, 3}, 0},
		{"two missing", []uint16{1, 2, 5}, 2},
		{"reordered", []uint16{1, 3, 2, 4}, 0},
		{"duplicate hides no more than it is", []uint16{1, 2, 2, 3}, 0},
		{"over the wrap", []uint16{65534, 65535, 0, 1}, 0},
		{"missing over the wrap", []uint16{65534, 2}, 3},
		{"late one before the first", []uint16{10, 9, 11}, 0},
		{"jump back, confirmed", []uint16{5000, 5002, 100, 101, 102, 104}, 2},
		{"jump back, not confirmed", []uint16{5000, 100, 5001}, 0},
		{"dropout of less than 3000", []uint16{1, 3000}, 2998},
		{"jump ahead, confirmed", []uint16{1, 4001, 4002}, 0},
	}
	for _, test := range tests {
		if got := receive(test.seqs...).lost(); got != test.want {
			t.Errorf("%s: lost %d, want %d", test.name, got, test.want)
		}
	}
}

func TestSSRCChangeKeepsLosses(t *testing.T) {
	t.Parallel()
	r := receive(1, 3)
	r.packet(start, header{seq: 40000, ssrc: 2}, 172, 8000)
	r.packet(start, header{seq: 40002, ssrc: 2}, 172, 8000)
	if r.lost() != 2 || r.ssrcChanges != 1 || r.packets != 4 || r.bytes != 4*172 {
		t.Errorf("lost %d, changes %d, packets %d, bytes %d", r.lost(), r.ssrcChanges, r.packets, r.bytes)
	}
}

func TestJitter(t *testing.T) {
	t.Parallel()
	send := func(delays ...time.Duration) time.Duration {
		r := &reception{}
		for i, delay := range delays {
			now := start.Add(time.Duration(i)*20*time.Millisecond + delay)
			r.packet(now, header{seq: uint16(i), timestamp: 1<<32 - 320 + uint32(i)*160}, 172, 8000)
		}
		return r.jitterTime(8000)
	}
	if got := send(0, 0, 0, 0, 0); got != 0 {
		t.Errorf("even stream: %v", got)
	}
	// One packet 16 ms late: |D| = 128 ticks twice, J = 8 + (128-8)/16 = 15.5 ticks.
	if got := send(0, 0, 16*time.Millisecond, 0); got < 1800*time.Microsecond || got > 2*time.Millisecond {
		t.Errorf("one late packet: %v, want about 1.9 ms", got)
	}
	alternating := make([]time.Duration, 400)
	for i := range alternating {
		alternating[i] = time.Duration(i%2) * 10 * time.Millisecond
	}
	if got := send(alternating...); got < 9*time.Millisecond || got > 10*time.Millisecond {
		t.Errorf("10 ms back and forth converges to %v", got)
	}
	if got := send(0, 0, 5*time.Second, 5*time.Second); got != 0 {
		t.Errorf("a pause is no jitter: %v", got)
	}
}

// The packets of one DTMF event share their timestamp.
func TestJitterOfEvents(t *testing.T) {
	t.Parallel()
	r := &reception{}
	for i := range 20 {
		r.packet(start.Add(time.Duration(i)*20*time.Millisecond), header{seq: uint16(i), timestamp: 7}, 172, 8000)
	}
	if r.jitter != 0 {
		t.Errorf("jitter %v", r.jitterTime(8000))
	}
}
