package sipmsg

import (
	"bufio"
	"errors"
	"strings"
	"testing"
)

const invite = "INVITE sip:1001@example.org SIP/2.0\r\n" +
	"v: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKa;rport, SIP/2.0/TCP 192.0.2.2;branch=z9hG4bKb\r\n" +
	"Max-Forwards: 70\r\n" +
	"From: \"A, \\\"B\\\"\" <sip:4001@example.org;x=y>;tag=1\r\n" +
	"To: sip:1001@example.org;tag=2\r\n" +
	"Call-ID: c\r\n" +
	"CSeq: 7 INVITE\r\n" +
	"Content-Type: text/plain\r\n" +
	"Content-Length: 2\r\n\r\nhi"

func TestParseTakesAMessageApart(t *testing.T) {
	t.Parallel()
	m, err := Parse([]byte(invite))
	if err != nil {
		t.Fatal(err)
	}
	vias := m.All("Via")
	branch, _ := ViaParam(vias[0], "branch")
	fromTag, _ := Param(m.Get("from"), "tag")
	toTag, _ := Param(m.Get("to"), "tag")
	n, method := m.CSeq()
	for _, c := range []struct{ what, got, want string }{
		{"method", m.Method, "INVITE"},
		{"uri", m.URI, "sip:1001@example.org"},
		{"branch", branch, "z9hG4bKa"},
		{"sent-by", SentBy(vias[1]), "192.0.2.2"},
		{"from", URI(m.Get("from")), "sip:4001@example.org;x=y"},
		{"display", Display(m.Get("from")), `A, \"B\"`},
		{"from tag", fromTag, "1"},
		{"to", URI(m.Get("to")), "sip:1001@example.org"},
		{"to tag", toTag, "2"},
		{"cseq method", method, "INVITE"},
		{"body", string(m.Body), "hi"},
	} {
		if c.got != c.want {
			t.Errorf("%s: %q, want %q", c.what, c.got, c.want)
		}
	}
	if n != 7 || len(vias) != 2 {
		t.Errorf("cseq %d, vias %d", n, len(vias))
	}
	again, err := Parse(m.Bytes())
	if err != nil || again.Get("from") != m.Get("from") {
		t.Errorf("what was written does not read: %v", err)
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for name, change := range map[string][2]string{
		"no Max-Forwards":         {"Max-Forwards: 70\r\n", ""},
		"two From":                {"Max-Forwards", "f: <sip:x@example.org>;tag=2\r\nMax-Forwards"},
		"no To":                   {"To: sip:1001@example.org;tag=2\r\n", ""},
		"wrong CSeq method":       {"7 INVITE", "7 BYE"},
		"CSeq above 31 bits":      {"7 INVITE", "2147483648 INVITE"},
		"Content-Length too long": {"Content-Length: 2", "Content-Length: 3"},
		"no Content-Length":       {"Content-Length: 2\r\n", ""},
		"folding":                 {"Call-ID: c", "Call-ID:\r\n c"},
		"version":                 {"SIP/2.0\r\n", "SIP/3.0\r\n"},
		"bare line feeds":         {"\r\n\r\n", "\n\n"},
		"body without type":       {"Content-Type: text/plain\r\n", ""},
	} {
		bad := strings.Replace(invite, change[0], change[1], 1)
		if _, err := Parse([]byte(bad)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestSetReplacesAll(t *testing.T) {
	t.Parallel()
	m := &Message{}
	m.Add("Route", "a")
	m.Add("To", "t")
	m.Add("route", "b")
	m.Set("Route", "c")
	if got := m.All("route"); len(got) != 1 || got[0] != "c" || m.Get("to") != "t" {
		t.Errorf("headers %v", m.Headers)
	}
}

func TestStreamFraming(t *testing.T) {
	t.Parallel()
	r := bufio.NewReader(strings.NewReader("\r\n\r\n" + invite + invite))
	if _, err := ReadFrom(r); !errors.Is(err, ErrPing) {
		t.Fatalf("ping: %v", err)
	}
	for range 2 {
		data, err := ReadFrom(r)
		if err != nil || string(data) != invite {
			t.Fatalf("message: %v %q", err, data)
		}
	}
	if _, err := ReadFrom(r); err == nil {
		t.Error("a message after the end")
	}
	pong := bufio.NewReader(strings.NewReader("\r\n" + invite))
	if _, err := ReadFrom(pong); !errors.Is(err, ErrPong) {
		t.Errorf("pong: %v", err)
	}
}

func TestChallengeParams(t *testing.T) {
	t.Parallel()
	p := ChallengeParams(`Digest realm="a, b", nonce="n", qop="auth,auth-int", algorithm=MD5`)
	if p["realm"] != "a, b" || p["qop"] != "auth,auth-int" || p["algorithm"] != "MD5" {
		t.Errorf("params %v", p)
	}
	if len(ChallengeParams("Basic realm=x")) != 0 {
		t.Error("another scheme was read")
	}
}
