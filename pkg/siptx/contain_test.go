package siptx

import (
	"strings"
	"testing"
	"time"

	"github.com/mss-federation/mss/pkg/siptransport"
)

// fragile is a user whose methods panic on demand.
type fragile struct{ *user }

func (f *fragile) OnResponse(*ClientTx, *Response) { panic("response") }
func (f *fragile) OnTimer(int)                     { panic("timer") }
func (f *fragile) Panicked(v any)                  { f.note("fragile %v", v) }

func (u *user) Panicked(callID string, _ []byte, v any) { u.note("panicked %q %v", callID, v) }

func TestPanicEndsOneRequest(t *testing.T) {
	t.Parallel()
	bubble(t, Options{}, func(r *rig) {
		r.users[0].onRequest = func(_ *ServerTx, req *Request) {
			if req.Head.CSeq == 1 {
				panic("request")
			}
		}
		r.receive(udpFlow(), request("INVITE", branchA, "", 1))
		r.receive(udpFlow(), request("INVITE", branchA, "", 1))
		r.receive(udpFlow(), request("OPTIONS", branchA, "", 2))
		expect(t, "sent", r.starts(), "SIP/2.0 500 Server Internal Error", "SIP/2.0 500 Server Internal Error")
		expect(t, "told", r.told(), "request INVITE", `panicked "call@example.org" request`, "request OPTIONS")
		if n := r.stack.Stats().Workers[0].Panics; n != 1 {
			t.Errorf("%d panics counted", n)
		}
		sleep(40 * time.Second)
		r.empty()
	})
}

func TestPanicEndsOneResponseTimerOrPost(t *testing.T) {
	t.Parallel()
	bubble(t, Options{}, func(r *rig) {
		f := &fragile{user: r.users[0]}
		var msg []byte
		r.on(0, func(w *Worker) {
			branch := w.NewBranch()
			msg = outgoing("OPTIONS", branch)
			w.SendRequest(udpFlow(), "OPTIONS", branch, msg, f)
			w.AfterUser(time.Second, f, 0)
		})
		r.receive(udpFlow(), response(msg, 200, "b"))
		expect(t, "told", r.told(), "fragile response", `panicked "out@example.org" response`)
		if n := len(r.stack.Worker(0).clients); n != 0 {
			t.Errorf("%d client transactions left", n)
		}
		r.on(0, func(*Worker) { panic("post") })
		expect(t, "told", r.told(), `panicked "" post`)
		sleep(time.Second)
		expect(t, "told", r.told(), "fragile timer", `panicked "" timer`)
		r.starts()
		sleep(40 * time.Second)
		expect(t, "sent", r.starts())
		r.empty()
	})
}

// rotten is a Sender that panics.
type rotten struct{}

func (rotten) Send(siptransport.Flow, []byte, func(error)) error { panic("send") }

func TestReadersSurvive(t *testing.T) {
	t.Parallel()
	stack, err := New(Options{Workers: 1, Queue: 4, Sender: rotten{}, NewHandler: func(*Worker) Handler { return &user{} }})
	if err != nil {
		t.Fatal(err)
	}
	for range 5 { // nobody runs: three wait, then each is refused
		stack.Receive(inbound(udpFlow(), request("OPTIONS", branchA, "", 1)))
	}
	stack.Refused(udpFlow(), []byte(request("OPTIONS", branchA, "", 1)+"x: y\n"), "why not")
	stack.Refused(udpFlow(), []byte(strings.Replace(request("OPTIONS", branchA, "", 1), "Content-Length: 0", "l: x", 1)), "why not")
	if got := stack.Stats().Panics; got != 4 {
		t.Errorf("%d panics counted, want 4", got)
	}
}
