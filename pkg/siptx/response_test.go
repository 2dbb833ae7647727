package siptx

import (
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mss-federation/mss/pkg/sipgate"
	"github.com/mss-federation/mss/pkg/siptransport"
)

func TestTopVia(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, from, via, want string }{
		{"same address", "192.0.2.9:5060", "SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bKa", "SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bKa"},
		{
			"rport asked", "192.0.2.9:40000", "SIP/2.0/UDP 192.0.2.9;rport;branch=z9hG4bKa",
			"SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKa;received=192.0.2.9;rport=40000",
		},
		{
			"behind NAT", "198.51.100.1:40000", "SIP/2.0/TCP 10.0.0.1:5060;branch=z9hG4bKa",
			"SIP/2.0/TCP 10.0.0.1:5060;branch=z9hG4bKa;received=198.51.100.1",
		},
		{
			"a name", "192.0.2.9:5060", "SIP/2.0/UDP pc33.example.org;branch=z9hG4bKa",
			"SIP/2.0/UDP pc33.example.org;branch=z9hG4bKa;received=192.0.2.9",
		},
		{
			"lies", "192.0.2.9:5060", "SIP/2.0/UDP pc;received=203.0.113.1;RPort=1;branch=z9hG4bKa",
			"SIP/2.0/UDP pc;branch=z9hG4bKa;received=192.0.2.9;rport=5060",
		},
		{
			"IPv6", "[2001:db8::9]:5060", "SIP/2.0/UDP [2001:db8::9]:5060;branch=z9hG4bKa;rport",
			"SIP/2.0/UDP [2001:db8::9]:5060;branch=z9hG4bKa;received=2001:db8::9;rport=5060",
		},
		{
			"IPv6 in another spelling", "[2001:db8::9]:5060", "SIP/2.0/UDP [2001:DB8:0::9]:5060;branch=z9hG4bKa",
			"SIP/2.0/UDP [2001:DB8:0::9]:5060;branch=z9hG4bKa",
		},
		{
			"several in a line", "192.0.2.9:5060", "SIP/2.0/UDP a;branch=z9hG4bKa, SIP/2.0/UDP b;branch=z9hG4bKb;rport",
			"SIP/2.0/UDP a;branch=z9hG4bKa;received=192.0.2.9, SIP/2.0/UDP b;branch=z9hG4bKb;rport",
		},
		{
			"quoted comma and semicolon", "192.0.2.9:5060", `SIP / 2.0 / UDP a ; x="1,;\"" ;branch=z9hG4bKa`,
			`SIP / 2.0 / UDP a;x="1,;\"";branch=z9hG4bKa;received=192.0.2.9`,
		},
		{"a mapped source", "[::ffff:192.0.2.9]:5060", "SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKa", "SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKa"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := string(appendTopVia(nil, []byte(c.via), netip.MustParseAddrPort(c.from))); got != c.want {
				t.Errorf("\n got %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestReplyFlow(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, from, via, want string }{
		{"rport", "192.0.2.9:40000", "SIP/2.0/UDP 192.0.2.9:5062;rport;branch=z9hG4bKa", "192.0.2.9:40000"},
		{"sent-by port", "192.0.2.9:40000", "SIP/2.0/UDP 192.0.2.9:5062;branch=z9hG4bKa", "192.0.2.9:5062"},
		{"default port", "192.0.2.9:40000", "SIP/2.0/UDP pc.example.org;branch=z9hG4bKa", "192.0.2.9:5060"},
		{"never another address", "192.0.2.9:40000", "SIP/2.0/UDP 203.0.113.5:9;maddr=203.0.113.5;branch=z9hG4bKa", "192.0.2.9:9"},
		{"behind NAT without rport", "192.0.2.9:40000", "SIP/2.0/UDP 10.1.1.1:5060;branch=z9hG4bKa", "192.0.2.9:40000"},
		{"behind a carrier's NAT", "192.0.2.9:40000", "SIP/2.0/UDP 100.64.1.1:5060;branch=z9hG4bKa", "192.0.2.9:40000"},
		{"private, not behind NAT", "10.1.1.1:40000", "SIP/2.0/UDP 10.1.1.1:5060;branch=z9hG4bKa", "10.1.1.1:5060"},
		{"stream", "192.0.2.9:40000", "SIP/2.0/TCP 192.0.2.9:5062;branch=z9hG4bKa", "192.0.2.9:40000"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			msg := []byte("OPTIONS sip:a SIP/2.0\r\nVia: " + c.via + "\r\n\r\n")
			var h sipgate.Head
			if r := sipgate.Scan(msg, &h); r == nil {
				t.Error("the fragment passed the gate")
			}
			flow := siptransport.Flow{Transport: siptransport.UDP, Local: ourAddr, Remote: netip.MustParseAddrPort(c.from)}
			if strings.Contains(c.via, "TCP") {
				flow.Transport = siptransport.TCP
			}
			if got := replyFlow(msg, &h, flow).Remote.String(); got != c.want {
				t.Errorf("to %s, want %s", got, c.want)
			}
		})
	}
}

func TestAppendResponse(t *testing.T) {
	t.Parallel()
	bubble(t, Options{}, func(r *rig) {
		msg := message(
			"INVITE sip:100@192.0.2.1 SIP/2.0",
			"v: SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bKa;rport",
			"Via: SIP/2.0/UDP 192.0.2.8;branch=z9hG4bKb,SIP/2.0/UDP 192.0.2.7;branch=z9hG4bKc",
			"timestamp: 54",
			`f: "A, B" <sip:200@example.org>;tag=from`,
			"To: <sip:100@example.org>",
			"i: call@example.org",
			"CSeq: 1 INVITE",
			"Max-Forwards: 70",
		)
		r.receive(udpFlow(), msg)
		r.on(0, func(*Worker) {
			tx := r.users[0].tx
			tx.Trying()
			reply(tx, 180)
			if got := string(tx.AppendResponse(nil, 486, "Not Now", "mine")); !strings.HasSuffix(got, ";tag=mine\r\n") ||
				!strings.HasPrefix(got, "SIP/2.0 486 Not Now\r\n") {
				t.Errorf("486 is %q", got)
			}
		})
		out := r.wire.take()
		if len(out) != 2 {
			t.Fatalf("sent %v", out)
		}
		want := "SIP/2.0 100 Trying\r\n" +
			"Via: SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bKa;received=192.0.2.9;rport=5060\r\n" +
			"Via: SIP/2.0/UDP 192.0.2.8;branch=z9hG4bKb,SIP/2.0/UDP 192.0.2.7;branch=z9hG4bKc\r\n" +
			"From: \"A, B\" <sip:200@example.org>;tag=from\r\n" +
			"Call-ID: call@example.org\r\n" +
			"CSeq: 1 INVITE\r\n" +
			"To: <sip:100@example.org>\r\n" +
			"timestamp: 54\r\n" +
			"Content-Length: 0\r\n\r\n"
		if out[0].msg != want {
			t.Errorf("100 is\n%s\nwant\n%s", out[0].msg, want)
		}
		if to := header(out[1].msg, "To"); to != "<sip:100@example.org>;tag="+r.users[0].tx.ToTag() {
			t.Errorf("To of the 180 is %q", to)
		}
	})
}

func TestResponseInDialogKeepsTag(t *testing.T) {
	t.Parallel()
	bubble(t, Options{}, func(r *rig) {
		r.users[0].onRequest = func(tx *ServerTx, _ *Request) { reply(tx, 200) }
		r.receive(udpFlow(), request("BYE", branchA, "mine", 1))
		if to := header(r.wire.take()[0].msg, "To"); to != "<sip:100@example.org>;tag=mine" {
			t.Errorf("To is %q", to)
		}
	})
}

func TestGateRefusals(t *testing.T) {
	t.Parallel()
	bubble(t, Options{}, func(r *rig) {
		bad := strings.Replace(request("OPTIONS", branchA, "", 1), "CSeq: 1 OPTIONS", "CSeq: 1 BYE", 1)
		r.receive(udpFlow(), bad)
		r.receive(udpFlow(), bad)
		out := r.wire.take()
		if len(out) != 2 || !strings.HasPrefix(out[0].msg, "SIP/2.0 400 ") || out[0].msg != out[1].msg {
			t.Errorf("sent %v", out)
		}
		r.receive(udpFlow(), "OPTIONS sip:100@192.0.2.1 SIP/2.0\r\nCSeq: 7 OPTIONS\r\nVia: SIP/2.0/UDP 192.0.2.9:5060;branch="+branchA+"\r\n\r\n")
		if out := r.wire.take(); len(out) != 1 || out[0].msg != "SIP/2.0 400 required header missing\r\nVia: SIP/2.0/UDP 192.0.2.9:5060;branch="+branchA+
			"\r\nCSeq: 7 OPTIONS\r\nContent-Length: 0\r\n\r\n" {
			t.Errorf("without From, To and Call-ID: %v", out)
		}
		r.receive(udpFlow(), strings.ReplaceAll(bad, "OPTIONS", "ACK"))
		r.receive(udpFlow(), "SIP/2.0 200 OK\r\n\r\n")
		r.receive(udpFlow(), "nonsense")
		expect(t, "sent", r.starts())
		expect(t, "told", r.told())
	})
}

func TestStreamRefusedIsAnswered(t *testing.T) {
	t.Parallel()
	bubble(t, Options{}, func(r *rig) {
		bad := strings.Replace(request("OPTIONS", branchA, "", 1), "Content-Length: 0\r\n", "Content-Length: x\r\n", 1)
		r.stack.Refused(tcpFlow(1), []byte(bad), "bad Content-Length")
		r.stack.Refused(tcpFlow(1), []byte("\x16\x03\x01"), "not SIP")
		missing := strings.Replace(bad, "Content-Length: x\r\n", "", 1)
		r.stack.Refused(tcpFlow(1), []byte(missing), "no Content-Length")
		r.stack.Refused(tcpFlow(1), []byte(strings.ReplaceAll(missing, "OPTIONS", "ACK")), "no Content-Length")
		synctest.Wait()
		out := r.wire.take()
		if len(out) != 2 || !strings.HasPrefix(out[0].msg, "SIP/2.0 400 ") || !strings.HasPrefix(out[1].msg, "SIP/2.0 400 no Content-Length\r\n") {
			t.Errorf("sent %v", out)
		}
		if n := r.stack.Stats().Unframed; n != 4 {
			t.Errorf("%d counted, want 4", n)
		}
	})
}

// TestMalformedIsTold: an operator hears of malformed messages, at most once in ten seconds and how many there were, and
// never what is in them.
func TestMalformedIsTold(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	bubble(t, Options{Logger: slog.New(slog.NewTextHandler(&log, nil))}, func(r *rig) {
		bad := strings.Replace(request("OPTIONS", branchA, "", 1), "CSeq: 1 OPTIONS", "CSeq: 1 BYE", 1)
		for range 3 {
			r.receive(udpFlow(), bad)
		}
		sleep(11 * time.Second)
		r.receive(udpFlow(), "nonsense")
	})
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if len(lines) != 2 || !strings.Contains(lines[0], `source=192.0.2.9:5060 why="CSeq of another method" answered=true since_last=1`) ||
		!strings.Contains(lines[1], "answered=false since_last=3") || strings.Contains(log.String(), "nonsense") {
		t.Errorf("logged:\n%s", log.String())
	}
}
