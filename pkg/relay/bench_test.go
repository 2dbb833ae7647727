package relay

import (
	"net/netip"
	"testing"
)

// BenchmarkFlow is the cost of the decisions for one packet.
func BenchmarkFlow(b *testing.B) {
	var in, out Flow
	in.Aim(start, toPhone)
	out.Aim(start, toPhone)
	pkt := rtpPacket(1, 1, 1)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		pkt[2], pkt[3] = byte(i>>8), byte(i)
		in.RTP(start, phone, pkt)
		out.SendRTP(pkt)
	}
}

// BenchmarkLoop is the cost of a packet through the loop, read and written through the kernel, on one
// thread that also plays the phones.
func BenchmarkLoop(b *testing.B) {
	const calls = 100
	e, err := New(Options{Loops: 1})
	if err != nil {
		b.Fatal(err)
	}
	l := e.loops[0]
	defer l.end()
	a, far := talk(b, loopback), talk(b, loopback)
	sources := make([]netip.AddrPort, calls)
	for i := range sources {
		sources[i], _ = call(b, e, uint64(i+1), loopback, a, far)
	}
	l.commands(start)
	pkt := rtpPacket(1, 1, 1)
	var rounds uint16
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		rounds++
		pkt[2], pkt[3] = byte(rounds>>8), byte(rounds)
		for _, to := range sources {
			a.send(to, pkt)
		}
		b.StartTimer()
		l.once()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*calls), "ns/packet")
	if r := l.byID[2].flow.Report(); r.PacketsIn == 0 || l.byID[3].flow.Report().PacketsOut != r.PacketsIn {
		b.Errorf("nothing was relayed: %+v", r)
	}
}
