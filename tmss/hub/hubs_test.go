package hub

import (
	"strings"
	"testing"

	"github.com/mss-federation/mss/pkg/identity/identitytest"
	"github.com/mss-federation/mss/tmss/directory/directorytest"
)

// A call between two offices of which each is attached to another hub passes both hubs. When the caller's hub is gone,
// what follows in the call goes through the other one alone.
func TestCallOverTwoHubs(t *testing.T) {
	t.Parallel()
	d := identitytest.NewDomain(t, "example.org")
	directory := directorytest.Start(t, d).Address
	a := startNamed(t, d, "a", stateDirOf(t, d, "a"), directory, "")
	b := startNamed(t, d, "b", stateDirOf(t, d, "b"), directory, "")
	a.addSite("london", "4xxx")
	a.addSite("hongkong", "1xxx")
	eventually(t, "both hubs know the offices", func() bool { return a.status().GetSites() == 2 && b.status().GetSites() == 2 })
	london, hongkong := a.office("london"), b.office("hongkong")
	london.announce("4xxx")
	hongkong.announce("1xxx")
	for hub, number := range map[*running]string{a: "1001", b: "4001"} {
		eventually(t, "the other hub's numbers are known", func() bool { return hub.explain(number).GetOutcome() == "chosen" })
		eventually(t, "new calls are taken", func() bool { return len(hub.status().GetAlarms()) == 0 })
	}
	eventually(t, "offices are told of both hubs", func() bool { return len(london.hubs()) == 2 && len(hongkong.hubs()) == 2 })

	london.send(request("INVITE", "sip:1001@example.org", "z9hG4bK-1", ""))
	invite := hongkong.read("INVITE")
	if strings.Count(invite, "Via: ") != 3 || strings.Count(invite, ";mss=") != 2 {
		t.Errorf("INVITE came as\n%s", invite)
	}
	hongkong.send(answer(invite, "200 OK"))
	ok := london.read("SIP/2.0 200")
	route := routeSet(ok)
	london.send(request("ACK", "sip:1001@192.0.2.9", "z9hG4bK-2", route))
	hongkong.read("ACK")

	second := b.office("london") // as it stands, next to the first
	a.stop()
	eventually(t, "the hub is gone", func() bool { return b.explain("4001").GetOutcome() != "chosen" })
	second.send(request("BYE", "sip:1001@192.0.2.9", "z9hG4bK-3", route))
	hongkong.send(answer(hongkong.read("BYE"), "200 OK"))
	second.read("SIP/2.0 200")
}

// When the called office's hub dies in such a call, and the caller's hub has no connection to that office, what follows
// in the call goes to the office's other hub.
func TestCallMovesToAHubThatHasTheSite(t *testing.T) {
	t.Parallel()
	d := identitytest.NewDomain(t, "example.org")
	directory := directorytest.Start(t, d).Address
	a := startNamed(t, d, "a", stateDirOf(t, d, "a"), directory, "")
	b := startNamed(t, d, "b", stateDirOf(t, d, "b"), directory, "")
	c := startNamed(t, d, "c", stateDirOf(t, d, "c"), directory, "")
	a.addSite("london", "4xxx")
	a.addSite("hongkong", "1xxx")
	for _, hub := range []*running{a, b, c} {
		eventually(t, "the offices are known", func() bool { return hub.status().GetSites() == 2 })
	}
	london, hongkong := a.office("london"), b.office("hongkong")
	london.announce("4xxx")
	hongkong.announce("1xxx")
	eventually(t, "the other hub's numbers are known", func() bool { return a.explain("1001").GetOutcome() == "chosen" })
	for _, hub := range []*running{a, b, c} {
		eventually(t, "new calls are taken", func() bool { return len(hub.status().GetAlarms()) == 0 })
	}
	london.send(request("INVITE", "sip:1001@example.org", "z9hG4bK-1", ""))
	hongkong.send(answer(hongkong.read("INVITE"), "200 OK"))
	route := routeSet(london.read("SIP/2.0 200"))
	london.send(request("ACK", "sip:1001@192.0.2.9", "z9hG4bK-2", route))
	hongkong.read("ACK")

	second := c.office("hongkong")
	second.announce("1xxx")
	eventually(t, "the other way is known", func() bool { return strings.Contains(a.explain("1001").String(), "hub/c") })
	b.stop()
	eventually(t, "the hub is gone", func() bool {
		return a.explain("1001").GetCandidates()[0].GetNextHop() == "hub/c"
	})
	london.send(request("BYE", "sip:1001@192.0.2.9", "z9hG4bK-3", route))
	second.send(answer(second.read("BYE"), "200 OK"))
	london.read("SIP/2.0 200")
}

// routeSet is a caller's Route from a response (RFC 3261 §12.1.2): Record-Route in reverse order.
func routeSet(response string) string {
	var set []string
	for l := range strings.Lines(response) {
		if value, ok := strings.CutPrefix(l, "Record-Route: "); ok {
			for v := range strings.SplitSeq(strings.TrimSpace(value), ",") {
				set = append([]string{strings.TrimSpace(v)}, set...)
			}
		}
	}
	return "Route: " + strings.Join(set, ", ")
}
