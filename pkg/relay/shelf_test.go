package relay

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// still makes an engine whose loops run only when the test says so.
func still(t *testing.T, o Options) *Engine {
	t.Helper()
	e, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, l := range e.loops {
			l.end()
		}
	})
	return e
}

func obey(e *Engine, now time.Time) {
	for _, l := range e.loops {
		l.commands(now)
	}
}

func awaitReports(t *testing.T, e *Engine, n int) {
	t.Helper()
	await(t, e, func(ev Event) bool {
		if ev.Kind == EventReport {
			n--
		}
		return n == 0
	})
}

// Packets to a call that is over wait in a socket that the next call gets: they must not be heard there, although
// they come from the address that the next call hears.
func TestKeptSocketsForgetTheLastCall(t *testing.T) {
	t.Parallel()
	for _, local := range []string{"127.0.0.79", "::1"} {
		home := netip.MustParseAddr(local)
		e := still(t, Options{Loops: 1, PortLow: 28010, PortHigh: 28013, Rest: 1, MinRest: 1})
		l := e.loops[0]
		phone, control, peer := talk(t, home), talk(t, home), talk(t, home)
		last, _ := call(t, e, 1, home, phone, peer)
		obey(e, time.Now())
		kept := l.byID[2].pair
		e.Close(2, 0)
		e.Close(3, 0)
		obey(e, time.Now())
		if e.shelf.len() != 2 {
			t.Fatalf("%d pairs kept, want 2", e.shelf.len())
		}
		for seq := range uint16(5) {
			phone.send(last, rtpPacket(seq, 0, 1))
			control.send(next(last), receiverReport(1))
		}
		aim := aimAt(phone)
		aim.RTCP = control.addr()
		for id := range uint64(2) {
			if _, err := e.Open(Spec{ID: id + 4, Group: 2, Local: home, Aim: aim}); err != nil {
				t.Fatal(err)
			}
		}
		obey(e, time.Now())
		again := kept.endpoint
		if again == nil {
			t.Fatal("the sockets were not used again")
		}
		if n := e.shelf.len(); n != 0 {
			t.Errorf("%d pairs are on the shelf, and in use", n)
		}
		phone.send(last, rtpPacket(77, 0, 2))
		l.once()
		if r := again.flow.Report(); r.PacketsIn != 1 || r.RTCPIn != 0 || again.flow.in.maxSeq != 77 {
			t.Errorf("the new call heard %d packets and %d RTCP, want its own one", r.PacketsIn, r.RTCPIn)
		}
	}
}

// What is sent to a call that is over is read and thrown away, so that nobody can fill the kernel's memory there.
func TestKeptSocketsAreRead(t *testing.T) {
	t.Parallel()
	e := run(t, Options{Loops: 1, PortLow: 28020, PortHigh: 28023})
	a, b := talk(t, loopback), talk(t, loopback)
	ra, _ := call(t, e, 1, loopback, a, b)
	fd := make(chan int, 1)
	e.loops[0].post(func(time.Time) { fd <- e.loops[0].byID[2].rtp })
	e.Close(2, 5)
	e.Flush()
	await(t, e, func(ev Event) bool { return ev.Tag == 5 })
	for seq := range uint16(100) {
		a.send(ra, rtpPacket(seq, 0, 1))
	}
	rtp := <-fd
	for deadline := time.Now().Add(patience); ; {
		waiting, err := unix.IoctlGetInt(rtp, unix.SIOCINQ)
		if err != nil {
			t.Fatal(err)
		}
		if waiting == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d bytes wait in a socket that nobody uses", waiting)
		}
	}
}

func TestKeptSocketsAreClosedInTime(t *testing.T) {
	t.Parallel()
	e := run(t, Options{Loops: 2, Tick: time.Millisecond, Rest: 20 * time.Millisecond, PortLow: 28024, PortHigh: 28025})
	port, err := e.Open(Spec{ID: 1, Local: loopback})
	if err != nil {
		t.Fatal(err)
	}
	local := netip.AddrPortFrom(loopback, uint16(port))
	e.Close(1, 5)
	e.Flush()
	await(t, e, func(ev Event) bool { return ev.Tag == 5 })
	for deadline := time.Now().Add(patience); ; {
		sockets, err := openPair(local)
		if err == nil {
			if err := sockets.close(); err != nil {
				t.Error(err)
			}
			return
		}
		if !errors.Is(err, unix.EADDRINUSE) || time.Now().After(deadline) {
			t.Fatalf("sockets that nobody wants: %v", err)
		}
	}
}

func TestFewSocketsAreKept(t *testing.T) {
	t.Parallel()
	e := still(t, Options{Loops: 2, MaxKept: 3, PortLow: 28030, PortHigh: 28045})
	openAndClose(t, e, 8)
	obey(e, time.Now())
	open := 0
	for _, l := range e.loops {
		for _, p := range l.slots {
			if p != nil {
				open++
			}
		}
	}
	if e.shelf.len() != 3 || open != 3 {
		t.Errorf("%d pairs kept, %d open, want 3", e.shelf.len(), open)
	}
}

// openAndClose uses so many ports, all that there are.
func openAndClose(t *testing.T, e *Engine, n uint64) {
	t.Helper()
	for id := range n {
		if _, err := e.Open(Spec{ID: id + 1, Group: id, Local: loopback}); err != nil {
			t.Fatal(err)
		}
	}
	for id := range n {
		e.Close(id+1, 5)
	}
	e.Flush()
}

// A port's sockets are its loop's: those that a transfer took to another loop are closed at the end.
func TestMovedSocketsAreNotKept(t *testing.T) {
	t.Parallel()
	e := run(t, Options{Loops: 2, PortLow: 28050, PortHigh: 28057})
	a, b := talk(t, loopback), talk(t, loopback)
	ra, _ := call(t, e, 1, loopback, a, b)
	_, rd := call(t, e, 2, loopback, a, b)
	if err := e.Join(2, 5); err != nil {
		t.Fatal(err)
	}
	for id := uint64(2); id <= 5; id++ {
		e.Close(id, id)
	}
	e.Flush()
	awaitReports(t, e, 4)
	if p := e.shelf.take(ra); p == nil {
		t.Error("sockets that stayed on their loop were closed")
	}
	sockets, err := openPair(rd)
	if err != nil {
		t.Fatalf("the port of an endpoint that was moved: %v", err)
	}
	if err := sockets.close(); err != nil {
		t.Error(err)
	}
}

// These two count this process's files; so they are not parallel.

func TestKeptSocketsGiveWayToCalls(t *testing.T) { //nolint:paralleltest // see above
	e := run(t, Options{Loops: 2, PortLow: 28060, PortHigh: 28099})
	openAndClose(t, e, 20)
	awaitReports(t, e, 20)
	fillFiles(t)
	if _, err := e.Open(Spec{ID: 99, Local: netip.MustParseAddr("127.0.0.80")}); err != nil {
		t.Errorf("no files left: %v", err)
	}
}

// fillFiles lets this process open no file more, until the end of the test.
func fillFiles(t *testing.T) {
	t.Helper()
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	free, err := unix.Dup(0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Close(free); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(free), Max: before.Max}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
			t.Error(err)
		}
	})
}

func TestEngineLeavesNoFiles(t *testing.T) { //nolint:paralleltest // see above
	before := files(t)
	e, err := New(Options{Loops: 2, MaxKept: 20, PortLow: 28100, PortHigh: 28299})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	a, b := talk(t, loopback), talk(t, loopback)
	for group := uint64(1); group <= 50; group++ {
		call(t, e, group, loopback, a, b)
		if group > 1 { // joins two calls, mostly of two loops
			if err := e.Join(group*2, group*2-1); err != nil {
				t.Fatal(err)
			}
		}
	}
	for id := uint64(2); id <= 60; id++ {
		e.Close(id, 0)
	}
	e.Flush()
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if after := files(t); after != before+2 { // the two phones
		t.Errorf("%d files open, %d before", after-2, before)
	}
	if _, err := e.Open(Spec{ID: 1000, Local: loopback}); err == nil {
		t.Error("an engine that has ended opens sockets")
	}
	if after := files(t); after != before+2 {
		t.Errorf("%d files open after an Open that was refused, %d before", after-2, before)
	}
}

func files(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}
