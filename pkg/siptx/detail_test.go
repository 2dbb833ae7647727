package siptx

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// The caller's buffer may be used again after Send: what is repeated is a copy.
func TestSendKeepsACopy(t *testing.T) {
	t.Parallel()
	bubble(t, Options{}, func(r *rig) {
		r.users[0].onRequest = func(tx *ServerTx, _ *Request) {
			msg := append(tx.AppendResponse(nil, 183, "", ""), noBody...)
			tx.Send(183, msg)
			clear(msg)
		}
		r.receive(udpFlow(), request("INVITE", branchA, "", 1))
		r.receive(udpFlow(), request("INVITE", branchA, "", 1))
		expect(t, "sent", r.starts(), "SIP/2.0 183 Session Progress", "SIP/2.0 183 Session Progress")
		r.on(0, func(*Worker) { reply(r.users[0].tx, 486) })
		r.receive(udpFlow(), request("ACK", branchA, "x", 1))
	})
}

func TestPlainProvisionalSlowsRepetition(t *testing.T) {
	t.Parallel()
	bubble(t, Options{}, func(r *rig) {
		_, msg := r.start(udpFlow(), "REGISTER")
		r.receive(udpFlow(), response(msg, 100, ""))
		sleep(34 * time.Second)
		var at []int64
		for _, s := range r.wire.take() {
			at = append(at, s.at.Milliseconds())
		}
		// One repetition was under way; then timer E is T2.
		if want := []int64{0, 500, 4500, 8500, 12500, 16500, 20500, 24500, 28500}; !slices.Equal(at, want) {
			t.Errorf("sent at %v, want %v", at, want)
		}
		expect(t, "told", r.told(), "response 100", "timeout")
	})
}

func TestFailureIsAcknowledgedForTimerD(t *testing.T) {
	t.Parallel()
	bubble(t, Options{}, func(r *rig) {
		_, msg := r.start(udpFlow(), "INVITE")
		r.receive(udpFlow(), response(msg, 603, "b"))
		sleep(31 * time.Second)
		r.receive(udpFlow(), response(msg, 603, "other"))
		out := r.wire.take()
		if len(out) != 3 || header(out[2].msg, "To") != "<sip:200@example.org>;tag=b" {
			t.Fatalf("sent %v", out)
		}
		sleep(3 * time.Second)
		r.receive(udpFlow(), response(msg, 603, "b"))
		expect(t, "after timer D", r.starts())
	})
}

func TestResponseToAnotherMethodIsDropped(t *testing.T) {
	t.Parallel()
	bubble(t, Options{}, func(r *rig) {
		_, msg := r.start(udpFlow(), "BYE")
		r.receive(udpFlow(), strings.Replace(response(msg, 200, "b"), "7 BYE", "7 OPTIONS", 1))
		expect(t, "told", r.told())
		r.receive(udpFlow(), response(msg, 200, "b"))
		expect(t, "told", r.told(), "response 200")
	})
}

func TestCancelAfterFinal(t *testing.T) {
	t.Parallel()
	bubble(t, Options{}, func(r *rig) {
		r.users[0].onRequest = func(tx *ServerTx, _ *Request) { reply(tx, 200) }
		r.users[0].onAck = func(*Request) { r.users[0].tx.Acked() }
		r.receive(udpFlow(), request("INVITE", branchA, "", 1))
		r.receive(udpFlow(), request("CANCEL", branchA, "", 1))
		out := r.wire.take()
		if len(out) != 2 || header(out[0].msg, "To") != header(out[1].msg, "To") {
			t.Errorf("sent %v", out)
		}
		expect(t, "told", r.told(), "request INVITE")
	})
}

func TestBytesBehindTheBodyAreLeftOff(t *testing.T) {
	t.Parallel()
	bubble(t, Options{}, func(r *rig) {
		var raw, body string
		r.users[0].onRequest = func(_ *ServerTx, req *Request) { raw, body = string(req.Raw), string(req.Body()) }
		whole := request("MESSAGE", branchA, "", 1)
		r.receive(udpFlow(), whole+"junk")
		if raw != whole || body != "" {
			t.Errorf("raw is %q, body %q", raw, body)
		}
		whole = strings.Replace(request("MESSAGE", branchA+"2", "", 1), "Content-Length: 0", "Content-Length: 2", 1)
		r.receive(udpFlow(), whole+"hijunk")
		if raw != whole+"hi" || body != "hi" {
			t.Errorf("raw is %q, body %q", raw, body)
		}
	})
}

// What makes two requests two transactions.
func TestServerKeys(t *testing.T) {
	t.Parallel()
	modern := request("OPTIONS", branchA, "", 1)
	old := strings.Replace(modern, ";branch="+branchA, "", 1)
	for name, c := range map[string]struct {
		first, from, to string
		same            bool
	}{
		"nothing differs":           {first: modern, same: true},
		"branch":                    {first: modern, from: branchA, to: branchA + "b"},
		"sent-by":                   {first: modern, from: "UDP 192.0.2.9:5060", to: "UDP 192.0.2.9:5061"},
		"Call-ID under one branch":  {first: modern, from: "call@", to: "other@", same: true},
		"RFC 2543: nothing differs": {first: old, same: true},
		"RFC 2543: To tag":          {first: old, from: "100@example.org>", to: "100@example.org>;tag=x", same: true},
		"RFC 2543: CSeq":            {first: old, from: "CSeq: 1", to: "CSeq: 2"},
		"RFC 2543: From tag":        {first: old, from: "tag=from", to: "tag=another"},
		"RFC 2543: Request-URI":     {first: old, from: "OPTIONS sip:100", to: "OPTIONS sip:101"},
		"RFC 2543: Call-ID":         {first: old, from: "call@", to: "other@"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, Options{}, func(r *rig) {
				r.receive(udpFlow(), c.first)
				r.receive(udpFlow(), strings.Replace(c.first, c.from, c.to, 1))
				if same := len(r.told()) == 1; same != c.same {
					t.Errorf("one transaction: %t, want %t", same, c.same)
				}
			})
		})
	}
}

// An RFC 2543 peer: ACK and CANCEL find the INVITE without a branch.
func TestOldPeer(t *testing.T) {
	t.Parallel()
	bubble(t, Options{}, func(r *rig) {
		old := func(msg string) string { return strings.Replace(msg, ";branch="+branchA, "", 1) }
		r.users[0].onCancel = func(tx *ServerTx, _ *Request) { reply(tx, 487) }
		r.receive(udpFlow(), old(request("INVITE", branchA, "", 1)))
		r.receive(udpFlow(), old(request("CANCEL", branchA, "", 1)))
		r.receive(udpFlow(), old(request("ACK", branchA, "tag", 1)))
		expect(t, "sent", r.starts(), "SIP/2.0 200 OK", "SIP/2.0 487 Request Terminated")
		expect(t, "told", r.told(), "request INVITE", "cancel")
		sleep(40 * time.Second)
		expect(t, "487 repeated", r.starts())
		r.empty()
	})
}

func TestFlowClosedFindsDialledRequests(t *testing.T) {
	t.Parallel()
	bubble(t, Options{}, func(r *rig) {
		r.start(tcpFlow(0), "OPTIONS") // whichever connection there is
		elsewhere := tcpFlow(0)
		elsewhere.Remote = netip.MustParseAddrPort("192.0.2.77:5060")
		r.start(elsewhere, "OPTIONS")
		r.stack.FlowClosed(tcpFlow(5), nil)
		sleep(0)
		expect(t, "told", r.told(), "error send OPTIONS: "+ErrFlowClosed.Error(), "closed")
	})
}

// Everything that waited when the worker began is handled, though it woke once.
func TestWholeQueueIsHandled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Options{})
		for i := range 3*batch + 1 {
			r.stack.Receive(inbound(udpFlow(), withCallID(request("OPTIONS", branchA, "", 1), fmt.Sprint("id", i))))
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- r.stack.Run(ctx) }()
		synctest.Wait()
		if n := len(r.told()); n != 3*batch+1 {
			t.Errorf("%d of %d requests came", n, 3*batch+1)
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestStatelessTagsTellRequestsApart(t *testing.T) {
	t.Parallel()
	bubble(t, Options{}, func(r *rig) {
		r.receive(udpFlow(), request("CANCEL", branchA, "", 1))
		r.receive(udpFlow(), request("CANCEL", branchA, "", 1))
		r.receive(udpFlow(), request("CANCEL", branchA+"2", "", 1))
		out := r.wire.take()
		if len(out) != 3 || out[0].msg != out[1].msg || header(out[0].msg, "To") == header(out[2].msg, "To") {
			t.Errorf("sent %v", out)
		}
	})
}

// The many timers of finished transactions end in batches.
func TestLongTimersEndTogether(t *testing.T) {
	t.Parallel()
	origin := time.Unix(1_800_000_000, 0)
	w := newWheel(origin)
	var timers [10]Timer
	for i := range timers {
		w.start(&timers[i], origin.Add(time.Duration(1+i)*tick), 32*time.Second, nil, 0)
	}
	fired := 0
	w.advance(origin.Add(32*time.Second+9*tick), func(*Timer) { fired++ })
	if fired != 0 {
		t.Errorf("%d fired early", fired)
	}
	w.advance(origin.Add(33*time.Second), func(*Timer) { fired++ })
	if fired != len(timers) {
		t.Errorf("%d of %d fired", fired, len(timers))
	}
}

func TestForward(t *testing.T) {
	t.Parallel()
	bubble(t, Options{}, func(r *rig) {
		u := r.users[0]
		r.receive(udpFlow(), request("INVITE", branchA, "", 1))
		forward := func(status int) {
			r.on(0, func(*Worker) {
				u.tx.Forward(status, fmt.Appendf(nil, "SIP/2.0 %d x\r\n\r\n", status))
			})
		}
		forward(180)
		forward(200)
		forward(200)
		forward(486) // another fork's, too late
		sleep(20 * time.Second)
		expect(t, "sent", r.starts(), "SIP/2.0 180 x", "SIP/2.0 200 x", "SIP/2.0 200 x")
		sleep(20 * time.Second)
		r.empty()
	})
}

func TestSetTimeoutAfterProvisional(t *testing.T) {
	t.Parallel()
	bubble(t, Options{}, func(r *rig) {
		tx, msg := r.start(udpFlow(), "INVITE")
		r.receive(udpFlow(), response(msg, 180, "b"))
		r.on(0, func(*Worker) {
			tx.SetTimeout(time.Second)
			if tx.limit.Running() {
				t.Error("a limit for the first response runs after it")
			}
		})
	})
}

func TestCancelFor(t *testing.T) {
	t.Parallel()
	invite := []byte(strings.ReplaceAll("INVITE sip:200@192.0.2.9;x=y SIP/2.0\n"+
		"v: SIP/2.0/TCP 192.0.2.1;branch=z9hG4bKa\n"+
		"Via: SIP/2.0/UDP 192.0.2.5;branch=z9hG4bKb\n"+
		"ROUTE: <sip:192.0.2.2;lr>,\n <sip:192.0.2.3;lr>\n"+
		"f: <sip:100@example.org>;tag=a\n"+
		"t: <sip:200@example.org>\n"+
		"i: id\n"+
		"cseq: 12 INVITE\n"+
		"Authorization: Digest x\n"+
		"Content-Type: application/sdp\nContent-Length: 5\n\nCSeq:", "\n", "\r\n"))
	want := strings.ReplaceAll("CANCEL sip:200@192.0.2.9;x=y SIP/2.0\n"+
		"Via: SIP/2.0/TCP 192.0.2.1;branch=z9hG4bKa\n"+
		"ROUTE: <sip:192.0.2.2;lr>,\n <sip:192.0.2.3;lr>\n"+
		"f: <sip:100@example.org>;tag=a\n"+
		"To: <sip:200@example.org>\n"+
		"i: id\n"+
		"CSeq: 12 CANCEL\n"+
		"Content-Length: 0\n\n", "\n", "\r\n")
	if got := string(CancelFor(invite, nil)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	ack := string(AckFor(invite, []byte("<sip:200@example.org>;tag=b")))
	if header(ack, "CSeq") != "12 ACK" || header(ack, "To") != "<sip:200@example.org>;tag=b" {
		t.Errorf("ACK is\n%s", ack)
	}
}
