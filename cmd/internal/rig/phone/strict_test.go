package phone

import (
	"strings"
	"testing"

	"github.com/mss-federation/mss/cmd/internal/rig/sipmsg"
)

// spoil changes messages of one kind on their way in.
func spoil(line string, change func(*sipmsg.Message)) func(*sipmsg.Message) bool {
	return func(m *sipmsg.Message) bool {
		if strings.HasPrefix(m.Line(), line) && strings.Contains(m.Line()+m.Get("cseq"), "INVITE") || m.Method == line {
			change(m)
		}
		return false
	}
}

func set(name, old, with string) func(*sipmsg.Message) {
	return func(m *sipmsg.Message) { m.Set(name, strings.Replace(m.Get(name), old, with, 1)) }
}

func body(old, with string) func(*sipmsg.Message) {
	return func(m *sipmsg.Message) { m.Body = []byte(strings.Replace(string(m.Body), old, with, 1)) }
}

func dropHeader(name string) func(*sipmsg.Message) {
	return func(m *sipmsg.Message) {
		for i, h := range m.Headers {
			if h.Name == name {
				m.Headers = append(m.Headers[:i:i], m.Headers[i+1:]...)
				return
			}
		}
	}
}

func TestStrictnessInACall(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		response func(*sipmsg.Message) bool // at the caller
		request  func(*sipmsg.Message) bool // at the callee
		want     Rule
	}{
		{name: "200 with another To tag", response: spoil("200", set("To", "tag=", "tag=x")), want: RuleToTag},
		{name: "200 without a To tag", response: spoil("200", set("To", ";tag=", ";nix=")), want: RuleToTag},
		{name: "200 with another SDP answer", response: spoil("200", body("m=audio ", "m=audio 1")), want: RuleAnswer},
		{name: "200 without SDP", response: spoil("200", func(m *sipmsg.Message) { m.Body = nil }), want: RuleAnswer},
		{name: "200 without Contact", response: spoil("200", dropHeader("Contact")), want: RuleContact},
		{name: "183 without Contact", response: spoil("183", dropHeader("Contact")), want: RuleContact},
		{name: "183 with bad SDP", response: spoil("183", body("c=IN IP4", "c=IN IP6")), want: RuleSDP},
		{name: "183 with a payload type that was not offered", response: spoil("183", body("RTP/AVP 0", "RTP/AVP 18 0")), want: RuleAnswer},
		{name: "INVITE without hops", request: spoil("INVITE", set("Max-Forwards", "70", "0")), want: RuleLateCheck},
		{name: "INVITE with two Contact", request: spoil("INVITE", set("Contact", "<", "<sip:x@192.0.2.1>, <")), want: RuleContact},
		{name: "BYE with an old CSeq", request: spoil("BYE", set("CSeq", "2", "1")), want: RuleCSeq},
		{name: "BYE to another address", request: spoil("BYE", func(m *sipmsg.Message) { m.URI = "sip:x@192.0.2.1" }), want: RuleTarget},
		{name: "BYE with a wrong tag", request: spoil("BYE", set("From", "tag=", "tag=x")), want: RuleUnknown},
		{name: "ACK with a wrong CSeq", request: spoil("ACK", set("CSeq", "1", "9")), want: RuleCSeq},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ctx := limit(t)
			a, b := pair(t, UDP, loopback, Options{OnResponse: c.response}, Options{OnRequest: c.request})
			out, err := a.Dial(ctx, "4002")
			must(t, err)
			in, err := b.WaitIncoming(ctx)
			must(t, err)
			must(t, in.Progress())
			must(t, in.Answer())
			must(t, out.WaitAnswered(ctx))
			if err := out.Hangup(ctx); err != nil && c.request == nil && c.want != RuleToTag {
				t.Error(err)
			}
			seen := a.Violations()
			if c.request != nil {
				seen = b.Violations() // the caller sees its own request come back changed, too
			}
			if len(seen) == 0 || seen[0].Rule != c.want {
				t.Errorf("saw %v, want %s", seen, c.want)
			}
		})
	}
}

func TestFinalResponseRepeatedAfterItsACK(t *testing.T) {
	t.Parallel()
	ctx := limit(t)
	a, b := pair(t, UDP, loopback, Options{}, Options{
		AutoAnswer: true,
		OnRequest:  func(m *sipmsg.Message) bool { return m.Method == "ACK" },
	})
	out, err := a.Dial(ctx, "4002")
	must(t, err)
	must(t, out.WaitAnswered(ctx))
	must(t, eventually(ctx, func() bool { return len(a.Violations()) > 0 }))
	if got := a.Violations()[0].Rule; got != RuleRepeat {
		t.Errorf("rule %s", got)
	}
	clean(t, b)
}
