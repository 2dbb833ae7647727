package forwarder_test

import (
	"bytes"
	"context"
	"net/netip"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/nodelink"
	"github.com/mss-federation/mss/pkg/siptransport"
	"github.com/mss-federation/mss/pkg/siptx"
	"github.com/mss-federation/mss/tmss/cookie"
	"github.com/mss-federation/mss/tmss/forwarder"
)

type oneRoute []forwarder.Hop

func (r oneRoute) Lookup(federation.Number) []forwarder.Hop { return r }

// ends plays both ends of calls: what the hub sends is answered at once, on the hub's own goroutine.
type ends struct {
	b     *testing.B
	stack *siptx.Stack
	done  chan struct{}
	out   []byte
	in    []byte
}

var (
	fromA = siptransport.Flow{Transport: siptransport.UDP, Local: addrOf("a"), Remote: addrOf("A")}
	fromB = siptransport.Flow{Transport: siptransport.UDP, Local: addrOf("a"), Remote: addrOf("B")}
)

const benchSDP = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n" +
	"m=audio 16384 RTP/AVP 8 0 101\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=sendrecv\r\n"

func (e *ends) receive(flow siptransport.Flow, msg []byte) {
	e.stack.Receive(&siptransport.Inbound{Flow: flow, Data: bytes.Clone(msg)})
}

// invite starts call n.
func (e *ends) invite(n int) {
	e.in = append(e.in[:0], "INVITE sip:1001@example.org SIP/2.0\r\n"...)
	e.in = e.dialog(e.in, "INVITE", "", n)
	e.in = append(e.in, "User-Agent: site\r\nAllow: INVITE, ACK, BYE, CANCEL, OPTIONS\r\nSupported: timer, replaces\r\n"+
		"P-Asserted-Identity: <sip:4001@example.org>\r\nSession-ID: ab30317f1a784dc48ff824d0d3715d86;remote=00000000000000000000000000000000\r\n"+
		"Content-Type: application/sdp\r\nContent-Length: "...)
	e.in = strconv.AppendInt(e.in, int64(len(benchSDP)), 10)
	e.in = append(append(e.in, "\r\n\r\n"...), benchSDP...)
	e.receive(fromA, e.in)
}

func (e *ends) dialog(dst []byte, method, tag string, n int) []byte {
	dst = append(dst, "Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK"...)
	dst = append(dst, method...)
	dst = strconv.AppendInt(dst, int64(n), 10)
	dst = append(dst, "\r\nFrom: <sip:4001@example.org>;tag=f"...)
	dst = strconv.AppendInt(dst, int64(n), 10)
	dst = append(dst, "\r\nTo: <sip:1001@example.org>"...)
	dst = append(dst, tag...)
	dst = append(dst, "\r\nCall-ID: "...)
	dst = strconv.AppendInt(dst, int64(n), 10)
	dst = append(dst, "@192.0.2.1\r\nCSeq: 1 "...)
	dst = append(dst, method...)
	return append(dst, "\r\nMax-Forwards: 70\r\nContact: <sip:4001@192.0.2.1:5060>\r\n"...)
}

// Send is the wire.
func (e *ends) Send(flow siptransport.Flow, msg []byte, _ func(error)) error {
	switch toB := flow.Remote == fromB.Remote; {
	case toB && bytes.HasPrefix(msg, []byte("INVITE")):
		e.respond(msg, "180 Ringing", "")
		e.respond(msg, "200 OK", benchSDP)
	case toB && bytes.HasPrefix(msg, []byte("BYE")):
		e.respond(msg, "200 OK", "")
	case !toB && bytes.HasPrefix(msg, []byte("SIP/2.0 200")):
		if bytes.Contains(msg, []byte("1 BYE\r\n")) {
			e.done <- struct{}{}
			return nil
		}
		e.follow(msg)
	}
	return nil
}

// respond answers with the request's own lines.
func (e *ends) respond(req []byte, status, body string) {
	e.out = append(append(append(e.out[:0], "SIP/2.0 "...), status...), "\r\n"...)
	_, rest, _ := bytes.Cut(req, []byte("\r\n"))
	for {
		line, after, _ := bytes.Cut(rest, []byte("\r\n"))
		rest = after
		if len(line) == 0 {
			break
		}
		switch line[0] {
		case 'V', 'R', 'F', 'T':
			e.out = append(e.out, line...)
			if line[0] == 'T' && !bytes.Contains(line, []byte(";tag")) {
				e.out = append(e.out, ";tag=b"...)
			}
			e.out = append(e.out, "\r\n"...)
		case 'C':
			if line[1] == 'a' || line[1] == 'S' {
				e.out = append(append(e.out, line...), "\r\n"...)
			}
		}
	}
	e.out = append(e.out, "Contact: <sip:1001@192.0.2.2:5060>\r\nContent-Length: "...)
	e.out = strconv.AppendInt(e.out, int64(len(body)), 10)
	e.out = append(append(e.out, "\r\n\r\n"...), body...)
	e.receive(fromB, e.out)
}

// follow acknowledges a 200 and hangs up.
func (e *ends) follow(res []byte) {
	_, rest, _ := bytes.Cut(res, []byte("Record-Route: "))
	route, _, _ := bytes.Cut(rest, []byte("\r\n"))
	_, rest, _ = bytes.Cut(res, []byte("Call-ID: "))
	id, _, _ := bytes.Cut(rest, []byte("@"))
	n, err := strconv.Atoi(string(id))
	if err != nil {
		e.b.Error(err)
	}
	for _, method := range []string{"ACK", "BYE"} {
		e.out = append(append(e.out[:0], method...), " sip:1001@192.0.2.2:5060 SIP/2.0\r\nRoute: "...)
		e.out = append(append(e.out, route...), "\r\n"...)
		e.out = e.dialog(e.out, method, ";tag=b", n)
		e.out = append(e.out, "Content-Length: 0\r\n\r\n"...)
		e.receive(fromA, e.out)
	}
}

// cpu is what the process has used; on a busy machine the clock says little.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var r unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// BenchmarkCall is one whole call through a hub: INVITE, 180, 200, ACK, BYE, 200, each in and out. It counts the two
// ends too, which write six messages. Run it with -benchtime 30000x: transactions stay for 32 s.
func BenchmarkCall(b *testing.B) {
	e := &ends{b: b, done: make(chan struct{}, 1)}
	links := nodelink.New(nodelink.Options{})
	links.SetStatics([]nodelink.Static{{Node: "site/a", Flow: fromA}, {Node: "site/b", Flow: fromB}})
	keys := new(cookie.Keyring)
	keys.Set([]cookie.Key{{ID: 1, Made: time.Now()}})
	f, err := forwarder.New(forwarder.Options{
		Self: "hub/a", Routes: oneRoute{{Node: "site/b", Rule: "1"}}, Links: links, Keys: keys,
		SentBy: func(flow siptransport.Flow) netip.AddrPort { return flow.Local },
	})
	if err != nil {
		b.Fatal(err)
	}
	e.stack, err = siptx.New(siptx.Options{Workers: 1, Unparsed: true, Sender: e, NewHandler: f.Handler})
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- e.stack.Run(ctx) }()
	b.ReportAllocs()
	n, before := 0, cpu(b)
	for b.Loop() {
		n++
		e.invite(n)
		<-e.done
	}
	b.ReportMetric(float64((cpu(b)-before).Microseconds())/float64(n), "cpu-µs/op")
	stop()
	if err := <-ended; err != nil {
		b.Error(err)
	}
	if got := f.Stats(); got.Requests != uint64(3*n) || got.Responses != uint64(3*n) || got.Refused != 0 {
		b.Errorf("%d calls: %+v", n, got)
	}
}
