package chain

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/mss-federation/mss/cmd/internal/rig/sipmsg"
)

func TestReadRepeats(t *testing.T) {
	t.Parallel()
	const office = `{"counters": [{"name": "sip_finals_sent_again", "value": 1}, {"name": "sip_sent_again", "value": 3},
		{"name": "others", "value": 9}, {"name": "sip_requests_came_again", "value": 2}]}`
	hub := strings.Replace(office, "others", "requests_forwarded", 1)
	got, err := readRepeats("office a", false, office)
	if want := (Repeats{Node: "office a", Finals: 1, All: 3, Again: 2}); got != want || err != nil {
		t.Errorf("got %+v, want %+v: %v", got, want, err)
	}
	got, err = readRepeats("hub a", true, hub)
	if want := (Repeats{Node: "hub a", Finals: 1, All: 3, Again: 2, Hub: true, Passed: 9}); got != want || err != nil {
		t.Errorf("got %+v, want %+v: %v", got, want, err)
	}
	for _, bad := range []string{"", "{}", `{"counters": [{"name": "sip_sent_again", "value": 3}]}`, office} {
		if got, err := readRepeats("hub a", true, bad); err == nil {
			t.Errorf("%q was read as %+v", bad, got)
		}
	}
}

func TestLoss(t *testing.T) {
	t.Parallel()
	var r VoiceResult
	if r.Loss() != 0 {
		t.Error("nothing was sent, and some of it was lost")
	}
	r.add(VoiceResult{Sent: 1500, Received: 1497}, nil)
	r.add(VoiceResult{Sent: 1500, Received: 1500}, nil)
	if r.Loss() != 0.001 || r.Calls != 2 || r.Failed != 0 {
		t.Errorf("3 of 3000 lost: %+v, %v", r, r.Loss())
	}
	for range 2 * troubles {
		r.add(VoiceResult{}, errors.New("busy"))
	}
	if r.Failed != 2*troubles || len(r.Trouble) != troubles {
		t.Errorf("%d failed, %d said why", r.Failed, len(r.Trouble))
	}
}

func TestLoad(t *testing.T) {
	t.Parallel()
	l := Load{Rate: 50, Seconds: 60, Hold: 5 * time.Second}
	if l.Calls() != 3000 || l.span() != 65*time.Second || l.String() != "50 calls/s × 60 s, 5s each" {
		t.Errorf("%v: %d calls, %v", l, l.Calls(), l.span())
	}
}

// TestArrivals: a call is known by its Session-ID, whatever its Call-ID became on the way.
func TestArrivals(t *testing.T) {
	t.Parallel()
	a := newArrivals()
	first, _ := a.expect()
	second, _ := a.expect()
	if first == second || len(first) != 32 {
		t.Errorf("sessions %q and %q", first, second)
	}
	invite := &sipmsg.Message{Method: "INVITE"}
	invite.Add("Call-ID", "there")
	invite.Add("Session-ID", second+";remote="+first)
	bye := &sipmsg.Message{Method: "BYE"}
	bye.Add("Call-ID", "there")
	if a.note(invite) || a.note(bye) {
		t.Error("the hook keeps messages from the phone")
	}
	if a.sessions["there"] != second || a.waiting[second] == nil {
		t.Errorf("call is %q, want %q", a.sessions["there"], second)
	}
}
