package siptx

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/mss-federation/mss/pkg/network"
	"github.com/mss-federation/mss/pkg/siptransport"
)

// node is a stack on real sockets of 127.0.0.1.
type node struct {
	stack    *Stack
	endpoint *siptransport.Endpoint
	udp, tcp netip.AddrPort
}

// Send lets the stack be made before the endpoint that receives for it.
func (n *node) Send(flow siptransport.Flow, msg []byte, failed func(error)) error {
	return n.endpoint.Send(flow, msg, failed)
}

func newNode(t *testing.T, handler func(*Worker) Handler) *node {
	t.Helper()
	n := &node{}
	var err error
	if n.stack, err = New(Options{Workers: 2, Sender: n, NewHandler: handler}); err != nil {
		t.Fatal(err)
	}
	n.endpoint = siptransport.New(siptransport.Options{Receiver: n.stack})
	any4 := netip.MustParseAddrPort("127.0.0.1:0")
	socket, err := network.System{}.ListenUDP(t.Context(), any4)
	if err != nil {
		t.Fatal(err)
	}
	n.udp = network.AddrPort(socket.LocalAddr())
	if err := n.endpoint.AddUDP(socket); err != nil {
		t.Fatal(err)
	}
	listener, err := network.System{}.ListenTCP(t.Context(), any4)
	if err != nil {
		t.Fatal(err)
	}
	n.tcp = network.AddrPort(listener.Addr())
	if err := n.endpoint.AddListener(siptransport.TCP, listener); err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	for _, run := range []func(context.Context) error{n.stack.Run, n.endpoint.Run} {
		running.Go(func() {
			if err := run(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(func() { stop(); running.Wait() })
	return n
}

// outcome is a ClientUser that says how its request ended.
type outcome struct{ ended chan any }

func (o outcome) OnResponse(_ *ClientTx, res *Response) {
	if res.StatusCode >= 200 {
		o.ended <- res.StatusCode
	}
}
func (o outcome) OnTimeout(*ClientTx)                { o.ended <- "timeout" }
func (o outcome) OnSendError(_ *ClientTx, err error) { o.ended <- err }
func (o outcome) await(t *testing.T, ctx string) (end any) {
	t.Helper()
	select {
	case end = <-o.ended:
	case <-time.After(20 * time.Second):
		t.Fatalf("%s: nothing came back", ctx)
	}
	return end
}

// send sends a request from the node's worker and returns what ends it.
func (n *node) send(t *testing.T, flow siptransport.Flow, method string) outcome {
	t.Helper()
	o := outcome{make(chan any, 8)}
	w := n.stack.Worker(1)
	if err := w.Post(func() {
		branch := w.NewBranch()
		w.SendRequest(flow, method, branch, []byte(message(
			method+" sip:200@example.org SIP/2.0",
			"Via: SIP/2.0/"+flow.Transport.String()+" "+flow.Local.String()+";rport;branch="+branch.String(),
			"From: <sip:100@example.org>;tag=a", "To: <sip:200@example.org>",
			"Call-ID: "+w.NewCallID(), "CSeq: 1 "+method, "Max-Forwards: 70")), o)
	}); err != nil {
		t.Fatal(err)
	}
	return o
}

func TestOverSockets(t *testing.T) {
	t.Parallel()
	answer := func(w *Worker) Handler {
		return &user{w: w, onRequest: func(tx *ServerTx, _ *Request) {
			if tx.Method() != "MESSAGE" { // which is never answered
				reply(tx, 486)
			}
		}}
	}
	ours, theirs := newNode(t, answer), newNode(t, answer)
	udp := siptransport.Flow{Transport: siptransport.UDP, Local: ours.udp, Remote: theirs.udp}
	tcp := siptransport.Flow{Transport: siptransport.TCP, Local: ours.tcp, Remote: theirs.tcp}
	for _, flow := range []siptransport.Flow{udp, tcp} {
		for _, method := range []string{"INVITE", "OPTIONS"} {
			if end := ours.send(t, flow, method).await(t, method); end != 486 {
				t.Errorf("%s over %s ended with %v", method, flow.Transport, end)
			}
		}
	}
	waiting := ours.send(t, tcp, "MESSAGE")
	if end := ours.send(t, tcp, "OPTIONS").await(t, "behind MESSAGE"); end != 486 {
		t.Errorf("OPTIONS behind MESSAGE ended with %v", end)
	}
	for _, info := range theirs.endpoint.Flows() {
		theirs.endpoint.Close(info.Flow)
	}
	if err, ok := waiting.await(t, "MESSAGE").(error); !ok || !errors.Is(err, ErrFlowClosed) {
		t.Errorf("after the connection closed MESSAGE ended with %v", err)
	}
	nobody := tcp
	nobody.Remote = netip.MustParseAddrPort("127.0.0.1:1")
	if _, ok := ours.send(t, nobody, "INVITE").await(t, "to nobody").(error); !ok {
		t.Error("INVITE to a closed port ended without an error")
	}
}
