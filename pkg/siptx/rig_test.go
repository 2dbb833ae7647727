package siptx

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mss-federation/mss/pkg/siptransport"
)

var _ Sender = (*siptransport.Endpoint)(nil)

var (
	ourAddr  = netip.MustParseAddrPort("192.0.2.1:5060")
	peerAddr = netip.MustParseAddrPort("192.0.2.9:5060")
)

func udpFlow() siptransport.Flow {
	return siptransport.Flow{Transport: siptransport.UDP, Local: ourAddr, Remote: peerAddr}
}

func tcpFlow(id siptransport.FlowID) siptransport.Flow {
	return siptransport.Flow{Transport: siptransport.TCP, Local: ourAddr, Remote: peerAddr, ID: id}
}

// sent is one message that the stack gave to its sender.
type sent struct {
	at   time.Duration // since the rig was made
	flow siptransport.Flow
	msg  string
}

func (s sent) start() string { line, _, _ := strings.Cut(s.msg, "\r\n"); return line }

// wire is a Sender that keeps what it is given.
type wire struct {
	began time.Time
	mu    struct {
		sync.Mutex
		all  []sent
		err  error
		late error // given to failed
	}
}

func (w *wire) Send(flow siptransport.Flow, msg []byte, failed func(error)) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mu.all = append(w.mu.all, sent{time.Since(w.began), flow, string(msg)})
	if late := w.mu.late; late != nil {
		go failed(late)
	}
	return w.mu.err
}

func (w *wire) fail(now, late error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mu.err, w.mu.late = now, late
}

// take returns what was sent since the last take.
func (w *wire) take() []sent {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := w.mu.all
	w.mu.all = nil
	return all
}

// user is a Handler and ClientUser that writes down what it is told.
type user struct {
	w         *Worker
	log       []string
	onRequest func(*ServerTx, *Request)
	onCancel  func(*ServerTx, *Request)
	onAck     func(*Request)
	onFinal   func(*ClientTx, *Response)
	tx        *ServerTx // of the last request
}

func (u *user) note(format string, args ...any) { u.log = append(u.log, fmt.Sprintf(format, args...)) }

func (u *user) Request(tx *ServerTx, req *Request) {
	u.note("request %s", req.Method)
	u.tx = tx
	if u.onRequest != nil {
		u.onRequest(tx, req)
	}
}

func (u *user) Cancel(tx *ServerTx, req *Request) {
	u.note("cancel")
	if u.onCancel != nil {
		u.onCancel(tx, req)
	}
}

func (u *user) Ack(req *Request) {
	u.note("ack %d", req.Head.CSeq)
	if u.onAck != nil {
		u.onAck(req)
	}
}

func (u *user) Stray(res *Response) { u.note("stray %d", res.StatusCode) }

func (u *user) FlowClosed(siptransport.Flow, error) { u.note("closed") }

func (u *user) OnResponse(tx *ClientTx, res *Response) {
	u.note("response %d", res.StatusCode)
	if u.onFinal != nil && res.StatusCode >= 200 {
		u.onFinal(tx, res)
	}
}

func (u *user) OnTimeout(*ClientTx) { u.note("timeout") }

func (u *user) OnSendError(_ *ClientTx, err error) { u.note("error %v", err) }

// rig is a running stack in a synctest bubble.
type rig struct {
	t     *testing.T
	stack *Stack
	wire  *wire
	users []*user
}

// bubble runs test with a stack of the options in a bubble, and stops it at the end.
func bubble(t *testing.T, o Options, test func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, o)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- r.stack.Run(ctx) }()
		test(r)
		stop()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

func newRig(t *testing.T, o Options) *rig {
	t.Helper()
	r := &rig{t: t, wire: &wire{began: time.Now()}}
	o.Sender = r.wire
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.NewHandler = func(w *Worker) Handler {
		u := &user{w: w}
		r.users = append(r.users, u)
		return u
	}
	if o.Workers == 0 {
		o.Workers = 1
	}
	stack, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	r.stack = stack
	return r
}

// receive gives the stack a message and waits until it was handled.
func (r *rig) receive(flow siptransport.Flow, msg string) {
	r.stack.Receive(inbound(flow, msg))
	synctest.Wait()
}

func inbound(flow siptransport.Flow, msg string) *siptransport.Inbound {
	return &siptransport.Inbound{Flow: flow, Data: []byte(msg)}
}

// on runs fn on the worker and waits for it.
func (r *rig) on(worker int, fn func(w *Worker)) {
	r.t.Helper()
	w := r.stack.Worker(worker)
	if err := w.Post(func() { fn(w) }); err != nil {
		r.t.Fatal(err)
	}
	synctest.Wait()
}

// starts are the start lines of what was sent since the last look.
func (r *rig) starts() []string {
	var lines []string
	for _, s := range r.wire.take() {
		lines = append(lines, s.start())
	}
	return lines
}

// told is what user 0 wrote down since the last look.
func (r *rig) told() (log []string) {
	r.t.Helper()
	r.on(0, func(*Worker) { log, r.users[0].log = r.users[0].log, nil })
	return log
}

// empty fails the test when a table still has a transaction.
func (r *rig) empty() {
	r.t.Helper()
	synctest.Wait()
	for i := range r.stack.Workers() {
		w := r.stack.Worker(i)
		if len(w.servers) != 0 || len(w.clients) != 0 || len(w.flows) != 0 || w.wheel.count != 0 {
			r.t.Errorf("worker %d keeps %d server and %d client transactions, %d flows, %d timers",
				i, len(w.servers), len(w.clients), len(w.flows), w.wheel.count)
		}
	}
}

// sleep lets the bubble's time pass and the workers do what was due.
func sleep(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// reply answers with a whole response.
func reply(tx *ServerTx, status int) {
	tx.Send(status, append(tx.AppendResponse(nil, status, "", ""), "Content-Length: 0\r\n\r\n"...))
}

// message writes lines with CRLF and ends the header section.
func message(lines ...string) string {
	return strings.Join(lines, "\r\n") + "\r\nContent-Length: 0\r\n\r\n"
}

// request is one of the peer's, with the branch.
func request(method, branch, toTag string, cseq int, extra ...string) string {
	if toTag != "" {
		toTag = ";tag=" + toTag
	}
	of := method
	return message(append([]string{
		method + " sip:100@192.0.2.1 SIP/2.0",
		"Via: SIP/2.0/UDP 192.0.2.9:5060;branch=" + branch + ";rport",
		"From: <sip:200@example.org>;tag=from",
		"To: <sip:100@example.org>" + toTag,
		"Call-ID: call@example.org",
		fmt.Sprintf("CSeq: %d %s", cseq, of),
		"Max-Forwards: 70",
	}, extra...)...)
}

// outgoing is a request of ours with the branch.
func outgoing(method string, branch Branch) []byte {
	return []byte(message(
		method+" sip:200@192.0.2.9 SIP/2.0",
		"Via: SIP/2.0/UDP 192.0.2.1:5060;branch="+branch.String(),
		"Route: <sip:192.0.2.9;lr>",
		"From: <sip:100@example.org>;tag=ours",
		"To: <sip:200@example.org>",
		"Call-ID: out@example.org",
		"CSeq: 7 "+method,
		"Contact: <sip:100@192.0.2.1>",
		"Max-Forwards: 69",
	))
}

// response is the peer's to a request of ours.
func response(req []byte, status int, toTag string) string {
	var out bytes.Buffer
	fmt.Fprintf(&out, "SIP/2.0 %d %s\r\n", status, Reason(status))
	for line := range strings.SplitSeq(string(req), "\r\n") {
		name, _, _ := strings.Cut(line, ":")
		switch name {
		case "Via", "From", "Call-ID", "CSeq":
			out.WriteString(line + "\r\n")
		case "To":
			out.WriteString(line)
			if toTag != "" {
				out.WriteString(";tag=" + toTag)
			}
			out.WriteString("\r\n")
		}
	}
	out.WriteString("Content-Length: 0\r\n\r\n")
	return out.String()
}
