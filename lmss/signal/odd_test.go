package signal

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/mss-federation/mss/lmss/registrar"
)

// TestOddInvites: what an INVITE asks for and cannot have is refused with the answer that says so, before any phone
// rings; what only looks odd rings.
func TestOddInvites(t *testing.T) {
	t.Parallel()
	body := regexp.MustCompile(`(?s)\r\n\r\n.*`)
	unknown := func(text string) string {
		text = regexp.MustCompile(`Content-Length: \d+`).ReplaceAllString(text, "Content-Length: 4")
		text = body.ReplaceAllString(text, "\r\n\r\nhey!")
		return strings.Replace(text, "application/sdp", "application/unknown", 1)
	}
	header := func(line string) func(string) string {
		return func(text string) string { return strings.Replace(text, "Contact: ", line+"\r\nContact: ", 1) }
	}
	bare := func(text string) string { return regexp.MustCompile(`Contact: .*\r\n`).ReplaceAllString(text, "") }
	for _, c := range []struct {
		name   string
		change func(string) string
		want   string // at the caller, or at the callee when it begins with INVITE
	}{
		{"body of an unknown type", unknown, `415 Unsupported Media Type (1 INVITE) to=t1 Accept="application/sdp"`},
		{"optional body of an unknown type", func(s string) string {
			return unknown(header("Content-Disposition: alert ; Handling = Optional")(s))
		}, "INVITE sip:4002@192.0.2.2:5060 (1 INVITE)"},
		{"required body of an unknown type", func(s string) string {
			return unknown(header("Content-Disposition: render;handling=required")(s))
		}, "415 Unsupported Media Type"},
		{"takes no SDP", header("Accept: text/plain"), "406 Not Acceptable (1 INVITE)"},
		{"takes nothing", header("Accept:"), "406 Not Acceptable (1 INVITE)"},
		{"takes SDP too", header("Accept: text/plain\r\nAccept: text/html, Application/SDP;level=1"), "INVITE sip:4002@192.0.2.2:5060 (1 INVITE)"},
		{"takes all", header("Accept: */*"), "INVITE sip:4002@192.0.2.2:5060 (1 INVITE)"},
		{
			"voice of another IP version",
			func(text string) string {
				return strings.Replace(text, "c=IN IP4 192.0.2.1", "c=IN IP6 2001:db8::1", 1) // a line is cut off at the end
			},
			`488 Not Acceptable Here (1 INVITE) to=t1 Warning="301 example.org \"Incompatible network address formats: `,
		},
		{"no Contact", bare, "400 Missing Contact (1 INVITE)"},
		{"no Contact and no magic cookie", func(s string) string {
			return strings.Replace(bare(s), "branch=z9hG4bK", "branch=", 1)
		}, "INVITE sip:4002@192.0.2.2:5060 (1 INVITE)"},
		{"requires what nobody has", header("Require: path, foo\r\nRequire: bar\r\nProxy-Require: baz"), `420 Bad Extension (1 INVITE) to=t1 Unsupported="foo, bar"`},
		{"requires it of proxies", header("Proxy-Require: baz"), `420 Bad Extension (1 INVITE) to=t1 Unsupported="baz"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			stage(t, func(t *testing.T, sc *scene, _ *site, _ *ledger) {
				t.Helper()
				a := sc.phone("A")
				a.callID, a.ours, a.theirs = "odd@192.0.2.1", "<sip:4001@example.org>;tag=a", "<sip:4002@example.org>"
				a.send(c.change(a.write("INVITE", "sip:4002@example.org", 1, "", "application/sdp", a.offer("sendrecv"))))
				settle()
				said := sc.said()
				at := "A <- "
				rings := strings.HasPrefix(c.want, "INVITE")
				if rings {
					at = "B <- "
				}
				if !strings.Contains(said, at+c.want) || strings.Contains(said, "B <- ") != rings {
					t.Errorf("want %s, got:\n%s", c.want, said)
				}
				if rings {
					sc.run("B respond 486")
				}
				sc.run("wait 40s") // the caller never acknowledges
			})
		})
	}
}

// TestByeToRFC2543Caller: a caller without Contact is sent its BYE at the URI in From.
func TestByeToRFC2543Caller(t *testing.T) {
	t.Parallel()
	stage(t, func(t *testing.T, sc *scene, _ *site, _ *ledger) {
		t.Helper()
		a := sc.phone("A")
		a.caller, a.seq, a.asked = true, 1, 1
		a.callID, a.ours, a.theirs = "old@192.0.2.1", "<sip:4001@example.org;user=phone>", "<sip:4002@example.org>"
		text := a.write("INVITE", "sip:4002@example.org", 1, "", "application/sdp", a.offer("sendrecv"))
		text = strings.Replace(text, "branch=z9hG4bK", "branch=", 1)
		a.send(regexp.MustCompile(`Contact: .*\r\n`).ReplaceAllString(text, ""))
		settle()
		sc.run("B respond 200 sdp")
		if said := sc.said(); !strings.Contains(said, "A <- 200") {
			t.Fatalf("not answered:\n%s", said)
		}
		sc.run("A ack")
		sc.said()
		sc.run("B bye")
		if said := sc.said(); !strings.Contains(said, "A <- BYE sip:4001@example.org;user=phone") {
			t.Errorf("hung up, and the caller heard:\n%s", said)
		}
		sc.run("A respond 200 to=BYE")
		sc.run("wait 40s")
	})
}

// TestOddRegisters: To must be a SIP URI, whoever proved who; headers in a Contact's URI are echoed, and never reach a
// request line.
func TestOddRegisters(t *testing.T) {
	t.Parallel()
	const secret = "correct horse battery"
	stage(t, func(t *testing.T, sc *scene, s *site, _ *ledger) {
		t.Helper()
		b := sc.phone("B")
		isbn := func(text string) string { return strings.Replace(text, "To: <sip:4007@", "To: <isbn:4007@", 1) }
		if res := b.register(t, "4007", secret, b.addr.String(), isbn); res == nil || res.StatusCode != 400 || res.Reason != "To is not a SIP URI" {
			t.Errorf("To of another scheme: %v", res)
		}
		if n := s.bindings.Count(); n != 0 {
			t.Errorf("%d bindings", n)
		}
		contacts, _, err := registrar.ParseContacts([]string{"<sip:4007@" + b.addr.String() + "?Route=%3Csip:x%3E>"})
		if err != nil {
			t.Fatal(err)
		}
		res := b.register(t, "4007", secret, b.addr.String()+"?Route=%3Csip:x%3E")
		if res == nil || res.StatusCode != 200 || !strings.HasPrefix(res.GetHeader("Contact").Value(), contacts[0].Raw) {
			t.Fatalf("Contact with headers: %v", res)
		}
		sc.run("A invite 4007")
		if said := sc.said(); !strings.Contains(said, "B <- INVITE sip:4007@"+b.addr.String()+" (1 INVITE)") {
			t.Errorf("called:\n%s", said)
		}
		sc.run("A cancel")
		<-time.After(time.Minute)
	}, withPassword(t, "4007", secret))
}
