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
