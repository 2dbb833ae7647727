package relay

import (
	"bytes"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mss-federation/mss/pkg/fault"
)

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
	secret := sdes(0, chunkOf([]byte{0, 0, 0, 1}, item(sdesCNAME, "4001@10.0.0.7")))
	aControl.send(next(ra), slices.Concat(report1, secret))
	want := slices.Concat(report1, sdes(0, chunkOf([]byte{0, 0, 0, 1}, item(sdesCNAME, "00000001"))))
	if got := bControl.hear(next(rb)); !bytes.Equal(got, want) {
		t.Errorf("heard % x, want % x", got, want)
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
	ra, rb := call(t, e, 1, loopback, a, b)
	_, rd := call(t, e, 2, loopback, c, d)
	a.send(ra, rtpPacket(1, 0, 1))
	b.hear(rb)
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
	local := netip.AddrPortFrom(loopback, uint16(port))
	if _, err := openPair(local); !errors.Is(err, unix.EADDRINUSE) {
		t.Errorf("open endpoint's port can be bound: %v", err)
	}
	e.Close(1, 5)
	e.Flush()
	final := await(t, e, func(ev Event) bool { return ev.Kind == EventReport }).Report
	if !final.Final || !final.Found {
		t.Errorf("report %+v", final)
	}
	sockets, err := openPair(local)
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

// A port that rested is given out again, and its address may be aimed at again.
func TestRelayReusesPorts(t *testing.T) {
	t.Parallel()
	home := netip.MustParseAddr("127.0.0.78")
	e := run(t, Options{Loops: 1, PortLow: 28000, PortHigh: 28001, Rest: 1, MinRest: 1})
	for id := range uint64(3) {
		if port, err := e.Open(Spec{ID: id + 1, Local: home}); err != nil || port != 28000 {
			t.Fatalf("endpoint %d: port %d, %v", id+1, port, err)
		}
		e.Close(id+1, 5)
		e.Flush()
		await(t, e, func(ev Event) bool { return ev.Kind == EventReport })
	}
	if _, err := e.Open(Spec{ID: 9, Local: loopback, Aim: Aim{RTP: netip.AddrPortFrom(home, 28000)}}); err != nil {
		t.Errorf("aim at a closed endpoint's address: %v", err)
	}
}

func TestRelayPeerCloses(t *testing.T) {
	t.Parallel()
	e := run(t, Options{Loops: 1})
	a, b := talk(t, loopback), talk(t, loopback)
	ra, _ := call(t, e, 1, loopback, a, b)
	e.Close(3, 0)
	report(t, e, 2)
	a.send(ra, rtpPacket(1, 0, 1))
	for deadline := time.Now().Add(patience); ; {
		r := report(t, e, 2)
		if r.PacketsIn == 1 {
			if r.Dropped[Unjoined] != 1 {
				t.Errorf("report %+v", r)
			}
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the packet was not counted")
		}
	}
}

func TestSocketsAreExpedited(t *testing.T) {
	t.Parallel()
	e := run(t, Options{Loops: 1})
	for local, option := range map[string][2]int{
		"127.0.0.1": {unix.IPPROTO_IP, unix.IP_TOS},
		"::1":       {unix.IPPROTO_IPV6, unix.IPV6_TCLASS},
	} {
		p, _, err := e.bind(Spec{Local: netip.MustParseAddr(local)})
		if err != nil {
			t.Fatal(err)
		}
		for _, fd := range []int{p.rtp, p.rtcp} {
			if got, err := unix.GetsockoptInt(fd, option[0], option[1]); err != nil || got != 184 {
				t.Errorf("%s: traffic class %d, %v", local, got, err)
			}
		}
		if err := p.close(); err != nil {
			t.Error(err)
		}
	}
}

func TestEventsAreKeptForListeners(t *testing.T) {
	t.Parallel()
	e := newEvents()
	e.add(Event{Tag: 1})
	e.want(true)
	for range maxEvents + 3 {
		e.add(Event{Tag: 2})
	}
	if list, lost := e.take(nil); len(list) != maxEvents || lost != 3 || list[0].Tag != 2 {
		t.Errorf("%d events, %d lost", len(list), lost)
	}
	e.want(false)
	e.add(Event{Tag: 3})
	if list, _ := e.take(nil); len(list) != 0 {
		t.Errorf("%d events that nobody wanted", len(list))
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
	l.post(func(time.Time) { l.byID[2].flow.rtp.turn = candidates })
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

// Work that was posted while the loop ended is done all the same: sockets may hang on it.
func TestLoopEndsWithAnEmptyQueue(t *testing.T) {
	t.Parallel()
	e, err := New(Options{Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	l := e.loops[0]
	late := false
	l.post(func(time.Time) {
		l.stopped = true
		l.post(func(time.Time) { late = true })
	})
	l.run()
	if !late || l.post(func(time.Time) {}) {
		t.Errorf("late work done: %v; work is taken after the end: %v", late, l.post(func(time.Time) {}))
	}
	if _, err := e.Open(Spec{ID: 1, Local: loopback}); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("open after the end: %v", err)
	}
}

func TestAlive(t *testing.T) {
	t.Parallel()
	e := run(t, Options{Loops: 2, Tick: time.Millisecond})
	if !e.Alive() {
		t.Error("not alive at the start")
	}
	release := make(chan struct{})
	e.loops[1].post(func(time.Time) { <-release })
	e.Flush()
	for deadline := time.Now().Add(patience); e.Alive(); {
		if time.Now().After(deadline) {
			t.Fatal("a stuck loop passes for alive")
		}
	}
	close(release)
	for deadline := time.Now().Add(patience); !e.Alive(); {
		if time.Now().After(deadline) {
			t.Fatal("a loop that goes on passes for stuck")
		}
	}
}
