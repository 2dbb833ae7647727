package voice

import (
	"context"
	"encoding/binary"
	"net/netip"
	"testing"
	"time"
)

var loopback = netip.MustParseAddr("127.0.0.1")

func open(t *testing.T, freq float64) *Session {
	t.Helper()
	s, err := Open(loopback, freq)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func TestTwoSessionsHearEachOther(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	a, b := open(t, 440), open(t, 620)
	a.Aim(b.Local(), PCMU, true)
	b.Aim(a.Local(), PCMA, true)
	if err := a.WaitTone(ctx, 620); err != nil {
		t.Error(err)
	}
	if err := b.WaitTone(ctx, 440); err != nil {
		t.Error(err)
	}
	if a.Contains(440) || b.Contains(620) || a.Hears(440) {
		t.Error("a session hears itself")
	}
	a.Aim(b.Local(), PCMU, false)
	if err := b.WaitSilence(ctx); err != nil {
		t.Error(err)
	}
	a.Aim(b.Local(), PCMU, true)
	a.SendDigits("4*")
	if err := wait(ctx, func() bool { return b.Stats().Digits == "4*" }); err != nil {
		t.Errorf("digits %q", b.Stats().Digits)
	}
	if err := wait(ctx, func() bool { return b.Stats().RTCPReceived > 0 }); err != nil {
		t.Error("no RTCP")
	}
	s := b.Stats()
	if s.Lost != 0 || s.Strangers != 0 || s.Malformed != 0 || s.SSRCs != 1 || s.MaxSeqGap != 0 {
		t.Errorf("stats %+v", s)
	}
}

func rtp(seq uint16) []byte {
	p := []byte{rtpVersion, byte(PCMU)}
	p = binary.BigEndian.AppendUint16(p, seq)
	return append(p, make([]byte, 8+160)...)
}

func TestInboundCounts(t *testing.T) {
	t.Parallel()
	from := netip.MustParseAddrPort("192.0.2.1:4000")
	other := netip.MustParseAddrPort("192.0.2.2:4000")
	now := time.Unix(1000, 0)
	in := inbound{from: from}
	for _, seq := range []uint16{65534, 65535, 0, 1, 5, 3, 3, 6} {
		now = now.Add(frame)
		in.packet(now, from, rtp(seq))
	}
	now = now.Add(time.Second)
	in.packet(now, from, rtp(7))
	in.packet(now, other, rtp(8))
	in.packet(now, from, []byte{1, 2, 3})
	if in.received != 8 || in.missing != 2 || in.maxSeqGap != 3 || in.reordered != 1 || in.duplicates != 1 {
		t.Errorf("received %d missing %d gap %d reordered %d duplicates %d",
			in.received, in.missing, in.maxSeqGap, in.reordered, in.duplicates)
	}
	if in.strangers != 1 || in.malformed != 1 || in.maxSilence != time.Second {
		t.Errorf("strangers %d malformed %d silence %v", in.strangers, in.malformed, in.maxSilence)
	}
}
