package sipgate

import (
	"strings"
	"testing"

	"github.com/emiago/sipgo/sip"
)

// The messages of RFC 5118 (IPv6). Bodies, which the gate does not read, are left out but for their
// length; sdpedit has its own tests.
func TestRFC5118(t *testing.T) {
	t.Parallel()
	register := func(uri, via string) string {
		return "REGISTER " + uri + " SIP/2.0\n" +
			"To: sip:user@example.com\nFrom: sip:user@example.com;tag=81x2\nVia: " + via + "\n" +
			"Call-ID: SSG9559905523997077@hlau_4100\nMax-Forwards: 70\n" +
			"Contact: \"Caller\" <sip:caller@[2001:db8::1]>\nCSeq: 98176 REGISTER\nContent-Length: 0\n\n"
	}
	options := func(host string) string {
		return "OPTIONS sip:user@" + host + " SIP/2.0\nTo: sip:user@" + host + "\nFrom: sip:user@example.com;tag=810x2\n" +
			"Via: SIP/2.0/UDP lab1.east.example.com;branch=z9hG4bKas3-111\nCall-ID: G9559905523997077@hlau_4100\n" +
			"CSeq: 689 OPTIONS\nMax-Forwards: 70\nContent-Length: 0\n\n"
	}
	const via = "SIP/2.0/UDP [2001:db8::9:1];branch=z9hG4bKas3-111"
	for _, row := range []struct {
		section, msg string
		want         verdict
		host         string // of the Request-URI
		port         int
		viaHost      string
	}{
		{"4.1", register("sip:[2001:db8::10]", via), accepted, "[2001:db8::10]", 0, "2001:db8::9:1"},
		{"4.2", register("sip:2001:db8::10", via), 400, "", 0, ""},
		{"4.3", register("sip:[2001:db8::10:5070]", via), accepted, "[2001:db8::10:5070]", 0, "2001:db8::9:1"},
		{"4.4", register("sip:[2001:db8::10]:5070", via), accepted, "[2001:db8::10]", 5070, "2001:db8::9:1"},
		{
			"4.5 with delimiters", strings.Replace(register("sip:[2001:db8::10]", via), ";branch", ";received=[2001:db8::9:255];branch", 1),
			accepted, "[2001:db8::10]", 0, "2001:db8::9:1",
		},
		{
			"4.5 without", strings.Replace(register("sip:[2001:db8::10]", via), ";branch", ";received=2001:db8::9:255;branch", 1),
			accepted, "[2001:db8::10]", 0, "2001:db8::9:1",
		},
		{
			"4.7", register("sip:user@[2001:db8::10]", via+"\nVia: SIP/2.0/TCP 192.0.2.1:5061;branch=z9hG4bKb\nRecord-Route: <sip:[2001:db8::2];lr>, <sip:192.0.2.1;lr>"),
			accepted, "[2001:db8::10]", 0, "2001:db8::9:1",
		},
		{
			"4.9", strings.Replace(register("sip:user@example.com", "SIP/2.0/UDP [::ffff:192.0.2.10]:19823;branch=z9hG4bKbh19"), "[2001:db8::1]", "[::ffff:192.0.2.2]", 1),
			accepted, "example.com", 0, "::ffff:192.0.2.10",
		},
		{"4.10 three colons, to be tolerated", options("[2001:db8:::192.0.2.1]"), accepted, "[2001:db8:::192.0.2.1]", 0, "lab1.east.example.com"},
		{"4.10 two colons", options("[2001:db8::192.0.2.1]"), accepted, "[2001:db8::192.0.2.1]", 0, "lab1.east.example.com"},
	} {
		t.Run(row.section, func(t *testing.T) {
			t.Parallel()
			msg, h, got := gate([]byte(strings.ReplaceAll(row.msg, "\n", "\r\n")))
			if got != row.want {
				t.Fatalf("verdict %d, want %d (%v)", got, row.want, Scan(msg, &h))
			}
			if got != accepted {
				return
			}
			parsed, err := sip.NewParser().ParseSIP(msg)
			if err != nil {
				t.Fatal(err)
			}
			r, ok := parsed.(*sip.Request)
			if !ok || r.Recipient.Host != row.host || r.Recipient.Port != row.port || r.Via().Host != row.viaHost {
				t.Errorf("host %q port %d via %q", r.Recipient.Host, r.Recipient.Port, r.Via().Host)
			}
			if d := disagreement(msg, &h, parsed); d != "" {
				t.Errorf("gate and parser disagree on %s", d)
			}
		})
	}
}
