package sipgate

import (
	"fmt"
	"strings"
	"testing"

	"github.com/emiago/sipgo/sip"
	"pgregory.net/rapid"
)

// spelling draws the spellings that RFC 3261 §25.1 allows.
type spelling struct{ *rapid.T }

func (s spelling) pick(options ...string) string { return rapid.SampledFrom(options).Draw(s.T, "pick") }

func (s spelling) maybe(text string) string { return s.pick("", text) }

// sws is separating white space, which may be none.
func (s spelling) sws() string { return s.pick("", "", "", " ", "\t", "  ", "\r\n ", " \r\n\t ") }

// lws is white space, which must be some.
func (s spelling) lws() string { return s.pick(" ", "\t", " \t ", "\r\n ") }

func (s spelling) around(separator string) string { return s.sws() + separator + s.sws() }

func (s spelling) token() string {
	return s.pick("x", "A1", "z9hG4bK-x", "-.!%*_+`'~", "tag", "branch", "%2541", "0")
}

func (s spelling) quoted() string {
	return s.pick(`""`, `"a b"`, `"a, <b>: c"`, `"\""`, `"a\\"`, "\"\xd1\x8e\\\x00\"", `"x=y"`)
}

// anyCase is a word in capitals, in lower case, or as it is.
func (s spelling) anyCase(word string) string {
	return s.pick(word, strings.ToLower(word), strings.ToUpper(word))
}

// params draws other parameters than the one that matters, before and behind it.
func (s spelling) params(quoted bool, important string) string {
	one := func() string {
		name := s.pick("x", "Y-z", "rport", "q", "Foo")
		value := s.pick("", s.around("=")+s.token())
		if quoted {
			value = s.pick(value, s.around("=")+s.quoted())
		}
		return s.around(";") + name + value
	}
	return s.pick("", one()) + important + s.pick("", one())
}

func (s spelling) host() string {
	return s.pick("example.org", "192.0.2.1", "[2001:db8::1]", "a-b.c_d.example.org", "1.example.org")
}

func (s spelling) uri() string {
	user := s.pick("", "1001@", "a;B=c:d@", "%00@", "sip;lr@", "(a)&=+$,/?!~'*@")
	return s.anyCase("sip") + s.maybe("s") + ":" + user + s.host() + s.pick("", ":5060", ":65535") +
		s.pick("", ";lr", ";Transport=UDP;x", ";user=Phone;maddr=192.0.2.1")
}

func (s spelling) display() string {
	return s.pick("", s.quoted()+s.sws(), "Alice Example ", "a%* -.!"+s.lws(), "\xd1\x8e ")
}

// nameAddr draws an address; a bare one may have no URI parameters.
func (s spelling) nameAddr() string {
	return s.pick(s.display()+"<"+s.uri()+s.pick("", "?Subject=x&y=z")+">", "sip:1001@"+s.host(), "tel:+15550101", "h323:x", "<x-y.z:opaque>")
}

func (s spelling) list() string {
	one := func() string { return s.nameAddr() + s.params(true, "") }
	return one() + s.pick("", s.around(",")+one())
}

func (s spelling) via(branch string) string {
	return s.pick("SIP", "x") + s.around("/") + "2.0" + s.around("/") + s.pick("UDP", "TLS-SCTP") + s.lws() +
		s.host() + s.pick("", s.around(":")+"5060") + s.params(false, branch)
}

func (s spelling) header(name, value string) string {
	return name + s.pick("", " ", "\t ") + ":" + s.sws() + value + s.pick("", " ") + "\r\n"
}

// message draws a valid message.
func (s spelling) message() string {
	method := s.pick("INVITE", "BYE", "Foo-1.!%*_+`'~", "ACK")
	start := method + " " + s.pick(s.uri(), "tel:+15550101;Ext=1", "x+y-z.1:?;") + " " + s.anyCase("SIP/2.0")
	if rapid.Bool().Draw(s.T, "response") {
		start = s.anyCase("SIP") + "/2.0 " + s.pick("100", "200", "699") + " " + s.pick("", "OK", "SIP", "sip-x", "SIP fine", "\xd1\x8e = 2", " ")
	}
	tag := func() string {
		return s.params(true, s.pick("", s.around(";")+s.anyCase("tag")+s.around("=")+s.token()))
	}
	address := func() string { return s.nameAddr() + tag() }
	branch := s.pick("", s.around(";")+s.anyCase("branch")+s.around("=")+"z9hG4bKabc")
	headers := []string{
		s.header(s.pick("From", "f", "FROM"), address()),
		s.header(s.pick("To", "t", "tO"), address()),
		s.header(s.pick("Call-ID", "i", "CALL-ID"), s.pick("a", "a@b", `word%ZK-!.*_+'@word~)(><:\/"][?}{`)),
		s.header(s.pick("CSeq", "cSEQ"), s.pick("0", "1", "2147483647", "0000000000000009")+s.lws()+method),
		s.header(s.pick("Via", "v", "VIA"), s.via(branch)+s.pick("", s.around(",")+s.via(branch))) + s.pick("", s.header("V", s.via(""))),
		s.pick("", s.header(s.pick("Contact", "m"), s.pick("*", s.list()))),
		s.pick("", s.header(s.pick("Route", "Record-Route"), "<"+s.uri()+">"+s.params(true, "")+s.around(",")+s.quoted()+"<sip:p;LR>")),
		s.pick("", s.header(s.pick("Refer-To", "r"), s.nameAddr()), s.header(s.pick("Referred-By", "b"), s.nameAddr())),
		s.pick("", s.header(s.pick("Supported", "k", "s", "X-%"), s.pick("", "a , b", ";;,,;"))),
		s.pick("", s.header("Max-Forwards", s.pick("0", "70", "255", "0068"))),
		s.pick("", s.header(s.pick("Content-Type", "c"), "application"+s.around("/")+"sdp"+s.around(";")+"x=y")),
	}
	headers = rapid.Permutation(headers).Draw(s.T, "order")
	body := s.pick("", "v=0\r\n", "\x00")
	length := s.pick("", s.header(s.pick("Content-Length", "l"), s.pick("", "00")+fmt.Sprint(len(body))))
	return s.pick("", "\r\n") + start + "\r\n" + strings.Join(headers, "") + length + "\r\n" + body
}

// Whatever the grammar allows passes the gate, and the parser reads it as the gate does.
func TestValidMessagesPassAndAgree(t *testing.T) {
	t.Parallel()
	parser := sip.NewParser()
	rapid.Check(t, func(t *rapid.T) {
		raw := spelling{t}.message()
		msg, h, got := gate([]byte(raw))
		if got != accepted {
			t.Fatalf("refused: %v\n%s", Scan(msg, &h), raw)
		}
		parsed, err := parser.ParseSIP(msg)
		if err != nil {
			t.Fatalf("the parser says: %v\n%s\nnormalised\n%s", err, raw, msg)
		}
		if d := disagreement(msg, &h, parsed); d != "" {
			t.Fatalf("gate and parser disagree on %s\n%s\nnormalised\n%s", d, raw, msg)
		}
		if id, ok := CallID([]byte(raw)); !ok || string(id) != string(h.CallID.Of(msg)) {
			t.Fatalf("before the gate the Call-ID is %q\n%s", id, raw)
		}
		if HasToTag([]byte(raw)) != h.ToTag.Present() {
			t.Fatalf("before the gate there is another To tag\n%s", raw)
		}
	})
}
