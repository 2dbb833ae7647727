package relay

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"
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
