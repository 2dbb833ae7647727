package sipgate

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/emiago/sipgo/sip"
)

// The twelve messages of RFC 5118 (IPv6), written as the RFC has them but for the Content-Length of the three with a
// body: the printed numbers do not fit the printed bodies, which the RFC calls well-formed.
func TestRFC5118(t *testing.T) {
	t.Parallel()
	rows := []struct {
		section, name string
		want          verdict
		host          string // of the Request-URI
		port          int
		vias          []string // their hosts
		contact       string   // its host
	}{
		{"4.1", "ipv6-good", accepted, "[2001:db8::10]", 0, []string{"2001:db8::9:1"}, "[2001:db8::1]"},
		{"4.2", "ipv6-bad", 400, "", 0, nil, ""},
		{"4.3", "port-ambiguous", accepted, "[2001:db8::10:5070]", 0, []string{"2001:db8::9:1"}, "[2001:db8::1]"},
		{"4.4", "port-unambiguous", accepted, "[2001:db8::10]", 5070, []string{"2001:db8::9:1"}, "[2001:db8::1]"},
		{"4.5", "via-received-param-with-delim", accepted, "[2001:db8::10]", 0, []string{"2001:db8::9:1"}, ""},
		{"4.5", "via-received-param-no-delim", accepted, "[2001:db8::10]", 0, []string{"2001:db8::9:1"}, "[2001:db8::9:1]"},
		{"4.6", "ipv6-in-sdp", accepted, "[2001:db8::10]", 0, []string{"2001:db8::20"}, "[2001:db8::20]"},
		{"4.7", "mult-ip-in-header", accepted, "host.example.net", 0, []string{"2001:db8::9:1", "192.0.2.1", "2001:db8::9:255"}, ""},
		{"4.8", "mult-ip-in-sdp", accepted, "[2001:db8::10]", 0, []string{"2001:db8::9:1"}, "[2001:db8::9:1]"},
		{"4.9", "ipv4-mapped-ipv6", accepted, "example.com", 0, []string{"::ffff:192.0.2.10", "::ffff:192.0.2.2"}, "[::ffff:192.0.2.2]"},
		// One colon too many, as a bug in RFC 3261's grammar allowed it, is to be tolerated.
		{"4.10", "ipv6-bug-abnf-3-colons", accepted, "[2001:db8:::192.0.2.1]", 0, []string{"lab1.east.example.com"}, ""},
		{"4.10", "ipv6-correct-abnf-2-colons", accepted, "[2001:db8::192.0.2.1]", 0, []string{"lab1.east.example.com"}, ""},
	}
	files, err := filepath.Glob("testdata/rfc5118/*.dat")
	if err != nil || len(files) != len(rows) {
		t.Fatalf("%d files for %d rows, %v", len(files), len(rows), err)
	}
	for _, row := range rows {
		t.Run(row.section+" "+row.name, func(t *testing.T) {
			t.Parallel()
			raw, err := os.ReadFile("testdata/rfc5118/" + row.name + ".dat")
			if err != nil {
				t.Fatal(err)
			}
			msg, h, got := gate(raw)
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
			if !ok || r.Recipient.Host != row.host || r.Recipient.Port != row.port {
				t.Fatalf("%T to host %q port %d", parsed, r.Recipient.Host, r.Recipient.Port)
			}
			vias := r.GetHeaders("Via")
			for i, v := range vias {
				if via, ok := v.(*sip.ViaHeader); !ok || i >= len(row.vias) || via.Host != row.vias[i] {
					t.Errorf("Via %d is %v, want %q", i, v, row.vias)
				}
			}
			if len(vias) != len(row.vias) {
				t.Errorf("%d Vias, want %d", len(vias), len(row.vias))
			}
			if c := r.Contact(); (c == nil) != (row.contact == "") || c != nil && c.Address.Host != row.contact {
				t.Errorf("Contact %v, want host %q", c, row.contact)
			}
			if d := disagreement(msg, &h, parsed); d != "" {
				t.Errorf("gate and parser disagree on %s", d)
			}
		})
	}
}
