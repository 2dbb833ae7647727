package siptransport_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mss-federation/mss/pkg/network"
	"github.com/mss-federation/mss/pkg/siptransport"
)

// patience bounds what must happen over real sockets; nothing waits for it when all is well.
const patience = 5 * time.Second

// heard is what a receiver was told, in order.
type heard struct {
	flow   siptransport.Flow
	msg    string
	cause  error  // FlowClosed
	reason string // Refused
}

// ear is a Receiver that passes on what it is told.
type ear struct {
	ch       chan heard
	refusing func(siptransport.Flow)
}

func newEar() *ear { return &ear{ch: make(chan heard, 10_000)} }

func (r *ear) Receive(in *siptransport.Inbound) {
	r.ch <- heard{flow: in.Flow, msg: string(in.Data)}
	in.Release()
}

func (r *ear) FlowClosed(flow siptransport.Flow, cause error) {
	r.ch <- heard{flow: flow, cause: cause}
}

func (r *ear) Refused(flow siptransport.Flow, msg []byte, reason string) {
	if r.refusing != nil {
		r.refusing(flow)
	}
	r.ch <- heard{flow: flow, msg: string(msg), reason: reason}
}

// next waits for the next thing heard; under synctest time jumps to it.
func (r *ear) next(t *testing.T) heard {
	t.Helper()
	select {
	case h := <-r.ch:
		return h
	case <-time.After(time.Hour):
		t.Fatal("nothing heard")
		return heard{}
	}
}

func (r *ear) message(t *testing.T, want string) siptransport.Flow {
	t.Helper()
	h := r.next(t)
	if h.msg != want || h.cause != nil || h.reason != "" {
		t.Fatalf("heard %q, closed %v, refused %q; want message %q", h.msg, h.cause, h.reason, want)
	}
	return h.flow
}

func (r *ear) closed(t *testing.T, want error) siptransport.Flow {
	t.Helper()
	h := r.next(t)
	if !errors.Is(h.cause, want) {
		t.Fatalf("heard %q, closed %v, refused %q; want closed %v", h.msg, h.cause, h.reason, want)
	}
	return h.flow
}

// message is a SIP message of the least that framing looks at.
func message(body string) string {
	return fmt.Sprintf("OPTIONS sip:example.org SIP/2.0\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

// node is an endpoint on one address, running until the test ends or end is called.
type node struct {
	*siptransport.Endpoint
	*ear
	udp, tcp netip.AddrPort
	end      func() error
}

func start(t *testing.T, opts siptransport.Options, addr netip.Addr) *node {
	t.Helper()
	n := &node{ear: newEar()}
	opts.Receiver = n.ear
	if opts.Network == nil {
		opts.Network = network.System{}
	}
	n.Endpoint = siptransport.New(opts)
	conn, err := opts.Network.ListenUDP(t.Context(), netip.AddrPortFrom(addr, 0))
	if err != nil {
		t.Fatal(err)
	}
	ln, err := opts.Network.ListenTCP(t.Context(), netip.AddrPortFrom(addr, 0))
	if err != nil {
		t.Fatal(err)
	}
	n.udp, n.tcp = network.AddrPort(conn.LocalAddr()), network.AddrPort(ln.Addr())
	if err := errors.Join(n.AddUDP(conn), n.AddListener(siptransport.TCP, ln)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	n.end = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	t.Cleanup(func() {
		if err := n.end(); err != nil {
			t.Error("run:", err)
		}
	})
	return n
}

func loopback(t *testing.T) (a, b *node) {
	t.Helper()
	return start(t, siptransport.Options{}, netip.MustParseAddr("127.0.0.1")),
		start(t, siptransport.Options{}, netip.MustParseAddr("127.0.0.2"))
}

func TestUDPBothWays(t *testing.T) {
	t.Parallel()
	a, b := loopback(t)
	to := siptransport.Flow{Transport: siptransport.UDP, Local: a.udp, Remote: b.udp}
	for _, msg := range []string{"small", strings.Repeat("m", 3000), strings.Repeat("l", 60_000)} {
		for _, silent := range []string{"\r\n\r\n", "\x00\x00\x00\x00", ""} {
			if err := a.Send(to, []byte(silent), nil); err != nil {
				t.Fatal(err)
			}
		}
		if err := a.Send(to, []byte(msg), nil); err != nil {
			t.Fatal(err)
		}
		back := b.message(t, msg)
		if want := (siptransport.Flow{Transport: siptransport.UDP, Local: b.udp, Remote: a.udp}); back != want {
			t.Fatalf("came on %v, want %v", back, want)
		}
		if err := b.Send(back, []byte("answer"), nil); err != nil {
			t.Fatal(err)
		}
		if got := a.message(t, "answer"); got != to {
			t.Fatalf("answer on %v, want %v", got, to)
		}
	}
	if s := b.Stats(); s.KeepAlives != 9 || s.DatagramsIn != 3 || s.DatagramsOut != 3 {
		t.Errorf("%+v", s)
	}
}

func TestUDPErrorsAreTold(t *testing.T) {
	t.Parallel()
	a, b := loopback(t)
	unbound := siptransport.Flow{Transport: siptransport.UDP, Local: b.udp, Remote: b.udp}
	if err := a.Send(unbound, []byte("x"), nil); !errors.Is(err, siptransport.ErrNoSocket) {
		t.Errorf("foreign local address: %v", err)
	}
	if err := a.Send(siptransport.Flow{Transport: siptransport.UDP, Local: a.udp, Remote: b.udp}, make([]byte, 70_000), nil); err == nil {
		t.Error("70000 bytes left as one datagram")
	}
	if err := a.Send(siptransport.Flow{Remote: b.udp}, []byte("x"), nil); err == nil {
		t.Error("sent over no transport")
	}
}

// An unreachable port answers with ICMP; whoever it was for, the reader goes on.
func TestUDPReaderSurvivesICMP(t *testing.T) {
	t.Parallel()
	a, b := loopback(t)
	gone := siptransport.Flow{Transport: siptransport.UDP, Local: a.udp, Remote: netip.AddrPortFrom(b.udp.Addr(), 1)}
	for range 10 {
		_ = a.Send(gone, []byte("x"), nil) // may already tell of the last one
	}
	if err := b.Send(siptransport.Flow{Transport: siptransport.UDP, Local: b.udp, Remote: a.udp}, []byte("still there"), nil); err != nil {
		t.Fatal(err)
	}
	a.message(t, "still there")
}

func TestTCPOverTheKernel(t *testing.T) {
	t.Parallel()
	a, b := loopback(t)
	out := siptransport.Flow{Transport: siptransport.TCP, Remote: b.tcp}
	for i := range 50 {
		if err := a.Send(out, []byte(message(fmt.Sprint(i))), nil); err != nil {
			t.Fatal(err)
		}
	}
	var flow siptransport.Flow
	for i := range 50 {
		flow = b.message(t, message(fmt.Sprint(i)))
	}
	if flow.ID == 0 || flow.Local != b.tcp || flow.Remote.Addr() != a.tcp.Addr() {
		t.Errorf("came on %v", flow)
	}
	large := message(strings.Repeat("z", 60_000))
	if err := b.Send(flow, []byte(large), nil); err != nil {
		t.Fatal(err)
	}
	back := a.message(t, large)
	if back.Local != a.tcp || back.Remote != b.tcp || back.ID == 0 {
		t.Errorf("answer on %v, want local %v", back, a.tcp)
	}
	if flows := b.Flows(); len(flows) != 1 || flows[0].Flow != flow || flows[0].Dialled || !flows[0].Connected {
		t.Errorf("%+v", flows)
	}
	b.Close(flow)
	b.closed(t, siptransport.ErrClosedHere)
	a.closed(t, io.EOF)
	if err := a.Send(back, []byte("x"), nil); !errors.Is(err, siptransport.ErrFlowClosed) {
		t.Errorf("send on a closed flow: %v", err)
	}
}

// The kernel resets a connection that is closed with unread bytes; our last word must arrive all the same.
func TestRefusalReachesAPeerThatGoesOnSending(t *testing.T) {
	t.Parallel()
	a, _ := loopback(t)
	const answer = "SIP/2.0 400 Bad Request\r\n\r\n"
	a.refusing = func(flow siptransport.Flow) {
		if err := a.Send(flow, []byte(answer), nil); err != nil {
			t.Error(err)
		}
	}
	conn, err := network.System{}.DialTCP(t.Context(), netip.AddrPort{}, a.tcp)
	if err != nil {
		t.Fatal(err)
	}
	broken := "BYE sip:example.org SIP/2.0\r\n\r\n" + strings.Repeat("more ", 100_000)
	if _, err := conn.Write([]byte(broken)); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(conn); err != nil || string(got) != answer {
		t.Errorf("%q, %v; want the answer", got, err)
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
}

func TestSocketLostEndsRun(t *testing.T) {
	t.Parallel()
	conn, err := network.System{}.ListenUDP(t.Context(), netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	e := siptransport.New(siptransport.Options{Receiver: newEar()})
	if err := e.AddUDP(conn); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(time.Millisecond, func() { _ = conn.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := e.Run(ctx); !errors.Is(err, net.ErrClosed) {
		t.Errorf("run: %v, want that the socket was closed", err)
	}
}

func TestAddAfterAndDuringRun(t *testing.T) {
	t.Parallel()
	a, b := loopback(t)
	conn, err := network.System{}.ListenUDP(t.Context(), netip.MustParseAddrPort("127.0.0.3:0"))
	if err != nil {
		t.Fatal(err)
	}
	local := network.AddrPort(conn.LocalAddr())
	if err := a.AddUDP(conn); err != nil {
		t.Fatal(err)
	}
	if err := b.Send(siptransport.Flow{Transport: siptransport.UDP, Local: b.udp, Remote: local}, []byte("hello"), nil); err != nil {
		t.Fatal(err)
	}
	if flow := a.message(t, "hello"); flow.Local != local {
		t.Errorf("came on %v, want %v", flow, local)
	}
	if err := a.end(); err != nil {
		t.Fatal(err)
	}
	late, err := network.System{}.ListenUDP(t.Context(), netip.MustParseAddrPort("127.0.0.3:0"))
	if err != nil {
		t.Fatal(err)
	}
	if err := a.AddUDP(late); !errors.Is(err, siptransport.ErrStopped) {
		t.Errorf("add after run: %v", err)
	}
	if err := late.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a socket that was refused is not closed: %v", err)
	}
	if err := a.Send(siptransport.Flow{Transport: siptransport.TCP, Remote: b.tcp}, []byte("x"), nil); !errors.Is(err, siptransport.ErrStopped) {
		t.Errorf("dial after run: %v", err)
	}
}

func TestSendBeforeRunWaits(t *testing.T) {
	t.Parallel()
	_, b := loopback(t)
	e := siptransport.New(siptransport.Options{Receiver: newEar()})
	if err := e.Send(siptransport.Flow{Transport: siptransport.TCP, Remote: b.tcp}, []byte(message("early")), nil); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	b.message(t, message("early"))
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string]siptransport.Options{
		"no receiver":   {},
		"too large":     {Receiver: newEar(), MaxBody: 1 << 20},
		"negative":      {Receiver: newEar(), MaxUnkept: -1},
		"negative time": {Receiver: newEar(), PerMessage: -1},
	} {
		if err := siptransport.New(opts).Run(t.Context()); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// echo answers each datagram on its flow.
type echo struct{ e *siptransport.Endpoint }

func (r *echo) Receive(in *siptransport.Inbound) {
	_ = r.e.Send(in.Flow, in.Data, nil) // the benchmark misses what is lost
	in.Release()
}
func (*echo) FlowClosed(siptransport.Flow, error)       {}
func (*echo) Refused(siptransport.Flow, []byte, string) {}

func BenchmarkUDPEcho(b *testing.B) {
	r := &echo{}
	r.e = siptransport.New(siptransport.Options{Receiver: r})
	server, err := network.System{}.ListenUDP(b.Context(), netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		b.Fatal(err)
	}
	if err := r.e.AddUDP(server); err != nil {
		b.Fatal(err)
	}
	client, err := network.System{}.ListenUDP(b.Context(), netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.e.Run(ctx) }()
	to := network.AddrPort(server.LocalAddr())
	msg, buf := bytes.Repeat([]byte("m"), 800), make([]byte, 2000)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := client.WriteToUDPAddrPort(msg, to); err != nil {
			b.Fatal(err)
		}
		if _, _, err := client.ReadFromUDPAddrPort(buf); err != nil {
			b.Fatal(err)
		}
	}
	cancel()
	if err := errors.Join(<-ended, client.Close()); err != nil {
		b.Fatal(err)
	}
}
