package signal

import (
	"fmt"
	"strings"
	"testing"

	"github.com/emiago/sipgo/sip"
)

// TestQOrder: the phone of lower q joins 20 s after the one of higher q, and not before.
func TestQOrder(t *testing.T) {
	t.Parallel()
	stage(t, func(t *testing.T, sc *scene, _ *site, _ *ledger) {
		t.Helper()
		sc.run("ring 4006 at B C/0.5")
		sc.run("A invite 4006")
		sc.run("B respond 180")
		sc.run("wait 19900ms")
		if said := sc.said(); strings.Contains(said, "C <- INVITE") || !strings.Contains(said, "B <- INVITE") {
			t.Fatalf("before 20 s:\n%s", said)
		}
		sc.run("wait 200ms")
		if said := sc.said(); !strings.Contains(said, "C <- INVITE") || strings.Contains(said, "B <- CANCEL") {
			t.Errorf("after 20 s:\n%s", said)
		}
		for _, line := range []string{"C respond 486", "A cancel", "B respond 200 to=CANCEL", "B respond 487", "A ack487"} {
			sc.run(line)
		}
	})
}

// TestHeaderAllowList: what is on the list for its direction reaches the other phone, and nothing else does: identities,
// routes and extensions of one side are never the other's.
func TestHeaderAllowList(t *testing.T) {
	t.Parallel()
	asked := []string{
		"Subject", "Priority", "Alert-Info", "Accept-Language", "Organization", "In-Reply-To", "Content-Disposition", "Info-Package",
	}
	answered := []string{"Alert-Info", "Warning", "Organization", "Reason", "Content-Disposition", "Accept-Language", "Error-Info"}
	never := []string{
		"P-Asserted-Identity", "P-Preferred-Identity", "Remote-Party-ID", "Diversion", "History-Info", "Privacy", "Identity",
		"Geolocation", "User-Agent", "Server", "Call-Info", "Reply-To", "Path", "Service-Route", "Via-Secret", "X-MSS-By", "X-Secret", "Proxy-Authorization",
	}
	stage(t, func(t *testing.T, sc *scene, _ *site, _ *ledger) {
		t.Helper()
		headers := func(names ...[]string) (text string) {
			for _, list := range names {
				for _, name := range list {
					text += fmt.Sprintf("%s: told-%s\r\n", name, strings.ToLower(name))
				}
			}
			return text
		}
		a, b := sc.phone("A"), sc.phone("B")
		var ringing sip.Message
		a.heard = func(m sip.Message) {
			if res, ok := m.(*sip.Response); ok && res.StatusCode == 180 {
				ringing = m
			}
		}
		sc.mu.Lock()
		a.caller, a.seq, a.asked = true, 1, 1
		a.callID, a.ours, a.theirs = "lists@192.0.2.1", "<sip:4001@example.org>;tag=a", "<sip:4002@example.org>"
		a.sent = a.write("INVITE", "sip:4002@example.org", 1, headers(asked, never), "application/sdp", a.offer("sendrecv"))
		a.send(a.sent)
		sc.mu.Unlock()
		settle()
		sc.mu.Lock()
		if b.invite == nil {
			sc.mu.Unlock()
			t.Fatal("the call did not get through")
		}
		compare(t, "INVITE", b.invite, asked, never)
		b.reply(b.invite, 180, headers(answered, never), "")
		sc.mu.Unlock()
		settle()
		sc.mu.Lock()
		if ringing == nil {
			sc.mu.Unlock()
			t.Fatal("no 180 got through")
		}
		compare(t, "180", ringing, answered, never)
		sc.mu.Unlock()
		for _, line := range []string{"A cancel", "B respond 200 to=CANCEL", "B respond 487", "A ack487"} {
			sc.run(line)
		}
	})
}

func compare(t *testing.T, what string, m sip.Message, passed, never []string) {
	t.Helper()
	d, ok := m.(described)
	if !ok {
		t.Fatalf("%T", m)
	}
	for _, name := range passed {
		if h := d.GetHeader(name); h == nil || h.Value() != "told-"+strings.ToLower(name) {
			t.Errorf("%s: %s is %v", what, name, h)
		}
	}
	for _, name := range never {
		if h := d.GetHeader(name); h != nil && strings.Contains(h.Value(), "told-") {
			t.Errorf("%s: %s got through", what, name)
		}
	}
}
