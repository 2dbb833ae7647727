package main

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// Addresses of the parties of a made-up call.
var (
	atPhone = netip.MustParseAddrPort("192.0.2.1:5060")
	atSite  = netip.MustParseAddrPort("192.0.2.2:5060")
	atTrunk = netip.MustParseAddrPort("192.0.2.2:40000")
	atHub   = netip.MustParseAddrPort("192.0.2.3:5061")
)

// message is one of a trace, n milliseconds after the beginning.
func message(n int, out bool, local, remote netip.AddrPort, text string) traced {
	names := map[netip.AddrPort]string{atPhone: "4001", atSite: "london", atTrunk: "london", atHub: "hub a"}
	remoteName := names[remote]
	if remote == atHub {
		remoteName = "1001" // London names the hub after who is behind it
	}
	return traced{
		At: time.UnixMilli(int64(n)), Out: out, Local: local, LocalName: names[local], Remote: remote, RemoteName: remoteName,
		CallID: "x", Message: text + "\r\nSession-ID: 0123;remote=0\r\n",
	}
}

func TestJourney(t *testing.T) {
	t.Parallel()
	j := journey{names: map[netip.AddrPort]string{}}
	j.messages = []traced{
		// London's trace, then the hub's.
		message(0, false, atSite, atPhone, "INVITE one"),
		message(1, true, atTrunk, atHub, "INVITE two"),
		message(4, false, atTrunk, atHub, "SIP/2.0 180 Ringing"),
		message(5, true, atSite, atPhone, "SIP/2.0 180 Ringing"),
		message(2, false, atHub, atTrunk, "INVITE two"),
		message(3, true, atHub, atTrunk, "SIP/2.0 180 Ringing"),
	}
	j.name()
	j.merge()
	if len(j.messages) != 4 || j.twice != 2 || len(j.alone()) != 0 {
		t.Errorf("%d messages, %d traced twice, alone %v", len(j.messages), j.twice, j.alone())
	}
	if err := j.follows("INVITE ", "4001", "london", "hub a"); err != nil {
		t.Error(err)
	}
	if err := j.follows("SIP/2.0 180 ", "hub a", "london", "4001"); err != nil {
		t.Error(err)
	}
	if err := j.follows("SIP/2.0 180 ", "4001", "london"); err == nil {
		t.Error("a 180 went the wrong way")
	}
	if text := j.draw("hub a", "nobody", "london", "4001"); strings.Count(text, ":00:00.00") != 4 ||
		!regexp.MustCompile(`(?m)^ +hub a +london +4001$`).MatchString(text) {
		t.Errorf("ladder from right to left:\n%s", text)
	}
	if text := j.draw(); strings.Count(text, "180 Ringing") != 2 || !strings.Contains(text, "4001") || !strings.Contains(text, "hub a") {
		t.Errorf("ladder:\n%s", text)
	}
	j.since(time.UnixMilli(3))
	if len(j.messages) != 2 {
		t.Errorf("%d messages since the 180", len(j.messages))
	}
}

// What only its receiver traced, or what was changed on its way, shows.
func TestJourneyFindsWhatIsMissing(t *testing.T) {
	t.Parallel()
	for name, received := range map[string]string{"not sent": "BYE other", "changed": "INVITE changed"} {
		j := journey{names: map[netip.AddrPort]string{}}
		j.messages = []traced{message(1, true, atTrunk, atHub, "INVITE two"), message(2, false, atHub, atTrunk, received)}
		j.name()
		j.merge()
		if want := []string{received + " from london to hub a"}; !slices.Equal(j.alone(), want) || j.twice != 0 {
			t.Errorf("%s: alone %v, want %v", name, j.alone(), want)
		}
	}
}

func TestSessionOf(t *testing.T) {
	t.Parallel()
	one := message(0, true, atTrunk, atHub, "INVITE")
	other := one
	other.Message = "BYE\r\nsession-id:4567\r\n"
	if id, err := sessionOf([]traced{one, one}); err != nil || id != "0123" {
		t.Errorf("%q, %v", id, err)
	}
	for name, messages := range map[string][]traced{"none": {}, "two": {one, other}} {
		if id, err := sessionOf(messages); err == nil {
			t.Errorf("%s: %q", name, id)
		}
	}
}
