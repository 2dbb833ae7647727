package registrar

import (
	"reflect"
	"strings"
	"testing"
)

func TestParseContacts(t *testing.T) {
	t.Parallel()
	for value, want := range map[string][]Contact{
		`<sip:4001@192.0.2.7>`:                                         {{Raw: `<sip:4001@192.0.2.7>`, URI: "sip:4001@192.0.2.7", Expires: Absent, Q: 1000}},
		`sip:4001@192.0.2.7;expires=60`:                                {{Raw: `sip:4001@192.0.2.7`, URI: "sip:4001@192.0.2.7", Expires: 60, Q: 1000}},
		`"a, b; <c>" <sip:4001@h;transport=tcp> ; q = 0.25 ;EXPIRES=7`: {{Raw: `"a, b; <c>" <sip:4001@h;transport=tcp>;q = 0.25`, URI: "sip:4001@h;transport=tcp", Expires: 7, Q: 250}},
		`<sip:a@h>;expires=99999999999`:                                {{Raw: `<sip:a@h>`, URI: "sip:a@h", Expires: 1<<32 - 1, Q: 1000}},
		`<sip:a@h>;expires=-1`:                                         {{Raw: `<sip:a@h>`, URI: "sip:a@h", Expires: 3600, Q: 1000}},
		`<sip:a@h>;q=0, ,<sips:b@h>;q=1.0;reg-id=2;+sip.instance="<urn:x;y>"`: {
			{Raw: `<sip:a@h>;q=0`, URI: "sip:a@h", Expires: Absent, Q: 0},
			{Raw: `<sips:b@h>;q=1.0;reg-id=2;+sip.instance="<urn:x;y>"`, URI: "sips:b@h", Expires: Absent, Q: 1000, RegID: 2, Instance: "urn:x;y"},
		},
	} {
		got, star, err := ParseContacts([]string{value})
		if err != nil || star {
			t.Errorf("%s: star %v, %v", value, star, err)
		}
		for i := range got {
			got[i].parsed = contactURI{}
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n got %+v\nwant %+v", value, got, want)
		}
	}
}

func TestParseContactsRefuses(t *testing.T) {
	t.Parallel()
	for _, value := range []string{
		`<sip:a@h`, `"a <sip:a@h>`, `<>`, `<mailto:a@example.org>`, `<sip:>`, `<sip:a@>`, `<sip:a@h:0>`, `<sip:a@h:65536>`, `<sip:a@[2001:db8::1>`,
		`<sip:a@[fe80::1%eth0]>`, `<sip:a@[fe80::1%25eth0]:5060>`,
		`*, <sip:a@h>`, "<sip:a@h>\r\nVia: x", strings.Repeat("<sip:a@h>,", MaxContacts+1),
	} {
		if got, _, err := ParseContacts([]string{value}); err == nil {
			t.Errorf("%q was read as %+v", value, got)
		}
	}
	if _, star, err := ParseContacts([]string{" * "}); !star || err != nil {
		t.Errorf("*: %v, %v", star, err)
	}
}

// TestURIEquality has the examples of RFC 3261 §19.1.4.
func TestURIEquality(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		x, y string
		want bool
	}{
		{"sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtlanTa.CoM;Transport=tcp", true},
		{"sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5", true},
		{"sip:carol@chicago.com", "sip:carol@chicago.com;security=on", true},
		{"sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com", "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com", true},
		{"sip:alice@atlanta.com?subject=project%20x&priority=urgent", "sip:alice@atlanta.com?priority=urgent&subject=project%20x", true},
		{"SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP", false},
		{"sip:bob@biloxi.com", "sip:bob@biloxi.com:5060", false},
		{"sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp", false},
		{"sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp", false},
		{"sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting", false},
		{"sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off", false},
		{"sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4", false},
		{"sip:a@h", "sips:a@h", false},
		{"sip:@h", "sip:h", false},
	} {
		x, err := parseURI(test.x)
		if err != nil {
			t.Fatal(test.x, err)
		}
		y, err := parseURI(test.y)
		if err != nil {
			t.Fatal(test.y, err)
		}
		if x.equal(&y) != test.want || y.equal(&x) != test.want {
			t.Errorf("%s and %s: equal %v and %v, want %v", test.x, test.y, x.equal(&y), y.equal(&x), test.want)
		}
	}
}

func FuzzParseContacts(f *testing.F) {
	for _, s := range []string{`<sip:4001@192.0.2.7>;expires=60`, `"a" <sip:a@h;x=y?h=v>;q=0.5,*`, `sip:[2001:db8::1]:5060`, `"\`, `<sip:%zz@h>`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		contacts, _, err := ParseContacts([]string{value})
		if err != nil {
			return
		}
		for _, c := range contacts {
			if strings.ContainsAny(c.Raw, "\r\n\x00") || !c.parsed.equal(&c.parsed) {
				t.Errorf("%q was read as %+v", value, c)
			}
			again, star, err := ParseContacts([]string{c.Raw})
			if err != nil || star || len(again) != 1 || again[0].URI != c.URI || again[0].Expires != Absent {
				t.Errorf("%q: its echo %q is read as %+v, %v", value, c.Raw, again, err)
			}
		}
	})
}
