package relay

import (
	"net/netip"
	"testing"
	"time"
)

// A way through a NAT is kept open while nothing else leaves, for RTP and RTCP apart, also in a hold; where nothing
// needs to be kept, and where nobody is known yet, nothing is sent.
func TestKeepalive(t *testing.T) {
	t.Parallel()
	keep := toPhone
	keep.Keepalive = true
	held, hidden := keep, keep
	held.Send, held.Receive = false, false
	hidden.RTP, hidden.Learn = netip.AddrPort{}, LearnSource
	for name, c := range map[string]struct {
		aim             Aim
		voice, reports  bool // leave each second
		wantRTP, wantRC int  // in a minute
	}{
		"silence":           {aim: keep, wantRTP: 3, wantRC: 3},
		"on hold":           {aim: held, wantRTP: 3, wantRC: 3},
		"voice":             {aim: keep, voice: true, wantRC: 3},
		"reports":           {aim: keep, reports: true, wantRTP: 3},
		"nobody known":      {aim: hidden},
		"nothing to keep":   {aim: toPhone},
		"voice and reports": {aim: keep, voice: true, reports: true},
	} {
		var f Flow
		f.Aim(start, c.aim)
		gotRTP, gotRTCP := 0, 0
		for second := range 60 {
			if c.voice {
				f.SendRTP(rtpPacket(uint16(second), 0, 1))
			}
			if c.reports {
				f.SendRTCP()
			}
			rtp, rtcp := f.Keepalive(start.Add(time.Duration(second) * time.Second))
			if rtp.IsValid() {
				gotRTP++
			}
			if rtcp.IsValid() {
				gotRTCP++
			}
			if rtp.IsValid() && rtp != phone || rtcp.IsValid() && rtcp != next(phone) {
				t.Errorf("%s: kept open %v and %v", name, rtp, rtcp)
			}
		}
		if gotRTP != c.wantRTP || gotRTCP != c.wantRC {
			t.Errorf("%s: %d and %d keepalives in a minute, want %d and %d", name, gotRTP, gotRTCP, c.wantRTP, c.wantRC)
		}
	}
}

// A keepalive that arrives goes no further, teaches nothing and is no sign of a phone.
func TestKeepaliveArrives(t *testing.T) {
	t.Parallel()
	var f Flow
	f.Aim(start, learning(1))
	late := start.Add(time.Minute)
	for range 2 * inSequence {
		p := keepalive()
		if v := f.RTP(late, natted, p[:]); v != (Verdict{Drop: Keepalive}) {
			t.Errorf("on the RTP port: %+v", v)
		}
		if v := f.RTCP(late, natted, p[:]); v.Drop != Keepalive {
			t.Errorf("on the RTCP port: %+v", v)
		}
	}
	if f.Source().IsValid() || !f.Silent(late, time.Minute) {
		t.Errorf("source %v: somebody was heard", f.Source())
	}
	other := keepalive()
	other[4] = 0
	if v := f.RTP(late, natted, other[:]); v.Drop != Malformed {
		t.Errorf("another packet of its size: %v", v.Drop)
	}
}
