package media_test

import (
	"context"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/media"
	"github.com/mss-federation/mss/pkg/media/mediatest"
	"github.com/mss-federation/mss/pkg/relay"
)

const patience = 5 * time.Second

var (
	local = netip.MustParseAddr("127.0.0.1")
	far   = netip.MustParseAddrPort("192.0.2.1:4000")
)

// socketPath is short, as paths of Unix sockets must be.
func socketPath(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp("", "mss")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			tb.Error(err)
		}
	})
	return filepath.Join(dir, "media.sock")
}

// process is a media process that can be stopped before the test ends.
type process struct {
	stop func()
}

func serve(tb testing.TB, o media.Options) process {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready := make(chan struct{})
	done := make(chan error, 1)
	o.Ready = func() { close(ready) }
	go func() { done <- media.Serve(ctx, o) }()
	select {
	case <-ready:
	case err := <-done:
		cancel()
		tb.Fatal(err)
	}
	stopped := false
	stop := func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			tb.Error(err)
		}
	}
	tb.Cleanup(stop)
	return process{stop}
}

// run runs a client until stop.
func run(tb testing.TB, c *media.Client) (stop func()) {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			tb.Error(err)
		}
	}
	tb.Cleanup(stop)
	return stop
}

type opened struct {
	port int
	err  error
}

func open(t *testing.T, c *media.Client, spec media.EndpointSpec) int {
	t.Helper()
	got := make(chan opened, 1)
	c.Open(spec, func(port int, err error) { got <- opened{port, err} })
	o := await(t, got)
	if o.err != nil {
		t.Fatal(o.err)
	}
	return o.port
}

func await[T any](t *testing.T, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

// phone is a UDP socket that speaks and hears RTP.
type phone struct {
	*net.UDPConn
	t *testing.T
}

func newPhone(t *testing.T) phone {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: local.AsSlice()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return phone{conn, t}
}

func (p phone) addr() netip.AddrPort {
	a := p.LocalAddr().(*net.UDPAddr).AddrPort()
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

func (p phone) say(port int, seq byte) {
	p.t.Helper()
	pkt := make([]byte, 172)
	pkt[0], pkt[3], pkt[11] = 0x80, seq, 7
	if _, err := p.WriteToUDPAddrPort(pkt, netip.AddrPortFrom(local, uint16(port))); err != nil {
		p.t.Fatal(err)
	}
}

// hears reports whether a packet with seq comes within the time.
func (p phone) hears(seq byte, within time.Duration) bool {
	p.t.Helper()
	if err := p.SetReadDeadline(time.Now().Add(within)); err != nil {
		p.t.Fatal(err)
	}
	b := make([]byte, 2048)
	for {
		n, _, err := p.ReadFromUDPAddrPort(b)
		if err != nil {
			return false
		}
		if n == 172 && b[3] == seq {
			return true
		}
	}
}

func aimAt(p phone) media.Aim {
	return media.Aim{RTP: p.addr(), Send: true, Receive: true, Generation: 1}
}

// talking opens, aims and joins the two endpoints of a call and waits until voice goes both ways.
type talking struct {
	a, b         phone
	idA, idB     uint64
	portA, portB int
}

func talk(t *testing.T, c *media.Client) talking {
	t.Helper()
	k := talking{a: newPhone(t), b: newPhone(t), idA: c.NewID(), idB: c.NewID()}
	group := k.idA
	k.portA = open(t, c, media.EndpointSpec{ID: k.idA, Group: group, Local: local, Aim: aimAt(k.a)})
	k.portB = open(t, c, media.EndpointSpec{ID: k.idB, Group: group, Local: local})
	c.Aim(k.idB, aimAt(k.b))
	c.Join(k.idA, k.idB)
	k.check(t, c, 1)
	return k
}

// check exchanges a packet each way, once all commands are carried out.
func (k talking) check(t *testing.T, c *media.Client, seq byte) {
	t.Helper()
	reports(t, c, k.idA, k.idB)
	k.a.say(k.portA, seq)
	k.b.say(k.portB, seq)
	if !k.b.hears(seq, patience) || !k.a.hears(seq, patience) {
		t.Fatal("the phones do not hear each other")
	}
}

// reports asks again while the client is not connected.
func reports(t *testing.T, c *media.Client, ids ...uint64) []media.Report {
	t.Helper()
	for deadline := time.Now().Add(patience); ; {
		r, err := c.Reports(context.Background(), ids...)
		if err == nil {
			return r
		}
		if fault.KindOf(err) != fault.Unavailable || time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

func TestClientKeepsTheContract(t *testing.T) {
	t.Parallel()
	mediatest.Contract(t, func(t *testing.T) mediatest.Controller {
		t.Helper()
		socket := socketPath(t)
		serve(t, media.Options{Socket: socket})
		return media.Dial(media.ClientOptions{Socket: socket})
	})
}

func TestVoiceAndReports(t *testing.T) {
	t.Parallel()
	socket := socketPath(t)
	serve(t, media.Options{Socket: socket, PortLow: 20000, PortHigh: 20999})
	c := media.Dial(media.ClientOptions{Socket: socket})
	run(t, c)
	k := talk(t, c)
	if k.portA < 20000 || k.portA > 20998 {
		t.Errorf("port %d is out of range", k.portA)
	}
	stranger := newPhone(t)
	stranger.say(k.portA, 9)
	k.check(t, c, 2)
	got := make(chan media.Report, 1)
	c.Close(k.idA, func(r media.Report) { got <- r })
	r := await(t, got)
	if !r.Final || r.PacketsIn != 2 || r.PacketsOut != 2 || r.BytesIn != 344 || r.Dropped[relay.Stranger] != 1 || r.Source != k.a.addr() {
		t.Errorf("report %+v", r)
	}
}

// The media process dies: its successor has the same endpoints on the same ports, within 300 ms.
func TestMediaRestarts(t *testing.T) {
	t.Parallel()
	socket := socketPath(t)
	first := serve(t, media.Options{Socket: socket})
	told := make(chan netip.AddrPort, 10)
	c := media.Dial(media.ClientOptions{Socket: socket, OnLearned: func(_ uint64, remote netip.AddrPort) { told <- remote }})
	run(t, c)
	k := talk(t, c)
	learned := newPhone(t)
	c.Aim(k.idA, media.Aim{RTP: far, Learn: media.LearnSource, Send: true, Receive: true, Generation: 2})
	reports(t, c, k.idA)
	for seq := range byte(4) {
		learned.say(k.portA, seq)
	}
	if got := await(t, told); got != learned.addr() {
		t.Fatalf("learned %v, want %v", got, learned.addr())
	}
	first.stop()
	began := time.Now()
	serve(t, media.Options{Socket: socket})
	for !k.b.hears(50, 5*time.Millisecond) {
		learned.say(k.portA, 50) // one packet is enough: what was learned is restored
		if time.Since(began) > patience {
			t.Fatal("no voice after the restart")
		}
	}
	if gap := time.Since(began); gap > 300*time.Millisecond {
		t.Errorf("silence of %v", gap)
	}
	k.b.say(k.portB, 51)
	if !learned.hears(51, patience) {
		t.Error("no voice to the learned source")
	}
}

// The client dies: voice goes on; its successor finds every endpoint as it was and closes what it does not know.
func TestSignallingRestarts(t *testing.T) {
	t.Parallel()
	socket := socketPath(t)
	serve(t, media.Options{Socket: socket})
	c := media.Dial(media.ClientOptions{Socket: socket})
	stop := run(t, c)
	k := talk(t, c)
	setup := c.NewID()
	open(t, c, media.EndpointSpec{ID: setup, Local: local})
	stop()
	k.a.say(k.portA, 2)
	if !k.b.hears(2, patience) {
		t.Fatal("voice ended with signalling")
	}
	next := media.Dial(media.ClientOptions{Socket: socket})
	next.Restore(media.EndpointSpec{ID: k.idA, Group: k.idA, Local: local, Port: k.portA, Aim: aimAt(k.a)}, k.idB)
	next.Restore(media.EndpointSpec{ID: k.idB, Group: k.idA, Local: local, Port: k.portB, Aim: aimAt(k.b)}, k.idA)
	run(t, next)
	k.check(t, next, 3)
	r := reports(t, next, k.idA, k.idB, setup)
	if r[0].PacketsIn != 3 || r[1].PacketsOut != 3 {
		t.Errorf("counts began anew: %+v", r)
	}
	if r[2].Found {
		t.Error("the endpoint of a call in set-up was kept")
	}
}

func TestOrphansAreClosed(t *testing.T) {
	t.Parallel()
	socket := socketPath(t)
	serve(t, media.Options{Socket: socket, OrphanTime: time.Millisecond})
	c := media.Dial(media.ClientOptions{Socket: socket})
	stop := run(t, c)
	port := open(t, c, media.EndpointSpec{ID: c.NewID(), Local: local})
	stop()
	for deadline := time.Now().Add(patience); ; {
		conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: local.AsSlice(), Port: port})
		if err == nil {
			conn.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("port is still bound: %v", err)
		}
	}
}

func TestNewerStreamTakesOver(t *testing.T) {
	t.Parallel()
	socket := socketPath(t)
	serve(t, media.Options{Socket: socket})
	old := media.Dial(media.ClientOptions{Socket: socket, AnswerTime: 50 * time.Millisecond})
	stop := run(t, old)
	open(t, old, media.EndpointSpec{ID: old.NewID(), Local: local})
	stop()
	c := media.Dial(media.ClientOptions{Socket: socket})
	run(t, c)
	talk(t, c)
}

func TestOpenWithoutMedia(t *testing.T) {
	t.Parallel()
	c := media.Dial(media.ClientOptions{Socket: socketPath(t), AnswerTime: 30 * time.Millisecond})
	run(t, c)
	got := make(chan opened, 1)
	c.Open(media.EndpointSpec{ID: c.NewID(), Local: local}, func(port int, err error) { got <- opened{port, err} })
	if o := await(t, got); fault.KindOf(o.err) != fault.Unavailable {
		t.Errorf("%+v", o)
	}
	closed := make(chan media.Report, 1)
	c.Close(1, func(r media.Report) { closed <- r })
	if r := await(t, closed); r.Found || !r.Final {
		t.Errorf("%+v", r)
	}
	if _, err := c.Reports(context.Background(), 1); fault.KindOf(err) != fault.Unavailable {
		t.Error(err)
	}
}

func TestSilentAndLearnedAreTold(t *testing.T) {
	t.Parallel()
	socket := socketPath(t)
	serve(t, media.Options{Socket: socket, Relay: relay.Options{Tick: time.Millisecond}})
	silent, learned := make(chan uint64, 100), make(chan netip.AddrPort, 100)
	c := media.Dial(media.ClientOptions{
		Socket:    socket,
		OnSilent:  func(id uint64) { silent <- id },
		OnLearned: func(_ uint64, remote netip.AddrPort) { learned <- remote },
	})
	run(t, c)
	p, id := newPhone(t), c.NewID()
	port := open(t, c, media.EndpointSpec{ID: id, Local: local, Timeout: 50 * time.Millisecond, Aim: media.Aim{Learn: media.LearnSource, Receive: true}})
	if got := await(t, silent); got != id {
		t.Errorf("silent %d, want %d", got, id)
	}
	for seq := range byte(4) {
		p.say(port, seq)
	}
	if got := await(t, learned); got != p.addr() {
		t.Errorf("learned %v, want %v", got, p.addr())
	}
}

// A port that cannot be had again is told, since its call has no voice.
func TestLostIsTold(t *testing.T) {
	t.Parallel()
	taken := newPhone(t)
	socket := socketPath(t)
	serve(t, media.Options{Socket: socket})
	lost := make(chan uint64, 1)
	c := media.Dial(media.ClientOptions{Socket: socket, OnLost: func(id uint64, _ error) { lost <- id }})
	id := c.NewID()
	c.Restore(media.EndpointSpec{ID: id, Local: local, Port: int(taken.addr().Port() &^ 1)}, 0)
	run(t, c)
	if got := await(t, lost); got != id {
		t.Errorf("lost %d, want %d", got, id)
	}
}

func TestSocket(t *testing.T) {
	t.Parallel()
	socket := socketPath(t)
	p := serve(t, media.Options{Socket: socket})
	info, err := os.Stat(socket)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("socket %v %v", info, err)
	}
	err = media.Serve(context.Background(), media.Options{Socket: socket})
	if fault.KindOf(err) != fault.Conflict {
		t.Errorf("second process: %v", err)
	}
	p.stop()
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	stale.Close()
	serve(t, media.Options{Socket: socket})
	if err := media.Serve(context.Background(), media.Options{Socket: filepath.Join(socket, "x")}); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("impossible path: %v", err)
	}
}
