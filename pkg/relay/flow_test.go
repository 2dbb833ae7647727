package relay

import (
	"net/netip"
	"slices"
	"testing"
	"time"
)

var (
	start   = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	phone   = netip.MustParseAddrPort("192.0.2.10:4000")
	natted  = netip.MustParseAddrPort("198.51.100.7:61000")
	evil    = netip.MustParseAddrPort("203.0.113.66:5004")
	toPhone = Aim{RTP: phone, Send: true, Receive: true, Generation: 1}
)

func learning(generation uint32) Aim {
	a := toPhone
	a.Learn, a.Generation = LearnSource, generation
	return a
}

// spoken are packets of somebody, from a sequence number on, which all come to the same.
func spoken(from netip.AddrPort, seq uint16, n int, want Drop) []step {
	steps := make([]step, n)
	for i := range steps {
		steps[i] = step{from: from, seq: seq + uint16(i), want: want}
	}
	return steps
}

// step is one packet or one SDP of a conversation; steps are 20 ms apart.
type step struct {
	aim    *Aim
	from   netip.AddrPort
	seq    uint16
	ssrc   uint32
	rtcp   bool
	want   Drop
	learns bool
}

func runSteps(t *testing.T, f *Flow, steps []step) {
	t.Helper()
	for i, s := range steps {
		now := start.Add(time.Duration(i) * 20 * time.Millisecond)
		if s.aim != nil {
			f.Aim(now, *s.aim)
			continue
		}
		var v Verdict
		if s.rtcp {
			v = f.RTCP(now, s.from, receiverReport(s.ssrc))
		} else {
			v = f.RTP(now, s.from, rtpPacket(s.seq, uint32(s.seq)*160, s.ssrc))
		}
		if v.Drop != s.want || v.Learned != s.learns {
			t.Errorf("step %d from %v: %v learned %v, want %v learned %v", i, s.from, v.Drop, v.Learned, s.want, s.learns)
		}
	}
}

func TestSource(t *testing.T) {
	t.Parallel()
	first, again, moved, held, resumed := learning(1), learning(2), learning(2), learning(2), learning(3)
	held.Receive = false
	moved.RTP = netip.MustParseAddrPort("192.0.2.11:4000")
	otherPort := netip.AddrPortFrom(phone.Addr(), 4002)
	near := netip.AddrPortFrom(natted.Addr(), 61001)
	far := netip.AddrPortFrom(natted.Addr(), 40000)
	tests := map[string]struct {
		steps  []step
		source netip.AddrPort
		target netip.AddrPort
		rtcpTo netip.AddrPort
	}{
		"nobody is heard before the SDP": {
			steps: []step{{from: phone, seq: 1, want: Unaimed}, {from: next(phone), rtcp: true, want: Unaimed}},
		},
		"strict: the SDP's address alone": {
			steps: []step{
				{aim: &toPhone},
				{from: evil, seq: 1, want: Stranger},
				{from: evil, seq: 2, want: Stranger},
				{from: evil, seq: 3, want: Stranger},
				{from: evil, seq: 4, want: Stranger},
				{from: otherPort, seq: 5, want: Stranger},
				{from: phone, seq: 1, want: Passed},
				{from: next(evil), rtcp: true, want: Stranger},
				{from: next(phone), rtcp: true, want: Passed},
			},
			source: phone, target: phone, rtcpTo: next(phone),
		},
		"a new SSRC of the source is accepted": {
			steps: []step{
				{aim: &toPhone},
				{from: phone, seq: 1, ssrc: 1, want: Passed},
				{from: phone, seq: 900, ssrc: 2, want: Passed},
			},
			source: phone, target: phone, rtcpTo: next(phone),
		},
		"learning takes the SDP's address at once": {
			steps: []step{
				{aim: &first},
				{from: natted, seq: 1, want: Probation},
				{from: phone, seq: 1, want: Passed, learns: true},
				{from: natted, seq: 2, want: Stranger},
				{from: natted, seq: 3, want: Stranger},
				{from: natted, seq: 4, want: Stranger},
			},
			source: phone, target: phone, rtcpTo: next(phone),
		},
		"four in sequence are learned, then locked": {
			steps: []step{
				{aim: &first},
				{from: natted, seq: 65534, ssrc: 5, want: Probation},
				{from: natted, seq: 65535, ssrc: 5, want: Probation},
				{from: natted, seq: 0, ssrc: 5, want: Probation},
				{from: natted, seq: 1, ssrc: 5, want: Passed, learns: true},
				{from: natted, seq: 77, ssrc: 6, want: Passed},
				{from: phone, seq: 9, want: Stranger},
				{from: evil, seq: 1, want: Stranger},
			},
			source: natted, target: natted, rtcpTo: near,
		},
		"a gap or another SSRC begins the count again": {
			steps: []step{
				{aim: &first},
				{from: natted, seq: 1, want: Probation},
				{from: natted, seq: 2, want: Probation},
				{from: natted, seq: 3, want: Probation},
				{from: natted, seq: 5, want: Probation},
				{from: natted, seq: 6, want: Probation},
				{from: natted, seq: 7, ssrc: 1, want: Probation},
				{from: natted, seq: 8, ssrc: 1, want: Probation},
				{from: natted, seq: 9, ssrc: 1, want: Probation},
				{from: natted, seq: 10, ssrc: 1, want: Passed, learns: true},
			},
			source: natted, target: natted, rtcpTo: near,
		},
		"strangers in turn do not share a count": {
			steps: []step{
				{aim: &first},
				{from: natted, seq: 1, want: Probation},
				{from: evil, seq: 2, want: Probation},
				{from: natted, seq: 2, want: Probation},
				{from: evil, seq: 4, want: Probation},
				{from: natted, seq: 3, want: Probation},
				{from: natted, seq: 4, want: Passed, learns: true},
			},
			source: natted, target: natted, rtcpTo: near,
		},
		"RTCP follows the learned source and keeps its port": {
			steps: []step{
				{aim: &first},
				{from: far, rtcp: true, want: Stranger},
				{from: natted, seq: 1, want: Probation},
				{from: natted, seq: 2, want: Probation},
				{from: natted, seq: 3, want: Probation},
				{from: natted, seq: 4, want: Passed, learns: true},
				{from: evil, rtcp: true, want: Stranger},
				{from: far, rtcp: true, want: Passed},
				{from: near, rtcp: true, want: Stranger},
				{from: next(phone), rtcp: true, want: Stranger},
			},
			source: natted, target: natted, rtcpTo: far,
		},
		"new SDP with the same address keeps the voice": {
			steps: []step{
				{aim: &first},
				{from: natted, seq: 1, want: Probation},
				{from: natted, seq: 2, want: Probation},
				{from: natted, seq: 3, want: Probation},
				{from: natted, seq: 4, want: Passed, learns: true},
				{aim: &again},
				{from: natted, seq: 5, want: Passed, learns: true},
			},
			source: natted, target: natted, rtcpTo: near,
		},
		"new SDP with the same address lets another be learned in time": {
			steps: slices.Concat(
				[]step{{aim: &first}, {from: phone, seq: 1, want: Passed, learns: true}, {aim: &again}},
				spoken(natted, 1, 14, Probation), // 300 ms
				[]step{{from: natted, seq: 15, want: Passed, learns: true}, {from: phone, seq: 2, want: Stranger}},
			),
			source: natted, target: natted, rtcpTo: near,
		},
		"a flood does not win new SDP with the same address": {
			steps: slices.Concat(
				[]step{{aim: &first}},
				spoken(natted, 1, 3, Probation),
				[]step{{from: natted, seq: 4, want: Passed, learns: true}, {aim: &again}},
				spoken(evil, 1, 13, Probation),
				[]step{{from: natted, seq: 5, want: Passed, learns: true}, {from: evil, seq: 14, want: Stranger}},
			),
			source: natted, target: natted, rtcpTo: near,
		},
		"nobody is learned in a hold": {
			steps: slices.Concat(
				[]step{{aim: &first}},
				spoken(natted, 1, 3, Probation),
				[]step{{from: natted, seq: 4, want: Passed, learns: true}, {aim: &held}},
				spoken(evil, 1, 100, Probation),
				[]step{{aim: &resumed}, {from: evil, seq: 101, want: Probation}, {from: natted, seq: 5, want: Passed, learns: true}},
			),
			source: natted, target: natted, rtcpTo: near,
		},
		"new SDP with another address begins anew": {
			steps: []step{
				{aim: &first},
				{from: natted, seq: 1, want: Probation},
				{from: natted, seq: 2, want: Probation},
				{from: natted, seq: 3, want: Probation},
				{from: natted, seq: 4, want: Passed, learns: true},
				{aim: &moved},
				{from: natted, seq: 5, want: Probation},
			},
			target: moved.RTP, rtcpTo: next(moved.RTP),
		},
		"the same generation forgets nothing": {
			steps: []step{
				{aim: &first},
				{from: natted, seq: 1, want: Probation},
				{from: natted, seq: 2, want: Probation},
				{from: natted, seq: 3, want: Probation},
				{from: natted, seq: 4, want: Passed, learns: true},
				{aim: &first},
				{from: natted, seq: 9, want: Passed},
				{from: evil, seq: 9, want: Stranger},
			},
			source: natted, target: natted, rtcpTo: near,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var f Flow
			runSteps(t, &f, test.steps)
			if got := f.Source(); got != test.source {
				t.Errorf("source %v, want %v", got, test.source)
			}
			if got, _ := f.SendRTP(rtpPacket(1, 1, 1)); got != test.target {
				t.Errorf("RTP goes to %v, want %v", got, test.target)
			}
			if got, _ := f.SendRTCP(); got != test.rtcpTo {
				t.Errorf("RTCP goes to %v, want %v", got, test.rtcpTo)
			}
		})
	}
}

// A spray from many addresses must not keep the phone from being learned for ever.
func TestSprayDoesNotStopLearning(t *testing.T) {
	t.Parallel()
	var f Flow
	f.Aim(start, learning(1))
	port := uint16(1000)
	spray := func(n int) {
		for range n {
			port++
			f.RTP(start, netip.AddrPortFrom(evil.Addr(), port), rtpPacket(1, 1, 1))
		}
	}
	spray(100)
	f.RTP(start, natted, rtpPacket(0, 1, 1))
	spray(candidates - 1)
	for seq := uint16(1); seq < inSequence; seq++ {
		f.RTP(start, natted, rtpPacket(seq, 1, 1))
		spray(100)
	}
	if f.Source() != natted {
		t.Errorf("source %v, want %v", f.Source(), natted)
	}
}

func TestHold(t *testing.T) {
	t.Parallel()
	var f Flow
	held := toPhone
	held.Send, held.Receive = false, false
	f.Aim(start, held)
	if got := f.RTP(start, phone, rtpPacket(1, 1, 1)).Drop; got != Held {
		t.Errorf("voice from a held phone: %v", got)
	}
	if _, got := f.SendRTP(rtpPacket(1, 1, 1)); got != Muted {
		t.Errorf("voice to a held phone: %v", got)
	}
	if got := f.RTCP(start, next(phone), receiverReport(1)).Drop; got != Passed {
		t.Errorf("RTCP from a held phone: %v", got)
	}
	if to, got := f.SendRTCP(); got != Passed || to != next(phone) {
		t.Errorf("RTCP to a held phone: %v %v", to, got)
	}
	f.Aim(start, toPhone)
	if got := f.RTP(start, phone, rtpPacket(2, 1, 1)).Drop; got != Passed {
		t.Errorf("voice after the hold: %v", got)
	}
	if r := f.Report(); r.Dropped[Held] != 1 || r.Dropped[Muted] != 1 || r.PacketsIn != 1 || r.PacketsOut != 0 {
		t.Errorf("report %+v", r)
	}
}

func TestUnusableTargets(t *testing.T) {
	t.Parallel()
	for _, to := range []string{"0.0.0.0:4000", "[::]:4000", "224.0.1.1:4000", "[ff02::1]:4000", "192.0.2.10:0", "[::ffff:0.0.0.0]:4000"} {
		var f Flow
		a := toPhone
		a.RTP = netip.MustParseAddrPort(to)
		f.Aim(start, a)
		if got, drop := f.SendRTP(rtpPacket(1, 1, 1)); drop != Unaimed {
			t.Errorf("RTP to %s: %v %v", to, got, drop)
		}
		if got, drop := f.SendRTCP(); drop != Unaimed {
			t.Errorf("RTCP to %s: %v %v", to, got, drop)
		}
	}
	var f Flow
	a := toPhone
	a.RTP = netip.MustParseAddrPort("[::ffff:192.0.2.10]:4000")
	f.Aim(start, a)
	if got, _ := f.SendRTP(rtpPacket(1, 1, 1)); got != phone {
		t.Errorf("mapped address gives %v", got)
	}
}

func TestExplicitRTCP(t *testing.T) {
	t.Parallel()
	var f Flow
	a := toPhone
	a.RTCP = netip.MustParseAddrPort("192.0.2.99:53020")
	f.Aim(start, a)
	if got := f.RTCP(start, next(phone), receiverReport(1)).Drop; got != Stranger {
		t.Errorf("RTCP from the port that a=rtcp replaced: %v", got)
	}
	if got := f.RTCP(start, a.RTCP, receiverReport(1)).Drop; got != Passed {
		t.Errorf("RTCP from a=rtcp: %v", got)
	}
	if got, _ := f.SendRTCP(); got != a.RTCP {
		t.Errorf("RTCP goes to %v", got)
	}
}

func TestPayloadTypes(t *testing.T) {
	t.Parallel()
	var f Flow
	a := toPhone
	a.PayloadTypes = map[uint8]uint8{101: 96}
	f.Aim(start, a)
	for in, want := range map[byte]byte{101: 96, 0x80 | 101: 0x80 | 96, 8: 8, 0x80: 0x80} {
		pkt := rtpPacket(1, 1, 1)
		pkt[1] = in
		if _, drop := f.SendRTP(pkt); drop != Passed || pkt[1] != want {
			t.Errorf("payload type byte %#x became %#x, want %#x (%v)", in, pkt[1], want, drop)
		}
	}
}

func TestSilent(t *testing.T) {
	t.Parallel()
	const timeout = 10 * time.Second
	at := func(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }
	held := toPhone
	held.Receive = false
	var f Flow
	check := func(seconds int, want bool) {
		t.Helper()
		if got := f.Silent(at(seconds), timeout); got != want {
			t.Errorf("silent at %d s: %v, want %v", seconds, got, want)
		}
	}
	check(100, false) // not aimed: nothing is expected
	f.Aim(at(100), toPhone)
	check(109, false)
	check(110, true)
	check(119, false) // told once a timeout
	check(120, true)
	f.RTCP(at(125), next(phone), receiverReport(1))
	check(134, false) // RTCP is life
	f.RTP(at(134), evil, rtpPacket(1, 1, 1))
	check(135, true) // a stranger is not
	f.Aim(at(136), held)
	check(200, false) // on hold nothing is expected
	f.Aim(at(200), toPhone)
	check(209, false)
	check(210, true)
	if (&Flow{}).Silent(at(300), 0) {
		t.Error("timeout 0 must never be silent")
	}
}

func TestRestore(t *testing.T) {
	t.Parallel()
	var f Flow
	f.Aim(start, learning(3))
	f.Restore(natted)
	if got := f.RTP(start, natted, rtpPacket(1, 1, 1)); got.Drop != Passed {
		t.Errorf("packet of the restored source: %+v", got)
	}
	var strict Flow
	strict.Aim(start, toPhone)
	strict.Restore(natted)
	if got := strict.RTP(start, natted, rtpPacket(1, 1, 1)).Drop; got != Stranger {
		t.Errorf("a strict flow took a restored source: %v", got)
	}
}

func TestFlowDoesNotAllocate(t *testing.T) {
	var f Flow
	f.Aim(start, learning(1))
	pkt := rtpPacket(1, 1, 1)
	rr := receiverReport(1)
	if n := testing.AllocsPerRun(100, func() {
		f.RTP(start, evil, pkt)
		f.RTP(start, phone, pkt)
		f.SendRTP(pkt)
		f.RTCP(start, next(phone), rr)
		f.SendRTCP()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
