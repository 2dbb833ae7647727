package siptx

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func expect(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n got %q\nwant %q", what, got, want)
	}
}

const branchA = "z9hG4bKaaaa"

func TestInviteAnswered(t *testing.T) {
	t.Parallel()
	bubble(t, Options{}, func(r *rig) {
		u := r.users[0]
		r.receive(udpFlow(), request("INVITE", branchA, "", 1))
		expect(t, "told", r.told(), "request INVITE")
		sleep(150 * time.Millisecond)
		expect(t, "no 100 before its time", r.starts())
		sleep(50 * time.Millisecond)
		expect(t, "100 by itself", r.starts(), "SIP/2.0 100 Trying")
		r.receive(udpFlow(), request("INVITE", branchA, "", 1))
		expect(t, "repeated", r.starts(), "SIP/2.0 100 Trying")
		r.on(0, func(*Worker) { reply(u.tx, 180) })
		r.receive(udpFlow(), request("INVITE", branchA, "", 1))
		expect(t, "180 twice", r.starts(), "SIP/2.0 180 Ringing", "SIP/2.0 180 Ringing")
		r.on(0, func(*Worker) { reply(u.tx, 200) })
		r.receive(udpFlow(), request("INVITE", branchA, "", 1)) // absorbed
		sleep(1500 * time.Millisecond)                          // T1, 2*T1
		expect(t, "200 repeated", r.starts(), "SIP/2.0 200 OK", "SIP/2.0 200 OK", "SIP/2.0 200 OK")
		r.users[0].onAck = func(*Request) { u.tx.Acked() }
		r.receive(udpFlow(), request("ACK", "z9hG4bKother", "x", 1))
		expect(t, "told", r.told(), "ack 1")
		sleep(40 * time.Second)
		expect(t, "silence after ACK", r.starts())
		c := r.stack.Stats().Counters()
		if c["sip_requests_came_again"] != 3 || c["sip_sent_again"] != 4 || c["sip_finals_sent_again"] != 2 || c["sip_sent"] != 7 {
			t.Errorf("counted %v", c)
		}
		r.empty()
	})
}

func TestInviteAnsweredWithoutAck(t *testing.T) {
	t.Parallel()
	bubble(t, Options{}, func(r *rig) {
		u := r.users[0]
		u.onRequest = func(tx *ServerTx, _ *Request) {
			tx.OnNoAck(func() { u.note("no ack") })
			reply(tx, 200)
		}
		r.receive(tcpFlow(1), request("INVITE", branchA, "", 1))
		sleep(33 * time.Second)
		expect(t, "told", r.told(), "request INVITE", "no ack")
		// 0, 0.5, 1.5, 3.5, 7.5, then each 4 s until 31.5.
		if n := len(r.starts()); n != 11 {
			t.Errorf("200 sent %d times, want 11", n)
		}
		r.empty()
	})
}

func TestInviteRefused(t *testing.T) {
	t.Parallel()
	bubble(t, Options{}, func(r *rig) {
		r.users[0].onRequest = func(tx *ServerTx, _ *Request) { reply(tx, 486) }
		r.receive(udpFlow(), request("INVITE", branchA, "", 1))
		sleep(1500 * time.Millisecond)
		expect(t, "486 repeated", r.starts(),
			"SIP/2.0 486 Busy Here", "SIP/2.0 486 Busy Here", "SIP/2.0 486 Busy Here")
		r.receive(udpFlow(), request("ACK", branchA, "x", 1))
		sleep(10 * time.Second)
		expect(t, "silence after ACK", r.starts())
		expect(t, "told", r.told(), "request INVITE")
		r.empty()
	})
}

func TestInviteRefusedWithoutAck(t *testing.T) {
	t.Parallel()
	for _, flow := range []string{"udp", "tcp"} {
		t.Run(flow, func(t *testing.T) {
			t.Parallel()
			bubble(t, Options{}, func(r *rig) {
				r.users[0].onRequest = func(tx *ServerTx, _ *Request) { reply(tx, 486) }
				from, want := udpFlow(), 11
				if flow == "tcp" {
					from, want = tcpFlow(1), 1
				}
				r.receive(from, request("INVITE", branchA, "", 1))
				sleep(40 * time.Second)
				if n := len(r.starts()); n != want {
					t.Errorf("486 sent %d times, want %d", n, want)
				}
				r.empty()
			})
		})
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	bubble(t, Options{}, func(r *rig) {
		r.users[0].onCancel = func(tx *ServerTx, _ *Request) { reply(tx, 487) }
		r.receive(udpFlow(), request("INVITE", branchA, "", 1))
		r.receive(udpFlow(), request("CANCEL", branchA, "", 1))
		r.receive(udpFlow(), request("CANCEL", branchA, "", 1))
		out := r.wire.take()
		if len(out) != 3 {
			t.Fatalf("sent %d messages, want 3", len(out))
		}
		expect(t, "sent", []string{out[0].start(), out[1].start(), out[2].start()},
			"SIP/2.0 200 OK", "SIP/2.0 487 Request Terminated", "SIP/2.0 200 OK")
		if a, b := header(out[0].msg, "To"), header(out[1].msg, "To"); a != b || !strings.Contains(a, ";tag=") {
			t.Errorf("To of the 200 is %q, of the 487 %q", a, b)
		}
		expect(t, "told", r.told(), "request INVITE", "cancel")
		r.receive(udpFlow(), request("ACK", branchA, "x", 1))
		sleep(40 * time.Second)
		r.empty()
	})
}

func TestCancelOfNothing(t *testing.T) {
	t.Parallel()
	bubble(t, Options{}, func(r *rig) {
		r.receive(udpFlow(), request("INVITE", branchA, "", 1))
		elsewhere := udpFlow()
		elsewhere.Remote = peerAddr
		r.receive(elsewhere, request("CANCEL", "z9hG4bKbbbb", "", 1))
		forged := udpFlow()
		forged.Remote = ourAddr // another source, the right branch
		r.receive(forged, request("CANCEL", branchA, "", 1))
		expect(t, "sent", r.starts(), "SIP/2.0 481 Call/Transaction Does Not Exist",
			"SIP/2.0 481 Call/Transaction Does Not Exist")
		expect(t, "told", r.told(), "request INVITE")
	})
}

func TestPlainRequest(t *testing.T) {
	t.Parallel()
	bubble(t, Options{}, func(r *rig) {
		r.users[0].onRequest = func(tx *ServerTx, _ *Request) { reply(tx, 200) }
		r.receive(udpFlow(), request("BYE", branchA, "x", 2))
		sleep(5 * time.Second)
		r.receive(udpFlow(), request("BYE", branchA, "x", 2))
		expect(t, "sent", r.starts(), "SIP/2.0 200 OK", "SIP/2.0 200 OK")
		expect(t, "told", r.told(), "request BYE")
		if c := r.stack.Stats().Counters(); c["sip_finals_sent_again"] != 1 {
			t.Errorf("counted %v", c)
		}
		sleep(40 * time.Second)
		r.empty()
		r.receive(tcpFlow(1), request("BYE", branchA, "x", 2))
		r.empty()
	})
}

func TestPlainRequestNeverAnswered(t *testing.T) {
	t.Parallel()
	bubble(t, Options{}, func(r *rig) {
		r.receive(udpFlow(), request("OPTIONS", branchA, "", 2))
		r.receive(udpFlow(), request("OPTIONS", branchA, "", 2))
		sleep(34 * time.Second)
		expect(t, "sent", r.starts())
		expect(t, "told", r.told(), "request OPTIONS")
		r.empty()
	})
}

func TestStatelessAnswer(t *testing.T) {
	t.Parallel()
	bubble(t, Options{}, func(r *rig) {
		r.users[0].onRequest = func(tx *ServerTx, _ *Request) {
			tx.SendStateless(401, append(tx.AppendResponse(nil, 401, "", ""), "Content-Length: 0\r\n\r\n"...))
		}
		r.receive(udpFlow(), request("INVITE", branchA, "", 1))
		r.empty()
		sleep(10 * time.Second)
		expect(t, "sent", r.starts(), "SIP/2.0 401 Unauthorized")
	})
}

// header is the value of the first header of that name.
func header(msg, name string) string {
	for line := range strings.SplitSeq(msg, "\r\n") {
		if value, ok := strings.CutPrefix(line, name+": "); ok {
			return value
		}
	}
	return ""
}
