package relay

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mss-federation/mss/pkg/fault"
)

const patience = 5 * time.Second

// run starts an engine that ends with the test.
func run(tb testing.TB, o Options) *Engine {
	tb.Helper()
	e, err := New(o)
	if err != nil {
		tb.Fatal(err)
	}
	e.Listen(true)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	tb.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			tb.Error(err)
		}
	})
	return e
}

// await takes events until one fits.
func await(t *testing.T, e *Engine, fits func(Event) bool) Event {
	t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case <-e.Ready():
			list, _ := e.Take(nil)
			for _, ev := range list {
				if fits(ev) {
					return ev
				}
			}
		case <-deadline:
			t.Fatal("no such event")
		}
	}
}

func report(t *testing.T, e *Engine, id uint64) Report {
	t.Helper()
	e.Report(id, 77)
	e.Flush()
	return await(t, e, func(ev Event) bool {
		return ev.Kind == EventReport && ev.Tag == 77 && ev.Endpoint == id
	}).Report
}

// talker is a phone's voice socket.
type talker struct {
	t    testing.TB
	conn *net.UDPConn
}

func talk(tb testing.TB, local netip.Addr) talker {
	tb.Helper()
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(local, 0)))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { conn.Close() })
	return talker{tb, conn}
}

func (s talker) addr() netip.AddrPort {
	a := s.conn.LocalAddr().(*net.UDPAddr).AddrPort()
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

func (s talker) send(to netip.AddrPort, pkt []byte) {
	s.t.Helper()
	if _, err := s.conn.WriteToUDPAddrPort(pkt, to); err != nil {
		s.t.Fatal(err)
	}
}

// hear reads one packet and checks that it came from the relay's port.
func (s talker) hear(from netip.AddrPort) []byte {
	s.t.Helper()
	if err := s.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		s.t.Fatal(err)
	}
	b := make([]byte, 2048)
	n, got, err := s.conn.ReadFromUDPAddrPort(b)
	if err != nil {
		s.t.Fatal(err)
	}
	if got = netip.AddrPortFrom(got.Addr().Unmap(), got.Port()); got != from {
		s.t.Fatalf("packet from %v, want %v", got, from)
	}
	return b[:n]
}

func aimAt(s talker) Aim { return Aim{RTP: s.addr(), Send: true, Receive: true, Generation: 1} }

// call opens two joined endpoints that are aimed at two talkers and returns the relay's two addresses.
func call(tb testing.TB, e *Engine, group uint64, local netip.Addr, a, b talker) (ra, rb netip.AddrPort) {
	tb.Helper()
	var at [2]netip.AddrPort
	for i, s := range []talker{a, b} {
		port, err := e.Open(Spec{ID: group*2 + uint64(i), Group: group, Local: local, Aim: aimAt(s)})
		if err != nil {
			tb.Fatal(err)
		}
		at[i] = netip.AddrPortFrom(local, uint16(port))
	}
	if err := e.Join(group*2, group*2+1); err != nil {
		tb.Fatal(err)
	}
	e.Flush()
	return at[0], at[1]
}

func TestRelayBothWays(t *testing.T) {
	t.Parallel()
	for _, local := range []string{"127.0.0.1", "::1"} {
		t.Run(local, func(t *testing.T) {
			t.Parallel()
			local := netip.MustParseAddr(local)
			e := run(t, Options{Loops: 2})
			a, b, evil := talk(t, local), talk(t, local), talk(t, local)
			ra, rb := call(t, e, 1, local, a, b)
			for seq := range uint16(50) {
				evil.send(ra, rtpPacket(seq, 0, 66))
				a.send(ra, rtpPacket(seq, uint32(seq)*160, 1))
				evil.send(rb, rtpPacket(seq, 0, 66))
				b.send(rb, rtpPacket(seq, uint32(seq)*160, 2))
				for s, want := range map[talker]uint32{a: 2, b: 1} {
					from := ra
					if s == b {
						from = rb
					}
					if h, ok := parseRTP(s.hear(from)); !ok || h.ssrc != want || h.seq != seq {
						t.Fatalf("heard %+v, want ssrc %d seq %d", h, want, seq)
					}
				}
			}
			r := report(t, e, 2)
			if r.PacketsIn != 50 || r.PacketsOut != 50 || r.BytesIn != 50*172 || r.BytesOut != 50*172 || r.Lost != 0 || r.Source != a.addr() {
				t.Errorf("report %+v", r)
			}
			if r.Dropped[Stranger] != 50 {
				t.Errorf("%d packets of a stranger dropped, want 50", r.Dropped[Stranger])
			}
		})
	}
}

func TestRelayRTCP(t *testing.T) {
	t.Parallel()
	e := run(t, Options{Loops: 1})
	a, b, aControl := talk(t, loopback), talk(t, loopback), talk(t, loopback)
	ra, rb := call(t, e, 1, loopback, a, b)
	aim := aimAt(a)
	aim.RTCP, aim.Generation = aControl.addr(), 2
	bControl := talk(t, loopback)
	aimB := aimAt(b)
	aimB.RTCP, aimB.Generation = bControl.addr(), 2
	for id, aim := range map[uint64]Aim{2: aim, 3: aimB} {
		if err := e.Aim(id, aim); err != nil {
			t.Fatal(err)
		}
	}
	report(t, e, 3) // both aims are in force
	aControl.send(next(ra), receiverReport(1))
	if got := bControl.hear(next(rb)); !validRTCP(got) {
		t.Errorf("heard % x", got)
	}
	if r := report(t, e, 2); r.RTCPIn != 1 {
		t.Errorf("report %+v", r)
	}
}

func TestRelayLearns(t *testing.T) {
	t.Parallel()
	e := run(t, Options{Loops: 1})
	a, b := talk(t, loopback), talk(t, loopback)
	ra, rb := call(t, e, 1, loopback, a, b)
	aim := Aim{RTP: phone, Learn: LearnSource, Send: true, Receive: true, Generation: 2}
	if err := e.Aim(2, aim); err != nil {
		t.Fatal(err)
	}
	report(t, e, 2)
	for seq := range uint16(inSequence) {
		a.send(ra, rtpPacket(seq, 0, 1))
	}
	ev := await(t, e, func(ev Event) bool { return ev.Kind == EventLearned })
	if ev.Endpoint != 2 || ev.Remote != a.addr() {
		t.Errorf("event %+v", ev)
	}
	if h, _ := parseRTP(b.hear(rb)); h.seq != inSequence-1 {
		t.Errorf("first packet passed on has seq %d", h.seq)
	}
	b.send(rb, rtpPacket(9, 0, 2))
	if h, _ := parseRTP(a.hear(ra)); h.seq != 9 {
		t.Errorf("voice to the learned source has seq %d", h.seq)
	}
}

// A transfer joins legs of two calls, which two loops may serve.
func TestRelayJoinsAcrossLoops(t *testing.T) {
	t.Parallel()
	e := run(t, Options{Loops: 2})
	a, b, c, d := talk(t, loopback), talk(t, loopback), talk(t, loopback), talk(t, loopback)
	ra, _ := call(t, e, 1, loopback, a, b)
	_, rd := call(t, e, 2, loopback, c, d)
	a.send(ra, rtpPacket(1, 0, 1))
	if err := e.Join(2, 5); err != nil {
		t.Fatal(err)
	}
	report(t, e, 2)
	a.send(ra, rtpPacket(2, 0, 1))
	if h, _ := parseRTP(d.hear(rd)); h.seq != 2 {
		t.Errorf("d heard seq %d, want 2", h.seq)
	}
	d.send(rd, rtpPacket(3, 0, 4))
	if h, _ := parseRTP(a.hear(ra)); h.seq != 3 {
		t.Errorf("a heard seq %d, want 3", h.seq)
	}
	if err := e.Join(2, 0); err != nil {
		t.Fatal(err)
	}
	report(t, e, 2)
	d.send(rd, rtpPacket(4, 0, 4))
	deadline := time.Now().Add(patience)
	for report(t, e, 5).Dropped[Unjoined] != 1 {
		if time.Now().After(deadline) {
			t.Fatal("left alone, d's packet was not counted as unjoined")
		}
	}
}

func TestRelaySilent(t *testing.T) {
	t.Parallel()
	e := run(t, Options{Loops: 1, Tick: time.Millisecond})
	a := talk(t, loopback)
	if _, err := e.Open(Spec{ID: 1, Local: loopback, Timeout: 20 * time.Millisecond, Aim: aimAt(a)}); err != nil {
		t.Fatal(err)
	}
	e.Flush()
	for range 2 {
		if ev := await(t, e, func(ev Event) bool { return ev.Kind == EventSilent }); ev.Endpoint != 1 {
			t.Errorf("event %+v", ev)
		}
	}
}

func TestRelayCloseFreesPorts(t *testing.T) {
	t.Parallel()
	e := run(t, Options{Loops: 1})
	port, err := e.Open(Spec{ID: 1, Local: loopback})
	if err != nil {
		t.Fatal(err)
	}
	if port%2 != 0 || port < DefaultPortLow || port > DefaultPortHigh {
		t.Errorf("port %d", port)
	}
	if _, err := openPair(loopback, port); !errors.Is(err, unix.EADDRINUSE) {
		t.Errorf("open endpoint's port can be bound: %v", err)
	}
	e.Close(1, 5)
	e.Flush()
	final := await(t, e, func(ev Event) bool { return ev.Kind == EventReport }).Report
	if !final.Final || !final.Found {
		t.Errorf("report %+v", final)
	}
	sockets, err := openPair(loopback, port)
	if err != nil {
		t.Fatalf("closed endpoint's port: %v", err)
	}
	if err := sockets.close(); err != nil {
		t.Error(err)
	}
	e.Close(1, 6)
	if r := await(t, e, func(ev Event) bool { return ev.Tag == 6 }).Report; r.Found || !r.Final {
		t.Errorf("report of what is not there: %+v", r)
	}
}

func TestRelayRefuses(t *testing.T) {
	t.Parallel()
	e := run(t, Options{Loops: 1, PortLow: 28000, PortHigh: 28001})
	port, err := e.Open(Spec{ID: 1, Local: netip.MustParseAddr("127.0.0.77")})
	if err != nil || port != 28000 {
		t.Fatalf("port %d, %v", port, err)
	}
	own := netip.MustParseAddrPort("127.0.0.77:28001")
	home := netip.MustParseAddr("127.0.0.77")
	tests := map[string]struct {
		do   func() error
		kind fault.Kind
	}{
		"number twice":         {func() error { _, err := e.Open(Spec{ID: 1, Local: home}); return err }, fault.Exists},
		"no port left":         {func() error { _, err := e.Open(Spec{ID: 2, Local: home}); return err }, fault.Exhausted},
		"port in use":          {func() error { _, err := e.Open(Spec{ID: 2, Local: home, Port: 28000}); return err }, fault.Conflict},
		"odd port":             {func() error { _, err := e.Open(Spec{ID: 2, Local: home, Port: 28003}); return err }, fault.Invalid},
		"wildcard":             {func() error { _, err := e.Open(Spec{ID: 2, Local: netip.IPv4Unspecified()}); return err }, fault.Invalid},
		"address of another":   {func() error { _, err := e.Open(Spec{ID: 2, Local: netip.MustParseAddr("192.0.2.1")}); return err }, fault.Unavailable},
		"aim at own RTCP":      {func() error { return e.Aim(1, Aim{RTP: phone, RTCP: own}) }, fault.Denied},
		"aim at own RTP":       {func() error { return e.Aim(1, Aim{RTP: netip.AddrPortFrom(home, 28000)}) }, fault.Denied},
		"aim at IPv6":          {func() error { return e.Aim(1, Aim{RTP: netip.MustParseAddrPort("[2001:db8::1]:4000")}) }, fault.Invalid},
		"aim what is not open": {func() error { return e.Aim(9, toPhone) }, fault.NotFound},
		"join with nobody":     {func() error { return e.Join(1, 9) }, fault.NotFound},
	}
	for name, test := range tests {
		if err := test.do(); err == nil || fault.KindOf(err) != test.kind {
			t.Errorf("%s: %v, want %v", name, err, test.kind)
		}
	}
}

func TestSync(t *testing.T) {
	t.Parallel()
	e := run(t, Options{Loops: 2})
	a, b := talk(t, loopback), talk(t, loopback)
	ra, rb := call(t, e, 1, loopback, a, b)
	call(t, e, 2, loopback, a, b)
	a.send(ra, rtpPacket(1, 0, 1))
	b.hear(rb)
	want := []Desired{
		{Spec: Spec{ID: 2, Group: 1, Local: loopback, Port: int(ra.Port()), Aim: aimAt(a)}, Peer: 3},
		{Spec: Spec{ID: 3, Group: 1, Local: loopback, Aim: aimAt(b)}, Peer: 2},
		{Spec: Spec{ID: 9, Group: 3, Local: loopback}},
	}
	r := e.Sync(want)
	if r.Kept != 2 || r.Opened != 1 || r.Closed != 2 || len(r.Endpoints) != 3 {
		t.Fatalf("result %+v", r)
	}
	for i, wanted := range []uint16{ra.Port(), rb.Port(), uint16(r.Endpoints[2].Port)} {
		if got := r.Endpoints[i]; got.Err != nil || got.Port != int(wanted) || got.Port == 0 {
			t.Errorf("endpoint %+v, want port %d", got, wanted)
		}
	}
	if report(t, e, 2).PacketsIn != 1 {
		t.Error("a kept endpoint forgot its counts")
	}
	if e.Len() != 3 {
		t.Errorf("%d endpoints", e.Len())
	}
	a.send(ra, rtpPacket(2, 0, 1))
	b.hear(rb)
}

// A packet that breaks the code ends its endpoint and no other; a command that does ends nothing.
func TestRelayContainsFailure(t *testing.T) {
	t.Parallel()
	e := run(t, Options{Loops: 1})
	a, b := talk(t, loopback), talk(t, loopback)
	ra, _ := call(t, e, 1, loopback, a, b)
	rc, rd := call(t, e, 2, loopback, a, b)
	l := e.loops[0]
	l.post(func(time.Time) { panic("a command that fails") })
	if err := e.Aim(2, Aim{RTP: phone, Learn: LearnSource, Receive: true, Generation: 2}); err != nil {
		t.Fatal(err)
	}
	l.post(func(time.Time) { l.byID[2].flow.rtp.oldest = candidates })
	report(t, e, 2)
	a.send(ra, rtpPacket(1, 0, 1))
	if ev := await(t, e, func(ev Event) bool { return ev.Kind == EventBroken }); ev.Endpoint != 2 {
		t.Errorf("event %+v", ev)
	}
	if e.Len() != 3 {
		t.Errorf("%d endpoints are left, want 3", e.Len())
	}
	a.send(rc, rtpPacket(2, 0, 1))
	b.hear(rd)
}
