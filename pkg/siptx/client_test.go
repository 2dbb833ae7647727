package siptx

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/mss-federation/mss/pkg/siptransport"
)

// invite sends a request of ours from worker 0 and returns it.
func (r *rig) start(flow siptransport.Flow, method string) (tx *ClientTx, msg []byte) {
	r.on(0, func(w *Worker) {
		branch := w.NewBranch()
		msg = outgoing(method, branch)
		tx = w.SendRequest(flow, method, branch, msg, r.users[0])
	})
	return tx, msg
}

func TestInviteTimesOut(t *testing.T) {
	t.Parallel()
	bubble(t, Options{}, func(r *rig) {
		r.start(udpFlow(), "INVITE")
		sleep(34 * time.Second)
		expect(t, "told", r.told(), "timeout")
		var at []time.Duration
		for _, s := range r.wire.take() {
			at = append(at, s.at)
		}
		want := []int64{0, 500, 1500, 3500, 7500, 15500, 31500}
		if len(at) != len(want) {
			t.Fatalf("sent at %v", at)
		}
		for i := range want {
			if at[i].Milliseconds() != want[i] {
				t.Errorf("timer A: sent at %v, want %v ms", at, want)
			}
		}
		r.empty()
	})
}

func TestPlainTimesOut(t *testing.T) {
	t.Parallel()
	bubble(t, Options{}, func(r *rig) {
		r.start(udpFlow(), "BYE")
		sleep(34 * time.Second)
		expect(t, "told", r.told(), "timeout")
		if n := len(r.starts()); n != 11 {
			t.Errorf("sent %d times, want 11", n)
		}
		r.start(tcpFlow(1), "BYE")
		sleep(34 * time.Second)
		expect(t, "told", r.told(), "timeout")
		if n := len(r.starts()); n != 1 {
			t.Errorf("sent %d times over TCP, want 1", n)
		}
		r.empty()
	})
}

func TestInviteSucceeds(t *testing.T) {
	t.Parallel()
	bubble(t, Options{}, func(r *rig) {
		_, msg := r.start(udpFlow(), "INVITE")
		for _, status := range []int{100, 180, 183, 200, 200} {
			r.receive(udpFlow(), response(msg, status, "b"))
		}
		r.receive(udpFlow(), response(msg, 200, "fork"))
		r.receive(udpFlow(), response(msg, 486, "late"))
		expect(t, "told", r.told(), "response 100", "response 180", "response 183",
			"response 200", "response 200", "response 200")
		expect(t, "sent", r.starts(), "INVITE sip:200@192.0.2.9 SIP/2.0")
		sleep(34 * time.Second)
		r.empty()
		r.receive(udpFlow(), response(msg, 200, "b"))
		expect(t, "told", r.told(), "stray 200")
	})
}

func TestInviteFails(t *testing.T) {
	t.Parallel()
	bubble(t, Options{}, func(r *rig) {
		_, msg := r.start(udpFlow(), "INVITE")
		r.receive(udpFlow(), response(msg, 486, "b"))
		r.receive(udpFlow(), response(msg, 486, "b"))
		expect(t, "told", r.told(), "response 486")
		out := r.wire.take()
		if len(out) != 3 || out[1].msg != out[2].msg {
			t.Fatalf("sent %v", out)
		}
		want := "ACK sip:200@192.0.2.9 SIP/2.0\r\n" +
			"Via: " + header(string(msg), "Via") + "\r\n" +
			"Route: <sip:192.0.2.9;lr>\r\n" +
			"From: <sip:100@example.org>;tag=ours\r\n" +
			"To: <sip:200@example.org>;tag=b\r\n" +
			"Call-ID: out@example.org\r\n" +
			"CSeq: 7 ACK\r\n" +
			"Max-Forwards: 69\r\n" +
			"Content-Length: 0\r\n\r\n"
		if out[1].msg != want {
			t.Errorf("ACK is\n%s\nwant\n%s", out[1].msg, want)
		}
		sleep(34 * time.Second)
		r.empty()
	})
}

func TestCancelWaitsForProvisional(t *testing.T) {
	t.Parallel()
	bubble(t, Options{}, func(r *rig) {
		tx, msg := r.start(udpFlow(), "INVITE")
		r.on(0, func(*Worker) { tx.Cancel([]byte("Reason: SIP;cause=200\r\n")); tx.Cancel(nil) })
		expect(t, "sent", r.starts(), "INVITE sip:200@192.0.2.9 SIP/2.0")
		r.receive(udpFlow(), response(msg, 180, "b"))
		out := r.wire.take()
		if len(out) != 1 || out[0].start() != "CANCEL sip:200@192.0.2.9 SIP/2.0" {
			t.Fatalf("sent %v", out)
		}
		cancel := out[0].msg
		for name, want := range map[string]string{
			"Via": header(string(msg), "Via"), "To": header(string(msg), "To"), "CSeq": "7 CANCEL",
			"Reason": "SIP;cause=200", "Route": "<sip:192.0.2.9;lr>", "Contact": "",
		} {
			if got := header(cancel, name); got != want {
				t.Errorf("CANCEL has %s %q, want %q", name, got, want)
			}
		}
		sleep(500 * time.Millisecond)
		expect(t, "CANCEL repeated", r.starts(), "CANCEL sip:200@192.0.2.9 SIP/2.0")
		r.receive(udpFlow(), response([]byte(cancel), 200, "b"))
		r.receive(udpFlow(), response(msg, 487, "b"))
		expect(t, "sent", r.starts(), "ACK sip:200@192.0.2.9 SIP/2.0")
		expect(t, "told", r.told(), "response 180", "response 487")
		sleep(40 * time.Second)
		r.empty()
	})
}

func TestCancelWithoutFinal(t *testing.T) {
	t.Parallel()
	bubble(t, Options{}, func(r *rig) {
		tx, msg := r.start(udpFlow(), "INVITE")
		r.receive(udpFlow(), response(msg, 180, "b"))
		sleep(100 * time.Second)
		r.on(0, func(*Worker) { tx.Cancel(nil) })
		sleep(31 * time.Second)
		expect(t, "told", r.told(), "response 180")
		sleep(3 * time.Second)
		expect(t, "told", r.told(), "timeout")
		sleep(1 * time.Second)
		r.empty()
	})
}

func TestTimerC(t *testing.T) {
	t.Parallel()
	bubble(t, Options{}, func(r *rig) {
		_, msg := r.start(tcpFlow(1), "INVITE")
		r.receive(tcpFlow(1), response(msg, 180, "b"))
		sleep(170 * time.Second)
		r.receive(tcpFlow(1), response(msg, 180, "b")) // restarts it
		sleep(170 * time.Second)
		r.receive(tcpFlow(1), response(msg, 100, "")) // does not
		expect(t, "told", r.told(), "response 180", "response 180", "response 100")
		sleep(12 * time.Second)
		expect(t, "told", r.told(), "timeout")
		expect(t, "sent", r.starts(), "INVITE sip:200@192.0.2.9 SIP/2.0", "CANCEL sip:200@192.0.2.9 SIP/2.0")
		r.receive(tcpFlow(1), response(msg, 487, "b"))
		expect(t, "sent", r.starts(), "ACK sip:200@192.0.2.9 SIP/2.0")
		expect(t, "told", r.told())
		sleep(40 * time.Second)
		r.empty()
	})
}

func TestSetTimeout(t *testing.T) {
	t.Parallel()
	bubble(t, Options{}, func(r *rig) {
		tx, msg := r.start(udpFlow(), "INVITE")
		r.on(0, func(*Worker) { tx.SetTimeout(1500 * time.Millisecond) })
		sleep(1500 * time.Millisecond)
		expect(t, "told", r.told(), "timeout")
		r.starts()
		sleep(5 * time.Second)
		expect(t, "no repetition", r.starts())
		r.receive(udpFlow(), response(msg, 180, "b"))
		expect(t, "late provisional", r.starts(), "CANCEL sip:200@192.0.2.9 SIP/2.0")
		r.receive(udpFlow(), response(msg, 200, "b"))
		expect(t, "late 2xx", r.told(), "stray 200")
		sleep(40 * time.Second)
		r.empty()
	})
}

func TestSetTimeoutEndsWithTrying(t *testing.T) {
	t.Parallel()
	bubble(t, Options{}, func(r *rig) {
		tx, msg := r.start(udpFlow(), "INVITE")
		r.on(0, func(*Worker) { tx.SetTimeout(1500 * time.Millisecond) })
		r.receive(udpFlow(), response(msg, 100, ""))
		sleep(10 * time.Second)
		expect(t, "told", r.told(), "response 100")
		if !tx.Pending() {
			t.Error("the INVITE ended")
		}
	})
}

func TestSendErrors(t *testing.T) {
	t.Parallel()
	gone := errors.New("network is unreachable")
	for name, c := range map[string]struct {
		flow      siptransport.Flow
		now, late error
	}{"udp": {udpFlow(), gone, nil}, "tcp": {tcpFlow(0), nil, gone}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, Options{}, func(r *rig) {
				r.wire.fail(c.now, c.late)
				r.on(0, func(w *Worker) {
					branch := w.NewBranch()
					w.SendRequest(c.flow, "INVITE", branch, outgoing("INVITE", branch), r.users[0])
					r.users[0].note("sent")
				})
				expect(t, "told", r.told(), "sent", "error send INVITE: network is unreachable")
				r.empty()
			})
		})
	}
}

func TestFlowClosedEndsRequests(t *testing.T) {
	t.Parallel()
	bubble(t, Options{}, func(r *rig) {
		r.start(tcpFlow(1), "INVITE")
		r.start(tcpFlow(2), "INVITE")
		_, byConnection := r.start(tcpFlow(1), "BYE")
		r.receive(tcpFlow(1), response(byConnection, 200, "b"))
		r.told()
		r.stack.FlowClosed(tcpFlow(1), errors.New("reset"))
		sleep(0)
		got := r.told()
		if len(got) != 2 || !strings.HasPrefix(got[0], "error send INVITE: "+ErrFlowClosed.Error()) || got[1] != "closed" {
			t.Errorf("told %q", got)
		}
		sleep(40 * time.Second)
		expect(t, "the other connection's", r.told(), "timeout")
		r.empty()
	})
}
