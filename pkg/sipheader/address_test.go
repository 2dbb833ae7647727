package sipheader

import (
	"slices"
	"testing"

	"github.com/mss-federation/mss/pkg/sipgate"
)

func TestAddress(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ value, uri, target, host string }{
		{`<sip:a@192.0.2.1:5060;transport=tcp>;expires=9`, "sip:a@192.0.2.1:5060;transport=tcp", "sip:a@192.0.2.1:5060;transport=tcp", "192.0.2.1"},
		{`"A <b>" <sip:a@[2001:db8::1]:5060>`, "sip:a@[2001:db8::1]:5060", "sip:a@[2001:db8::1]:5060", "2001:db8::1"},
		{`sip:a@example.org;tag=1`, "sip:a@example.org", "sip:a@example.org", "example.org"},
		{`<sip:a;x?y@example.org;lr?Subject=b>`, "sip:a;x?y@example.org;lr?Subject=b", "sip:a;x?y@example.org;lr", "example.org"},
		{`<sips:example.org>`, "sips:example.org", "sips:example.org", "example.org"},
		{`*`, "*", "*", ""},
	} {
		uri := URI(c.value)
		if uri != c.uri || Target(uri) != c.target || Host(uri) != c.host {
			t.Errorf("%s: %q, %q, %q", c.value, uri, Target(uri), Host(uri))
		}
	}
}

func TestElements(t *testing.T) {
	t.Parallel()
	got := slices.Collect(Elements(`"a, \"b" <sip:a,b@example.org>;lr=on ,, <sip:c@example.org>`))
	if want := []string{`"a, \"b" <sip:a,b@example.org>;lr=on`, "<sip:c@example.org>"}; !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

func TestValues(t *testing.T) {
	t.Parallel()
	msg := []byte("OPTIONS sip:a@example.org SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\nFrom: <sip:b@example.org>;tag=1\r\n" +
		"To: <sip:a@example.org>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\nm: <sip:b@192.0.2.1>\r\nCONTACT:  <sip:c@192.0.2.1> \r\n" +
		"Require: a, b\r\nRequire: c\r\n\r\n")
	var h sipgate.Head
	if r := sipgate.Scan(msg, &h); r != nil {
		t.Fatal(r)
	}
	if got, want := slices.Collect(Values(msg, &h, "contact")), []string{"<sip:b@192.0.2.1>", "<sip:c@192.0.2.1>"}; !slices.Equal(got, want) {
		t.Errorf("Contacts %q", got)
	}
	if got, want := slices.Collect(Tokens(msg, &h, "require")), []string{"a", "b", "c"}; !slices.Equal(got, want) {
		t.Errorf("tokens %q", got)
	}
	if First(msg, &h, "contact") != "<sip:b@192.0.2.1>" || First(msg, &h, "subject") != "" {
		t.Error("first")
	}
}
