package signal

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"testing"

	"github.com/mss-federation/mss/lmss/call"
	"github.com/mss-federation/mss/lmss/cdr"
	"github.com/mss-federation/mss/lmss/user"
	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/media"
	"github.com/mss-federation/mss/pkg/sipgate"
	"github.com/mss-federation/mss/pkg/siptransport"
)

// atATime is how many calls BenchmarkCall has: so few that none is refused as late when the machine is busy.
const atATime = 16

// BenchmarkCall is one whole call through the site: INVITE, 180, 200, ACK and BYE on both legs, with a few calls
// at a time. There is no socket and no disk; what the two phones write, in the site's own goroutine, is measured with
// it, and BenchmarkPhones is that alone.
func BenchmarkCall(b *testing.B) {
	line := newLoopLine()
	s := benchSite(b, line)
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = s.stack.Run(ctx) })
	running.Go(func() { _ = s.endpoint.Run(ctx) })
	b.ReportAllocs()
	started := 0
	for b.Loop() {
		if started >= atATime {
			<-line.done
		}
		started++
		line.dial(started)
	}
	for range min(started, atATime) {
		<-line.done
	}
	b.StopTimer()
	stop()
	running.Wait()
	if got := s.terminate.classes()[federation.Completed]; got != uint64(started) {
		b.Fatalf("%d calls completed of %d", got, started)
	}
}

// BenchmarkPhones is what the phones of BenchmarkCall cost.
func BenchmarkPhones(b *testing.B) {
	line := newLoopLine()
	invite, answer, bye := line.write("INVITE", 1, sdpA)[1:], line.reply200(), line.write("BYE", 1, "")[1:]
	b.ReportAllocs()
	for b.Loop() {
		line.react(invite)
		line.react(answer)
		line.react(bye)
		for len(line.in) > 0 {
			if _, _, err := line.ReadFromUDPAddrPort(line.read[:]); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func benchSite(tb testing.TB, line *loopLine) *site {
	tb.Helper()
	var users []user.User
	for i := range 2 {
		addr := netip.AddrFrom4([4]byte{192, 0, 2, byte(1 + i)})
		users = append(users, user.User{
			Name: federation.User(fmt.Sprint(4001 + i)), Addresses: []netip.Prefix{netip.PrefixFrom(addr, 32)},
			Target: user.Target{Transport: siptransport.UDP, Address: netip.AddrPortFrom(addr, 5060)},
		})
	}
	directory, err := user.NewDirectory(users...)
	if err != nil {
		tb.Fatal(err)
	}
	s, err := assemble(parts{
		call: call.Config{Domain: "example.org", Anchor: true}, realm: "example.org", users: directory, workers: 1,
		logger: slog.New(slog.DiscardHandler), media: &promptVoice{}, store: promptStore{}, notes: promptStore{},
		voice: func(a, _ netip.Addr) (netip.Addr, netip.Addr) { return a, a },
	})
	if err != nil {
		tb.Fatal(err)
	}
	if err := s.endpoint.AddUDP(line); err != nil {
		tb.Fatal(err)
	}
	return s
}

// loopLine is a socket whose far end is two phones that answer at once, in the goroutine that sends.
type loopLine struct {
	in     chan []byte
	closed chan struct{}
	once   sync.Once
	done   chan struct{}
	head   sipgate.Head
	spare  sync.Pool
	read   [2048]byte
}

func newLoopLine() *loopLine {
	l := &loopLine{in: make(chan []byte, 1024), closed: make(chan struct{}), done: make(chan struct{}, 64)}
	l.spare.New = func() any { return new([2048]byte) }
	return l
}

func (l *loopLine) LocalAddr() net.Addr {
	return net.UDPAddrFromAddrPort(netip.MustParseAddrPort("192.0.2.100:5060"))
}

func (l *loopLine) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

var phoneA, phoneB = netip.MustParseAddrPort("192.0.2.1:5060"), netip.MustParseAddrPort("192.0.2.2:5060")

func (l *loopLine) ReadFromUDPAddrPort(buf []byte) (int, netip.AddrPort, error) {
	select {
	case msg := <-l.in:
		n := copy(buf, msg[1:])
		from := phoneA
		if msg[0] == 'B' {
			from = phoneB
		}
		l.spare.Put((*[2048]byte)(msg[:2048]))
		return n, from, nil
	case <-l.closed:
		return 0, netip.AddrPort{}, net.ErrClosed
	}
}

func (l *loopLine) WriteToUDPAddrPort(msg []byte, _ netip.AddrPort) (int, error) {
	l.react(msg)
	return len(msg), nil
}

func sdpOf(address string) string {
	return "v=0\r\no=- 1 1 IN IP4 " + address + "\r\ns=-\r\nc=IN IP4 " + address + "\r\nt=0 0\r\n" +
		"m=audio 16384 RTP/AVP 8 0 101\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\n" +
		"a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=sendrecv\r\n"
}

var sdpA, sdpB = sdpOf("192.0.2.1"), sdpOf("192.0.2.2")

// dial is A's INVITE.
func (l *loopLine) dial(n int) { l.in <- l.write("INVITE", n, sdpA) }

// write makes a request of A, marked with its sender in the first byte.
func (l *loopLine) write(method string, n int, body string) []byte {
	msg := append(l.buffer('A'), method...)
	msg = fmt.Appendf(msg, " sip:4002@example.org SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK%d;rport\r\n"+
		"Max-Forwards: 70\r\nFrom: \"Phone\" <sip:4001@example.org>;tag=a%d\r\nTo: <sip:4002@example.org>\r\n"+
		"Call-ID: call-%d@192.0.2.1\r\nCSeq: 1 %s\r\nContact: <sip:4001@192.0.2.1:5060>\r\nAllow: INVITE, ACK, BYE, CANCEL\r\n"+
		"Supported: replaces, timer\r\nUser-Agent: phone\r\n", n, n, n, method)
	return withBody(msg, body)
}

func (l *loopLine) buffer(from byte) []byte {
	buf, _ := l.spare.Get().(*[2048]byte)
	return append(buf[:0], from)
}

func withBody(msg []byte, body string) []byte {
	if body != "" {
		msg = append(msg, "Content-Type: application/sdp\r\n"...)
	}
	msg = fmt.Appendf(msg, "Content-Length: %d\r\n\r\n", len(body))
	return append(msg, body...)
}

func (l *loopLine) reply200() []byte {
	return []byte("SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1;rport\r\nFrom: <sip:4001@example.org>;tag=a1\r\n" +
		"To: <sip:4002@example.org>;tag=b\r\nCall-ID: call-1@192.0.2.1\r\nCSeq: 1 INVITE\r\nContact: <sip:192.0.2.100:5060>\r\nContent-Length: 0\r\n\r\n")
}

// react is what the phones do about a message of the site.
func (l *loopLine) react(msg []byte) {
	if sipgate.Scan(msg, &l.head) != nil {
		return
	}
	h := &l.head
	switch {
	case h.Request && h.Method == "INVITE":
		l.answer(msg, "180 Ringing", "")
		l.answer(msg, "200 OK", sdpB)
	case h.Request && h.Method == "BYE":
		l.answer(msg, "200 OK", "")
	case !h.Request && h.Method == "INVITE" && h.Status == 200:
		l.inCall(msg, "ACK", 1)
		l.inCall(msg, "BYE", 2)
	case !h.Request && h.Method == "BYE":
		select {
		case l.done <- struct{}{}:
		default: // BenchmarkPhones has nobody who waits
		}
	}
}

// answer is B's response.
func (l *loopLine) answer(msg []byte, status, body string) {
	h := &l.head
	out := append(l.buffer('B'), "SIP/2.0 "...)
	out = append(append(out, status...), "\r\n"...)
	for _, via := range h.Vias {
		out = header(out, "Via", via.Of(msg))
	}
	out = header(out, "From", h.From.Of(msg))
	out = append(append(out, "To: "...), h.To.Of(msg)...)
	if !h.ToTag.Present() {
		out = append(out, ";tag=b"...)
	}
	out = append(out, "\r\n"...)
	out = header(out, "Call-ID", h.CallID.Of(msg))
	out = header(out, "CSeq", h.CSeqValue.Of(msg))
	out = append(out, "Contact: <sip:4002@192.0.2.2:5060>\r\n"...)
	l.in <- withBody(out, body)
}

// inCall is A's request in the dialog that a 200 made.
func (l *loopLine) inCall(msg []byte, method string, seq int) {
	h := &l.head
	out := append(l.buffer('A'), method...)
	out = append(out, " sip:192.0.2.100:5060 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK"...)
	out = append(out, h.FromTag.Of(msg)...)
	out = append(out, method...)
	out = append(out, ";rport\r\nMax-Forwards: 70\r\n"...)
	out = header(out, "From", h.From.Of(msg))
	out = header(out, "To", h.To.Of(msg))
	out = header(out, "Call-ID", h.CallID.Of(msg))
	out = fmt.Appendf(out, "CSeq: %d %s\r\n", seq, method)
	l.in <- withBody(out, "")
}

func header(dst []byte, name string, value []byte) []byte {
	dst = append(append(dst, name...), ": "...)
	return append(append(dst, value...), "\r\n"...)
}

// promptVoice and promptStore do at once what they are asked for.
type promptVoice struct{ next uint64 }

func (v *promptVoice) NewID() uint64                                    { v.next++; return v.next }
func (v *promptVoice) Open(_ media.EndpointSpec, done func(int, error)) { done(30000, nil) }
func (v *promptVoice) Aim(uint64, media.Aim)                            {}
func (v *promptVoice) Join(uint64, uint64)                              {}
func (v *promptVoice) Close(_ uint64, done func(media.Report))          { done(media.Report{}) }

type promptStore struct{}

func (promptStore) SaveCall(_ string, _ []byte, _ cdr.Record, done func(error)) error {
	done(nil)
	return nil
}

func (promptStore) CloseCall(_ string, _ cdr.Record, done func(error)) error {
	done(nil)
	return nil
}
func (promptStore) Put(string, []byte) error { return nil }
func (promptStore) Drop(string) error        { return nil }
