package sipgate

import (
	"bytes"
	"strings"
	"testing"
)

func TestNormalise(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		odd  []string // edits of invite that make it odd
		want []string // edits of invite that make what is expected
	}{
		{"CRLF first", []string{"INVITE sip", "\r\n\r\nINVITE sip"}, nil},
		{"fold", []string{"timer, replaces", "timer,\r\n \t replaces"}, nil},
		{"fold before the value", []string{"Call-ID: 1", "Call-ID:\r\n\t1"}, nil},
		{"fold in a quoted string", []string{"Alice; <Ex", "Alice;\r\n <Ex"}, nil},
		{"fold of an address", []string{";tag=7SIPp", "\r\n ;\r\n tag\r\n =\r\n 7SIPp"}, nil},
		{"white space in other headers stays", []string{"timer, replaces", "timer \t,  replaces\r\n "}, []string{"timer, replaces", "timer \t,  replaces "}},
		{"white space before the colon", []string{"Supported:", "Supported \t:"}, nil},
		{"compact names", []string{"Supported", "k", "Session-Expires", "X"}, nil},
		{
			"Via",
			[]string{"SIP/2.0/UDP 192.0.2.9:5062;rport;branch=z9hG4bK-7-1-0", "SIP / 2.0/ UDP \t 192.0.2.9 : 5062 ; rport ;branch =\tz9hG4bK-7-1-0"},
			nil,
		},
		{"Via list", []string{"z9hG4bKb, SIP", "z9hG4bKb ,\r\n \tSIP"}, nil},
		{"address", []string{";tag=7SIPpTag001", "  ;  tag = 7SIPpTag001"}, nil},
		{"address without brackets", []string{"To: <sip:1001@example.org>", "To: sip:1001@example.org ; x"}, []string{"To: <sip:1001@example.org>", "To: sip:1001@example.org;x"}},
		{"display name", []string{"\"Alice; <Example>\" <", "Alice \t Example\t<"}, []string{"\"Alice; <Example>\" <", "Alice Example <"}},
		{"parameter names", []string{";rport;branch", ";RPort;Branch", ";tag=7SIPp", ";TAG=7SIPp", ";user=phone", ";User=phone", ";transport", ";TRANSPORT"}, nil},
		{"parameter values keep their case", []string{";user=phone", ";User=Phone"}, []string{";user=phone", ";user=Phone"}},
		{"user parts keep theirs", []string{"<sip:1001@example.org;user", "<sip:Al;Ice@example.org;USER"}, []string{"<sip:1001@example.org;user", "<sip:Al;Ice@example.org;user"}},
		{"Request-URI", []string{"5060 SIP", "5060;LR;Transport=UDP?X=Y;Z SIP"}, []string{"5060 SIP", "5060;lr;transport=UDP?X=Y;Z SIP"}},
		{"scheme", []string{"sip:1001@192", "h3.2:1001@192"}, []string{"sip:1001@192", "hxxx:1001@192"}},
		{"scheme without brackets", []string{"To: <sip:1001@example.org>", "To: h3.2:1001"}, []string{"To: <sip:1001@example.org>", "To: hxxx:1001"}},
		{"scheme in a list", []string{"Contact: <", "Contact: a1:b ,\tc2:d,e<"}, []string{"Contact: <", "Contact: ax:b,cx:d,e<"}},
		{"quoted quote in a list", []string{"Contact: <", `Contact: "a\"b\\" <`}, []string{"Contact: <", `Contact: "a'b\\" <`}},
		{"quoted quote in From stays", []string{`"Alice; <Example>" <`, `"a\"b\\"  <`}, []string{`"Alice; <Example>" <`, `"a\"b\\" <`}},
		{"CSeq", []string{"CSeq: 1 INVITE", "CSeq: 1 \t INVITE"}, nil},
		{
			"reason phrase",
			[]string{"INVITE sip:1001@192.0.2.1:5060 SIP/2.0", "SIP/2.0 200 sip-fine"},
			[]string{"INVITE sip:1001@192.0.2.1:5060 SIP/2.0", "SIP/2.0 200 sip-fine "},
		},
		{"version", []string{"SIP/2.0\r", "sIp/2.0\r"}, nil},
		{"version of a response", []string{"INVITE sip:1001@192.0.2.1:5060 SIP/2.0", "sip/2.0 200 OK"}, []string{"INVITE sip:1001@192.0.2.1:5060 SIP/2.0", "SIP/2.0 200 OK"}},
		{"body stays", []string{"v=0\r\n", "v :\r\n 0  "}, []string{"v=0\r\n", "v :\r\n 0  "}},
		{"malformed stays: brackets", []string{"<sip:1001@example.org;user=phone>", "<sip:1001@example.org;USER=phone"}, []string{"<sip:1001@example.org;user=phone>", "<sip:1001@example.org;USER=phone"}},
		{"malformed stays: white space in brackets", []string{"<sip:1001@192.0.2.9", "<  sip:1001@192.0.2.9"}, []string{"<sip:1001@192.0.2.9", "<  sip:1001@192.0.2.9"}},
		{"malformed stays: bare LF", []string{"Supported: timer", "Supported : timer\nX: y"}, []string{"Supported: timer", "Supported : timer\nX: y"}},
		{"malformed stays: no colon", []string{"Supported: timer", "Supported timer"}, []string{"Supported: timer", "Supported timer"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			in := edit(t, invite, c.odd...)
			before := bytes.Clone(in)
			want := edit(t, invite, c.want...)
			got := Normalise(in)
			if !bytes.Equal(got, want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			if !bytes.Equal(in, before) {
				t.Error("the input was changed")
			}
			if again := Normalise(got); &again[0] != &got[0] {
				t.Errorf("not normal after the first time: %s", again)
			}
		})
	}
}

func TestNormaliseReturnsOrdinaryMessages(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		invite, "", "x", "\r\n", "\r\n\r\n", "\n", strings.Repeat("\r\n ", 50),
		strings.Replace(invite, ";transport=udp", ";transport=UDP;x=Y?Z=1", 1),
		strings.Replace(invite, "INVITE sip:1001@192.0.2.1:5060", "SIP/2.0 200 OK sip", 1),
	} {
		in := []byte(text)
		if got := Normalise(in); len(got) != len(in) || len(in) > 0 && &got[0] != &in[0] {
			t.Errorf("%q became %q", in, got)
		}
	}
}

func BenchmarkNormalise(b *testing.B) {
	msg := []byte(invite)
	b.SetBytes(int64(len(msg)))
	b.ReportAllocs()
	for b.Loop() {
		if got := Normalise(msg); len(got) != len(msg) {
			b.Fatal("changed")
		}
	}
}

func BenchmarkNormaliseOdd(b *testing.B) {
	msg := []byte(strings.Replace(invite, "Supported", "k", 1))
	b.ReportAllocs()
	for b.Loop() {
		if got := Normalise(msg); len(got) == len(msg) {
			b.Fatal("not changed")
		}
	}
}

// A start line that is too short for a status line once ended the process, before any check.
func TestShortStartLines(t *testing.T) {
	t.Parallel()
	for _, start := range []string{"SIP/000 0: ", "SIP/ 0: ", " : ", "a 0: ", "sip/2.0 1: "} {
		for _, rest := range []string{"", "\r\n", "\r\n\r\n", "\r\nk: x\r\n\r\n"} {
			msg := Normalise([]byte(start + rest))
			var h Head
			if r := Scan(msg, &h); r == nil {
				t.Errorf("%q passed as %q", start+rest, msg)
			}
		}
	}
}
