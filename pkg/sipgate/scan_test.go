package sipgate

import (
	"strings"
	"testing"
)

// invite is an ordinary message: what a test does not change is good.
const invite = "INVITE sip:1001@192.0.2.1:5060 SIP/2.0\r\n" +
	"Via: SIP/2.0/UDP 192.0.2.9:5062;rport;branch=z9hG4bK-7-1-0\r\n" +
	"Via: SIP/2.0/TCP [2001:db8::9]:5060;branch=z9hG4bKb, SIP/2.0/TLS c.example.org;branch=z9hG4bKc\r\n" +
	"Max-Forwards: 70\r\n" +
	"From: \"Alice; <Example>\" <sip:1001@example.org;user=phone>;tag=7SIPpTag001\r\n" +
	"To: <sip:1001@example.org>\r\n" +
	"Call-ID: 1-7@192.0.2.9\r\n" +
	"CSeq: 1 INVITE\r\n" +
	"Contact: <sip:1001@192.0.2.9:5062;transport=udp>\r\n" +
	"Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, PRACK, REFER, NOTIFY\r\n" +
	"Supported: timer, replaces, path\r\n" +
	"Session-Expires: 1800;refresher=uac\r\n" +
	"Content-Type: application/sdp\r\n" +
	"Content-Length: 5\r\n" +
	"\r\n" +
	"v=0\r\n"

func edit(t *testing.T, msg string, oldNew ...string) []byte {
	t.Helper()
	for i := 0; i < len(oldNew); i += 2 {
		if !strings.Contains(msg, oldNew[i]) {
			t.Fatalf("nothing to edit: %q", oldNew[i])
		}
		msg = strings.Replace(msg, oldNew[i], oldNew[i+1], 1)
	}
	return []byte(msg)
}

func TestScanFillsHead(t *testing.T) {
	t.Parallel()
	msg := edit(t, invite, "To: <sip:1001@example.org>", "t : <sip:1001@example.org> ; TAG = abc ")
	h := Head{Vias: make([]Span, 5), Method: "old", CSeq: 9, ToTag: Span{1, 2}}
	if r := Scan(msg, &h); r != nil {
		t.Fatalf("refused: %v", r)
	}
	for _, c := range []struct {
		name string
		span Span
		want string
	}{
		{"uri", h.URI, "sip:1001@192.0.2.1:5060"},
		{"via", h.Vias[0], "SIP/2.0/UDP 192.0.2.9:5062;rport;branch=z9hG4bK-7-1-0"},
		{"branch", h.Branch, "z9hG4bK-7-1-0"},
		{"from", h.From, `"Alice; <Example>" <sip:1001@example.org;user=phone>;tag=7SIPpTag001`},
		{"from tag", h.FromTag, "7SIPpTag001"},
		{"to", h.To, "<sip:1001@example.org> ; TAG = abc"},
		{"to tag", h.ToTag, "abc"},
		{"call-id", h.CallID, "1-7@192.0.2.9"},
		{"cseq", h.CSeqValue, "1 INVITE"},
		{"content-type", h.ContentType, "application/sdp"},
		{"body", h.Body, "v=0\r\n"},
	} {
		if got := string(c.span.Of(msg)); got != c.want {
			t.Errorf("%s %q, want %q", c.name, got, c.want)
		}
	}
	if !h.Request || h.Method != "INVITE" || h.CSeq != 1 || h.MaxForwards != 70 || len(h.Vias) != 2 {
		t.Errorf("head %+v", h)
	}
}

// Every header line is there once, in order, and the lines together are the header section.
func TestScanLines(t *testing.T) {
	t.Parallel()
	msg := []byte("OPTIONS sip:a@example.org SIP/2.0\r\nv: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\n" +
		"Max-Forwards : 70\r\nRoute: <sip:h;lr>,\r\n <sip:i;lr>\r\nX-Other:\r\nf: <sip:b@example.org>;tag=1\r\n" +
		"t: <sip:a@example.org>\r\ni: 1\r\nCSeq: 1 OPTIONS\r\n\r\n")
	var h Head
	for range 2 { // a Head is used again
		if r := Scan(msg, &h); r != nil {
			t.Fatal(r)
		}
	}
	want := []struct {
		name, value string
		field       Field
	}{
		{"v", "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1", FieldVia},
		{"Max-Forwards", "70", FieldMaxForwards},
		{"Route", "<sip:h;lr>,\r\n <sip:i;lr>", FieldRoute},
		{"X-Other", "", FieldOther},
		{"f", "<sip:b@example.org>;tag=1", FieldFrom},
	}
	at := h.Lines[0].From
	for i, line := range h.Lines {
		if line.From != at || i < len(want) && (string(line.Name.Of(msg)) != want[i].name ||
			string(line.Value.Of(msg)) != want[i].value || line.Field != want[i].field) {
			t.Errorf("line %d is %q", i, line.Of(msg))
		}
		at = line.To
	}
	if string(msg[at:]) != "\r\n" || len(h.Lines) != 8 {
		t.Errorf("%d lines, %q is left", len(h.Lines), msg[at:])
	}
}

func TestScanResponse(t *testing.T) {
	t.Parallel()
	msg := edit(t, invite, "INVITE sip:1001@192.0.2.1:5060 SIP/2.0", "SIP/2.0 183 ", "Max-Forwards: 70\r\n", "")
	var h Head
	if r := Scan(msg, &h); r != nil {
		t.Fatalf("refused: %v", r)
	}
	if h.Request || h.Status != 183 || h.Method != "INVITE" || h.MaxForwards != -1 || h.URI.Present() {
		t.Errorf("head %+v", h)
	}
}

func TestScanRefuses(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", MaxURI)
	for _, c := range []struct {
		name   string
		edits  []string
		status int // 0 = accepted
		usable bool
	}{
		{"nothing", nil, 0, true},
		{"two Call-IDs", []string{"CSeq:", "i: 2\r\nCSeq:"}, 400, true},
		{"two From, one compact", []string{"CSeq:", "f: <sip:x@example.org>;tag=2\r\nCSeq:"}, 400, true},
		{"two To, space before the colon", []string{"CSeq:", "TO \t: <sip:x@example.org>\r\nCSeq:"}, 400, true},
		{"two Content-Length", []string{"Content-Length: 5", "Content-Length: 5\r\nl: 0"}, 400, true},
		{"two Content-Type", []string{"Content-Length", "c: text/plain\r\nContent-Length"}, 400, true},
		{"two Session-Expires", []string{"Content-Length", "x: 90\r\nContent-Length"}, 400, true},
		{"two Contacts", []string{"Content-Length", "m: <sip:a@example.org>\r\nContent-Length"}, 0, true},
		{"no To", []string{"To: <sip:1001@example.org>\r\n", ""}, 400, true},
		{"no From", []string{"From:", "X-From:"}, 400, true},
		{"no Call-ID", []string{"Call-ID:", "X-Call-ID:"}, 400, true},
		{"no CSeq", []string{"CSeq:", "X-CSeq:"}, 400, false},
		{"no Via", []string{"\nVia:", "\nX-Via:", "\nVia:", "\nX-Via:"}, 400, false},
		{"body too short", []string{"Content-Length: 5", "Content-Length: 6"}, 400, true},
		{"body too long", []string{"Content-Length: 5", "Content-Length: 3"}, 0, true},
		{"Content-Length negative", []string{"Content-Length: 5", "Content-Length: -5"}, 400, true},
		{"Content-Length overflows", []string{"Content-Length: 5", "Content-Length: 4294967301"}, 400, true},
		{"Content-Length empty", []string{"Content-Length: 5", "Content-Length: "}, 400, true},
		{"NUL in a header", []string{"timer, replaces", "timer,\x00 replaces"}, 400, true},
		{"NUL in a name", []string{"Supported:", "Supported\x00:"}, 400, true},
		{"NUL in a quoted string", []string{"Alice;", "Al\x00ice;"}, 400, true},
		{"NUL in a quoted pair", []string{"Alice;", "Al\\\x00ice;"}, 0, true},
		{"NUL in the body", []string{"v=0\r\n", "v=\x00\r\n"}, 0, true},
		{"CSeq 2^31-1", []string{"CSeq: 1 ", "CSeq: 2147483647 "}, 0, true},
		{"CSeq 2^31", []string{"CSeq: 1 ", "CSeq: 2147483648 "}, 400, true},
		{"CSeq overflows", []string{"CSeq: 1 ", "CSeq: 18446744073709551617 "}, 400, true},
		{"CSeq of another method", []string{"CSeq: 1 INVITE", "CSeq: 1 OPTIONS"}, 400, true},
		{"CSeq of another method, this one unknown", []string{"INVITE sip", "NEWMETHOD sip"}, 501, true},
		{"CSeq without method", []string{"CSeq: 1 INVITE", "CSeq: 1"}, 400, false},
		{"Via port", []string{"192.0.2.9:5062;rport", "192.0.2.9:65536;rport"}, 400, true},
		{"Via without host", []string{"UDP 192.0.2.9:5062", "UDP"}, 400, false},
		{"Via with empty parameter", []string{";rport;", ";;rport;"}, 400, true},
		{"Via with two branches", []string{";rport;", ";branch=z9hG4bK1;"}, 400, true},
		{"Via with a quoted parameter", []string{";rport;", ";x=\"y\";"}, 400, true},
		{"Via of RFC 2543", []string{"branch=z9hG4bK-7-1-0", "branch=1"}, 0, true},
		{"Via without branch", []string{";branch=z9hG4bK-7-1-0", ""}, 0, true},
		{"Via with the cookie alone", []string{"branch=z9hG4bK-7-1-0", "branch=z9hG4bK"}, 400, true},
		{"second Via malformed", []string{"SIP/2.0/TLS c", "SIP/2.0 c"}, 400, true},
		{"Max-Forwards large", []string{"Max-Forwards: 70", "Max-Forwards: 255"}, 0, true},
		{"Max-Forwards no number", []string{"Max-Forwards: 70", "Max-Forwards: x"}, 400, true},
		{"two tags", []string{";tag=7SIPpTag001", ";tag=7;tag=8"}, 400, true},
		{"tag in a quoted parameter", []string{";tag=7SIPpTag001", `;tag=7;x=";tag=8"`}, 400, true},
		{"unbalanced quote", []string{`"Alice;`, `Alice;`}, 400, true},
		{"Contact with headers, no brackets", []string{"<sip:1001@192.0.2.9:5062;transport=udp>", "sip:a@example.org?x=y"}, 400, true},
		{"Contact star", []string{"<sip:1001@192.0.2.9:5062;transport=udp>", "*"}, 0, true},
		{"Contact quoted comma", []string{"Contact: <", "Contact: \"a, b\\\"\" <sip:a@example.org>;q=0.5,\t<"}, 0, true},
		{"parameters of From", []string{";tag=7SIPpTag001", strings.Repeat(";x", MaxParams)}, 0, true},
		{"too many parameters of From", []string{";tag=7SIPpTag001", strings.Repeat(";x", MaxParams+1)}, 400, true},
		{"too many parameters of Contact", []string{";transport=udp>", ">" + strings.Repeat(";x", MaxParams+1)}, 400, true},
		{"too many parameters of Via", []string{";rport;", strings.Repeat(";x", MaxParams) + ";"}, 400, true},
		{"version 7", []string{"SIP/2.0\r", "SIP/7.0\r"}, 505, true},
		{"no version", []string{" SIP/2.0\r", "\r"}, 400, true},
		{"two spaces", []string{"INVITE ", "INVITE  "}, 400, true},
		{"lower-case method", []string{"INVITE ", "invite ", "1 INVITE", "1 invite"}, 400, true},
		{"unknown method", []string{"INVITE ", "invite2 ", "1 INVITE", "1 invite2"}, 0, true},
		{"URI too long", []string{"sip:1001@", "sip:" + long + "@"}, 414, true},
		{"URI port", []string{":5060 SIP/2.0", ":65536 SIP/2.0"}, 400, true},
		{"URI headers", []string{":5060 SIP/2.0", ":5060?Route=x SIP/2.0"}, 400, true},
		{"URI of another scheme", []string{"sip:1001@192.0.2.1:5060", "tel:+15550101"}, 0, true},
		{"To URI too long", []string{"To: <sip:1001", "To: <sip:" + long}, 400, true},
		{"header too long", []string{"Supported:", "Supported:" + strings.Repeat(" ", MaxHeaderLine)}, 400, true},
		{"header without colon", []string{"Supported: timer, replaces, path", "Supported"}, 400, true},
		{"too many headers", []string{"Supported:", strings.Repeat("X: y\r\n", MaxHeaders) + "Supported:"}, 400, true},
		{"no blank line", []string{"\r\n\r\nv=0\r\n", "\r\n"}, 400, true},
		{"bare LF", []string{"Supported: timer,", "Supported: timer\nP-Asserted-Identity: x"}, 400, true},
		{"bare CR", []string{"Supported: timer,", "Supported: timer\rP-Asserted-Identity: x"}, 400, true},
		{"too large", []string{"v=0\r\n", strings.Repeat("v", MaxMessage)}, 513, true},
		{"malformed ACK", []string{"INVITE ", "ACK ", "1 INVITE", "1 ACK", "Max-Forwards: 70", "Max-Forwards: x"}, 400, false},
		{"malformed response", []string{"INVITE sip:1001@192.0.2.1:5060 SIP/2.0", "SIP/2.0 99 No", "Max-", "X-"}, 400, false},
		{"status 700", []string{"INVITE sip:1001@192.0.2.1:5060 SIP/2.0", "SIP/2.0 700 No", "Max-", "X-"}, 400, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var h Head
			r := Scan(edit(t, invite, c.edits...), &h)
			switch {
			case r == nil && c.status != 0:
				t.Fatalf("accepted, want %d", c.status)
			case r != nil && (r.Status != c.status || r.Usable != c.usable):
				t.Fatalf("refused %+v, want %d usable %v", *r, c.status, c.usable)
			}
		})
	}
}

func TestScanClampsMaxForwards(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{"0": 0, "0068": 68, "70": 70, "71": 70, "255": 70, "4000000000": 70} {
		var h Head
		if r := Scan(edit(t, invite, "Max-Forwards: 70", "Max-Forwards: "+text), &h); r != nil || h.MaxForwards != want {
			t.Errorf("%s became %d (%v), want %d", text, h.MaxForwards, r, want)
		}
	}
}

func TestScanCutsBody(t *testing.T) {
	t.Parallel()
	for length, want := range map[string]string{"Content-Length: 3\r\n": "v=0", "Content-Length: 0\r\n": "", "": "v=0\r\n"} {
		msg := edit(t, invite, "Content-Length: 5\r\n", length)
		var h Head
		if r := Scan(msg, &h); r != nil || string(h.Body.Of(msg)) != want {
			t.Errorf("%q: body %q (%v), want %q", length, h.Body.Of(msg), r, want)
		}
	}
}

func TestScanShortInput(t *testing.T) {
	t.Parallel()
	var h Head
	for n := range len(invite) {
		if r := Scan([]byte(invite[:n]), &h); r == nil {
			t.Errorf("the first %d bytes were accepted", n)
		}
	}
}

func TestCallID(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"Call-ID: 1-7@192.0.2.9": "1-7@192.0.2.9",
		"i:x":                    "x",
		"CALL-id\t :\r\n  y ":    "y",
		"Call-Info: <http://example.org>\r\nI: z": "z",
		"X-Call-ID: 1\r\n Call-ID: 2":             "",
	} {
		got, ok := CallID(edit(t, invite, "Call-ID: 1-7@192.0.2.9", text))
		if string(got) != want || ok != (want != "") {
			t.Errorf("%q gave %q, %v", text, got, ok)
		}
	}
	if _, ok := CallID([]byte("INVITE x SIP/2.0\r\n\r\nCall-ID: body\r\n")); ok {
		t.Error("found a Call-ID in the body")
	}
}

func TestHasToTag(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"To: <sip:1001@example.org>":              false,
		"To: <sip:1001@example.org;tag=1>":        false,
		"t: \";tag=1\" <sip:1001@example.org>":    false,
		"T : <sip:1001@example.org>\r\n ; Tag=1 ": true,
		"To: sip:1001@example.org;x;tag=1":        true,
	} {
		if got := HasToTag(edit(t, invite, "To: <sip:1001@example.org>", text)); got != want {
			t.Errorf("%q gave %v", text, got)
		}
	}
}

func BenchmarkScan(b *testing.B) {
	msg := []byte(strings.Replace(invite, "Supported:", "X-Pad: "+strings.Repeat("p", 900-len(invite)-9)+"\r\nSupported:", 1))
	var h Head
	b.SetBytes(int64(len(msg)))
	b.ReportAllocs()
	for b.Loop() {
		if r := Scan(msg, &h); r != nil {
			b.Fatal(r)
		}
	}
}

func BenchmarkCallID(b *testing.B) {
	msg := []byte(invite)
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := CallID(msg); !ok {
			b.Fatal("no Call-ID")
		}
	}
}
