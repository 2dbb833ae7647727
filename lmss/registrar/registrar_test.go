package registrar

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/siptransport"
)

var (
	local = netip.MustParseAddrPort("192.0.2.1:5060")
	start = time.Date(2026, 3, 1, 9, 30, 0, 0, time.UTC)
)

// newRegistrar grants what is asked for unless the options say otherwise.
func newRegistrar(tb testing.TB, o Options) *Registrar {
	tb.Helper()
	if o.Random == nil {
		o.Random = func(int) int { return 0 }
	}
	r, err := New(o)
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

func udp(remote string) siptransport.Flow {
	return siptransport.Flow{Transport: siptransport.UDP, Local: local, Remote: netip.MustParseAddrPort(remote)}
}

func tcp(remote string, id siptransport.FlowID) siptransport.Flow {
	return siptransport.Flow{Transport: siptransport.TCP, Local: local, Remote: netip.MustParseAddrPort(remote), ID: id}
}

func tls(remote string, id siptransport.FlowID) siptransport.Flow {
	return siptransport.Flow{Transport: siptransport.TLS, Local: local, Remote: netip.MustParseAddrPort(remote), ID: id}
}

// register is a REGISTER of 4001 with one Contact header value, as it comes from ingress.
func register(tb testing.TB, flow siptransport.Flow, callID string, cseq uint32, contact string) Request {
	tb.Helper()
	var values []string
	if contact != "" {
		values = []string{contact}
	}
	contacts, star, err := ParseContacts(values)
	if err != nil {
		tb.Fatal(err)
	}
	return Request{AoR: "4001", CallID: callID, CSeq: cseq, Contacts: contacts, Star: star, Expires: Absent, Flow: flow, RPort: true}
}

// uris are the Request-URIs without the part that all have in common.
func uris(bindings []Binding) string {
	var s []string
	for _, b := range bindings {
		s = append(s, strings.TrimPrefix(b.RequestURI, "sip:4001@"))
	}
	return strings.Join(s, " ")
}

func changes(out Outcome) string {
	var s []string
	for _, c := range out.Changes {
		s = append(s, map[Action]string{Put: "+", Delete: "-"}[c.Action]+strings.TrimPrefix(c.Binding.RequestURI, "sip:4001@"))
	}
	return strings.Join(s, " ")
}

const a, b, c, d = "192.0.2.10:5060", "192.0.2.11:5060", "192.0.2.12:5060", "192.0.2.13:5060"

func contact(host string) string { return "<sip:4001@" + host + ">" }

// TestConversations registers step by step; each step names the answer, what is bound then, and what is written.
func TestConversations(t *testing.T) {
	t.Parallel()
	type step struct {
		after   time.Duration // since the first step
		flow    siptransport.Flow
		callID  string
		cseq    uint32
		contact string
		expires int // of the header; 0 means absent, -2 means "0"
		status  int
		bound   string
		changes string
	}
	for name, steps := range map[string][]step{
		"refresh by the same URI, whatever the flow": {
			{flow: udp(a), callID: "1", cseq: 1, contact: contact(a), status: 200, bound: a, changes: "+" + a},
			{flow: udp(b), callID: "2", cseq: 1, contact: contact(a), status: 200, bound: a, changes: "+" + a},
		},
		"same instance, new URI and flow": {
			{flow: udp(a), callID: "1", cseq: 1, contact: contact(a) + `;+sip.instance="<urn:uuid:1>"`, status: 200, bound: a, changes: "+" + a},
			{flow: udp(b), callID: "2", cseq: 1, contact: contact(b) + `;+sip.instance="<urn:uuid:1>"`, status: 200, bound: b, changes: "-" + a + " +" + b},
		},
		"same instance, another reg-id is another flow": {
			{flow: udp(a), callID: "1", cseq: 1, contact: contact(a) + `;+sip.instance="<urn:uuid:1>";reg-id=1`, status: 200, bound: a, changes: "+" + a},
			{flow: udp(b), callID: "2", cseq: 1, contact: contact(b) + `;+sip.instance="<urn:uuid:1>";reg-id=2`, status: 200, bound: a + " " + b, changes: "+" + b},
		},
		"same flow, new URI": {
			{flow: udp(a), callID: "1", cseq: 1, contact: contact("10.0.0.1"), status: 200, bound: "10.0.0.1", changes: "+10.0.0.1"},
			{flow: udp(a), callID: "2", cseq: 1, contact: contact("10.0.0.2"), status: 200, bound: "10.0.0.2", changes: "-10.0.0.1 +10.0.0.2"},
		},
		"two Contacts of one request do not replace each other": {
			{flow: udp(a), callID: "1", cseq: 1, contact: contact("h1") + "," + contact("h2"), status: 200, bound: "h1 h2", changes: "+h1 +h2"},
			{flow: udp(a), callID: "1", cseq: 2, contact: contact("h2") + "," + contact("h3"), status: 200, bound: "h2 h3", changes: "+h2 -h1 +h3"},
		},
		"of two equal Contacts the later counts": {
			{flow: udp(a), callID: "1", cseq: 1, contact: contact("h1") + ";expires=0," + contact("h1") + ";expires=60", status: 200, bound: "h1", changes: "+h1"},
		},
		"over the limit the oldest goes": {
			{flow: udp(a), callID: "1", cseq: 1, contact: contact(a), status: 200, bound: a, changes: "+" + a},
			{after: 1, flow: udp(b), callID: "2", cseq: 1, contact: contact(b), status: 200, bound: a + " " + b, changes: "+" + b},
			{after: 2, flow: udp(c), callID: "3", cseq: 1, contact: contact(c), status: 200, bound: a + " " + b + " " + c, changes: "+" + c},
			{after: 3, flow: udp(a), callID: "1", cseq: 2, contact: contact(a), status: 200, bound: b + " " + c + " " + a, changes: "+" + a},
			{after: 4, flow: udp(d), callID: "4", cseq: 1, contact: contact(d), status: 200, bound: c + " " + a + " " + d, changes: "+" + d + " -" + b},
		},
		"too many at once: the first three stay": {
			{flow: udp(a), callID: "1", cseq: 1, contact: contact("h1") + "," + contact("h2") + "," + contact("h3") + "," + contact("h4"), status: 200, bound: "h1 h2 h3", changes: "+h1 +h2 +h3 +h4 -h4"},
		},
		"a retransmission is answered alike and does nothing": {
			{flow: udp(a), callID: "1", cseq: 5, contact: contact(a), status: 200, bound: a, changes: "+" + a},
			{flow: udp(a), callID: "1", cseq: 5, contact: contact(a), status: 200, bound: a},
		},
		"late or from elsewhere with the same CSeq": {
			{flow: udp(a), callID: "1", cseq: 5, contact: contact(a), status: 200, bound: a, changes: "+" + a},
			{flow: udp(a), callID: "1", cseq: 4, contact: contact(a) + ";expires=0", status: 500, bound: a},
			{flow: udp(b), callID: "1", cseq: 5, contact: contact(a), status: 500, bound: a},
			{flow: udp(a), callID: "1", cseq: 4, contact: "*", expires: -2, status: 500, bound: a},
			{flow: udp(b), callID: "2", cseq: 1, contact: contact(a) + ";expires=0", status: 200, bound: "", changes: "-" + a},
		},
		"a late Contact spoils its whole request": {
			{flow: udp(a), callID: "1", cseq: 5, contact: contact(a), status: 200, bound: a, changes: "+" + a},
			{flow: udp(b), callID: "1", cseq: 4, contact: contact(b) + "," + contact(a), status: 500, bound: a},
		},
		"removing by the URI alone": {
			{flow: udp(a), callID: "1", cseq: 1, contact: contact("new"), status: 200, bound: "new", changes: "+new"},
			{flow: udp(a), callID: "0", cseq: 1, contact: contact("old") + ";expires=0", status: 200, bound: "new"},
			{flow: udp(a), callID: "1", cseq: 2, contact: contact("new"), expires: -2, status: 200, bound: "", changes: "-new"},
		},
		"removing another URI of the same instance": {
			{flow: udp(a), callID: "1", cseq: 1, contact: contact("new") + `;+sip.instance="<urn:uuid:1>"`, status: 200, bound: "new", changes: "+new"},
			{flow: udp(b), callID: "0", cseq: 1, contact: contact("old") + `;expires=0;+sip.instance="<urn:uuid:1>"`, status: 200, bound: "new"},
		},
		"star": {
			{flow: udp(a), callID: "1", cseq: 1, contact: contact(a), status: 200, bound: a, changes: "+" + a},
			{flow: udp(b), callID: "2", cseq: 1, contact: contact(b), status: 200, bound: a + " " + b, changes: "+" + b},
			{flow: udp(a), callID: "1", cseq: 2, contact: "*", status: 400, bound: a + " " + b},
			{flow: udp(a), callID: "1", cseq: 2, contact: "*", expires: 60, status: 400, bound: a + " " + b},
			{flow: udp(a), callID: "1", cseq: 2, contact: "*", expires: -2, status: 200, bound: "", changes: "-" + a + " -" + b},
		},
		"query": {
			{flow: udp(a), callID: "1", cseq: 1, contact: "", status: 200, bound: ""},
			{flow: udp(a), callID: "1", cseq: 2, contact: contact(a), status: 200, bound: a, changes: "+" + a},
			{flow: udp(b), callID: "1", cseq: 1, contact: "", status: 200, bound: a},
		},
		"too brief": {
			{flow: udp(a), callID: "1", cseq: 1, contact: contact(a) + ";expires=59", status: 423, bound: ""},
			{flow: udp(a), callID: "1", cseq: 2, contact: contact(a), expires: 59, status: 423, bound: ""},
			{flow: udp(a), callID: "1", cseq: 3, contact: contact(a), expires: 60, status: 200, bound: a, changes: "+" + a},
			{after: 60 * time.Second, flow: udp(b), callID: "2", cseq: 1, contact: contact(b), status: 200, bound: b, changes: "-" + a + " +" + b},
		},
		"an unreachable phone goes before an old one": {
			{flow: udp(a), callID: "1", cseq: 1, contact: contact(a), status: 200, bound: a, changes: "+" + a},
			{after: 1, flow: tcp(b, 7), callID: "2", cseq: 1, contact: contact(b), status: 200, bound: a + " " + b, changes: "+" + b},
			{after: 2, flow: tcp(c, 8), callID: "3", cseq: 1, contact: contact(c), status: 200, bound: a + " " + b + " " + c, changes: "+" + c},
			{after: 3, flow: siptransport.Flow{ID: 8}, status: -1},
			{after: 4, flow: udp(d), callID: "4", cseq: 1, contact: contact(d), status: 200, bound: a + " " + b + " " + d, changes: "+" + d + " -" + c},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRegistrar(t, Options{})
			for i, s := range steps {
				if s.status < 0 {
					r.FlowClosed(s.flow)
					continue
				}
				req := register(t, s.flow, s.callID, s.cseq, s.contact)
				if s.expires != 0 {
					req.Expires = max(0, s.expires)
				}
				out := r.Register(start.Add(s.after), req, 3)
				if out.Status != s.status || changes(out) != s.changes {
					t.Errorf("step %d: %d %s, changes %q; want %d, %q", i+1, out.Status, out.Reason, changes(out), s.status, s.changes)
				}
				if out.Status == 200 && uris(out.Bindings) != s.bound {
					t.Errorf("step %d: the 200 lists %q, want %q", i+1, uris(out.Bindings), s.bound)
				}
				if got := r.Register(start.Add(s.after), register(t, s.flow, "query", 1, ""), 3); uris(got.Bindings) != s.bound {
					t.Errorf("step %d: bound is %q, want %q", i+1, uris(got.Bindings), s.bound)
				}
			}
		})
	}
}

func TestExpiryIsGrantedWithJitter(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		asked       string
		random      func(int) int
		least, most int
	}{
		{"", func(int) int { return 0 }, 3600, 3600},
		{"", func(n int) int { return n - 1 }, 2880, 2880},
		{";expires=100000000000000", func(int) int { return 0 }, 7200, 7200},
		{";expires=100000000000000", func(n int) int { return n - 1 }, 5760, 5760},
		{";expires=60", func(n int) int { return n - 1 }, 60, 60},
		{";expires=nonsense", func(int) int { return 0 }, 3600, 3600},
		{";expires=600", nil, 480, 600},
	} {
		r, err := New(Options{Random: test.random})
		if err != nil {
			t.Fatal(err)
		}
		out := r.Register(start, register(t, udp(a), "1", 1, contact(a)+test.asked), 3)
		if len(out.Bindings) != 1 {
			t.Fatalf("%q: %d %s", test.asked, out.Status, out.Reason)
		}
		if got := out.Bindings[0].Remaining(start); got < test.least || got > test.most {
			t.Errorf("%q: granted %d, want %d to %d", test.asked, got, test.least, test.most)
		}
	}
}

func TestContactIsEchoedAsSent(t *testing.T) {
	t.Parallel()
	r := newRegistrar(t, Options{})
	sent := `"A \"quoted\" <name>, with all" <sip:4001@192.0.2.10:5060;transport=UDP;ob>;q=0.5;+sip.instance="<urn:uuid:00000000-0000-1000-8000-000000000001>";reg-id=1`
	out := r.Register(start, register(t, udp(a), "1", 1, sent+";expires=600"), 3)
	if len(out.Bindings) != 1 {
		t.Fatalf("%d %s", out.Status, out.Reason)
	}
	if got, want := string(out.Bindings[0].AppendContact(nil, start.Add(1500*time.Millisecond))), sent+";expires=599"; got != want {
		t.Errorf("echo\n%s, want\n%s", got, want)
	}
}

func TestOrderOfRinging(t *testing.T) {
	t.Parallel()
	r := newRegistrar(t, Options{})
	for i, contact := range []string{contact("first") + ";q=0.5", contact("best"), contact("second") + ";q=0.5", contact("last") + ";q=0.1"} {
		flow := udp(fmt.Sprintf("192.0.2.%d:5060", 20+i))
		r.Register(start.Add(time.Duration(i)*time.Second), register(t, flow, fmt.Sprint(i), 1, contact), 5)
	}
	var groups []string
	for group := range Groups(r.Bindings(start.Add(time.Minute), "4001")) {
		groups = append(groups, uris(group))
	}
	if got := strings.Join(groups, " | "); got != "best | second first | last" {
		t.Errorf("rings %q", got)
	}
}

func TestClosedConnectionMakesUnreachableAtOnce(t *testing.T) {
	t.Parallel()
	r := newRegistrar(t, Options{})
	flow := tcp(a, 9)
	r.Register(start, register(t, flow, "1", 1, contact(a)), 3)
	if got := r.Bindings(start, "4001"); len(got) != 1 || got[0].Target != flow {
		t.Fatalf("a phone over TCP is reached by its connection: %+v", got)
	}
	r.FlowClosed(tcp(b, 10)) // somebody else's
	if len(r.Bindings(start, "4001")) != 1 {
		t.Error("another connection's end made it unreachable")
	}
	r.FlowClosed(flow)
	r.FlowClosed(flow)
	if len(r.Bindings(start, "4001")) != 0 || r.Count() != 1 {
		t.Error("after its end it must be unreachable and still bound")
	}
	if got := r.Expire(start.Add(time.Hour)); len(got) != 1 || got[0].Action != Delete || r.Count() != 0 {
		t.Errorf("deleted at expiry: %+v", got)
	}
	r.Register(start, register(t, tcp(b, 11), "1", 2, contact(a)), 3)
	if len(r.Bindings(start, "4001")) != 1 {
		t.Error("a phone that came back is reachable")
	}
}

// A sips Contact promises TLS: over other transports it is refused whole.
func TestSIPSNeedsTLS(t *testing.T) {
	t.Parallel()
	for flow, want := range map[siptransport.Flow]int{udp(a): 400, tcp(a, 3): 400, tls(a, 4): 200} {
		r := newRegistrar(t, Options{})
		if out := r.Register(start, register(t, flow, "1", 1, "<sips:4001@192.0.2.10>"), 3); out.Status != want || (want == 200) != (r.Count() == 1) {
			t.Errorf("%v: %d %s, %d bound; want %d", flow, out.Status, out.Reason, r.Count(), want)
		}
	}
}

func TestWhereAPhoneIsReached(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		flow    siptransport.Flow
		contact string
		rport   bool
		nat     bool
		target  siptransport.Flow
	}{
		"its source is its Contact":     {udp(a), "<sip:4001@192.0.2.10>", false, false, udp(a)},
		"behind NAT":                    {udp("192.0.2.10:1024"), "<sip:4001@10.0.0.1>", true, true, udp("192.0.2.10:1024")},
		"behind NAT, without rport":     {udp("192.0.2.10:1024"), "<sip:4001@10.0.0.1>", false, true, udp("192.0.2.10:1024")},
		"by a name":                     {udp(a), "<sip:4001@phone.example.org>", true, true, udp(a)},
		"its NAT changed the port":      {udp("192.0.2.10:1024"), "<sip:4001@192.0.2.10>", true, true, udp("192.0.2.10:1024")},
		"it listens on another port":    {udp("192.0.2.10:1024"), "<sip:4001@192.0.2.10>", false, false, udp(a)},
		"it wants TCP":                  {udp(a), "<sip:4001@192.0.2.10;transport=tcp>", true, false, siptransport.Flow{Transport: siptransport.TCP, Local: netip.MustParseAddrPort("192.0.2.1:0"), Remote: netip.MustParseAddrPort(a)}},
		"it wants TCP but is elsewhere": {udp(a), "<sip:4001@10.0.0.1;transport=tcp>", true, true, udp(a)},
		"it wants TLS":                  {udp(a), "<sip:4001@192.0.2.10:5061;transport=tls>", true, true, udp(a)},
		"over TLS":                      {tls("192.0.2.10:40000", 3), "<sip:4001@192.0.2.10:40000;transport=tls>", true, false, tls("192.0.2.10:40000", 3)},
		"over TLS, by sips":             {tls("192.0.2.10:40000", 3), "<sips:4001@192.0.2.10:40000>", true, false, tls("192.0.2.10:40000", 3)},
		"over TCP":                      {tcp("192.0.2.10:40000", 3), "<sip:4001@192.0.2.10>", true, false, tcp("192.0.2.10:40000", 3)},
		"over TCP behind NAT":           {tcp("192.0.2.10:40000", 3), "<sip:4001@10.0.0.1:40000>", true, true, tcp("192.0.2.10:40000", 3)},
		"IPv6":                          {udp("[2001:db8::1]:5060"), "<sip:4001@[2001:DB8:0::1]>", true, false, udp("[2001:db8::1]:5060")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			req := register(t, test.flow, "1", 1, test.contact)
			req.RPort = test.rport
			out := newRegistrar(t, Options{}).Register(start, req, 3)
			if len(out.Bindings) != 1 {
				t.Fatalf("%d %s", out.Status, out.Reason)
			}
			if got := out.Bindings[0]; got.Target != test.target || got.NAT != test.nat {
				t.Errorf("target %v, NAT %v; want %v, %v", got.Target, got.NAT, test.target, test.nat)
			}
		})
	}
}

func TestPhonesBehindNATArePinged(t *testing.T) {
	t.Parallel()
	r := newRegistrar(t, Options{})
	behind := udp("192.0.2.10:1024")
	r.Register(start, register(t, behind, "1", 1, contact("10.0.0.1")), 3)
	r.Register(start, register(t, udp(b), "2", 1, contact(b)), 3)
	r.Register(start, register(t, tcp(c, 5), "3", 1, contact("10.0.0.3")), 3)
	var at []int
	for second := range 120 {
		for flow := range r.NATFlows(start.Add(time.Duration(second) * time.Second)) {
			if flow != behind {
				t.Errorf("pinged %v", flow)
			}
			at = append(at, second)
		}
	}
	if len(at) < 4 || at[0] > 25 {
		t.Fatalf("pinged at %v s", at)
	}
	for i := 1; i < len(at); i++ {
		if gap := at[i] - at[i-1]; gap != 25 {
			t.Errorf("pings at %v s: %d s apart", at, gap)
		}
	}
}

func TestRegistrarIsBounded(t *testing.T) {
	t.Parallel()
	r := newRegistrar(t, Options{MaxBindings: 2})
	for i, want := range []int{200, 200, 503} {
		req := register(t, udp(fmt.Sprintf("192.0.2.%d:5060", 10+i)), "1", 1, contact(a))
		req.AoR = federation.User(fmt.Sprintf("400%d", i))
		if out := r.Register(start, req, 3); out.Status != want || (want == 503) != (out.RetryAfter > 0) {
			t.Errorf("phone %d: %d %s, Retry-After %d; want %d", i+1, out.Status, out.Reason, out.RetryAfter, want)
		}
	}
	again := register(t, udp(a), "1", 2, contact(a))
	again.AoR = "4000"
	if out := r.Register(start, again, 3); out.Status != 200 {
		t.Errorf("a phone that is bound goes on: %d", out.Status)
	}
}

func TestRestore(t *testing.T) {
	t.Parallel()
	before := newRegistrar(t, Options{})
	before.Register(start, register(t, udp(a), "1", 1, contact(a)), 3)
	before.Register(start, register(t, tcp(b, 12), "2", 1, contact(b)), 3)
	before.Register(start, register(t, udp(c), "3", 1, contact(c)+";expires=60"), 3)
	stored := slices.Collect(before.All())

	after := newRegistrar(t, Options{})
	now := start.Add(2 * time.Minute)
	after.Restore(now, stored)
	for restored := range after.All() {
		if restored.Flow.ID != 0 || restored.Target.ID != 0 {
			t.Errorf("%s is at a connection of the process that died: %v", restored.RequestURI, restored.Flow)
		}
	}
	if got := uris(after.Bindings(now, "4001")); got != a || after.Count() != 2 {
		t.Errorf("reachable after a restart: %q of %d", got, after.Count())
	}
	after.FlowClosed(tcp(d, 12)) // a new connection that happens to have the old one's number
	after.Register(now, register(t, tcp(b, 1), "2", 2, contact(b)), 3)
	if got := len(after.Bindings(now, "4001")); got != 2 || after.Count() != 2 {
		t.Errorf("the phone over TCP came back: %d of %d", got, after.Count())
	}
	if next, ok := after.NextExpiry(); !ok || next.After(start.Add(time.Hour)) {
		t.Errorf("next expiry %v, %v", next, ok)
	}
}

func TestPhonesBehindOneProxyShareItsFlow(t *testing.T) {
	t.Parallel()
	r := newRegistrar(t, Options{})
	for i, host := range []string{a, b} {
		req := register(t, udp(c), fmt.Sprint(i), 1, contact(host))
		req.Path = []string{"<sip:edge.example.org;lr>"}
		if out := r.Register(start, req, 3); len(out.Bindings) != i+1 {
			t.Errorf("phone %d: %q is bound", i+1, uris(out.Bindings))
		}
	}
}

func TestARefreshKeepsWhenThePhoneCame(t *testing.T) {
	t.Parallel()
	r := newRegistrar(t, Options{})
	r.Register(start, register(t, udp(a), "1", 1, contact(a)), 3)
	later := start.Add(time.Minute)
	out := r.Register(later, register(t, udp(a), "1", 2, contact(a)), 3)
	if got := out.Bindings[0]; !got.Registered.Equal(start) || !got.Refreshed.Equal(later) {
		t.Errorf("registered %v, refreshed %v", got.Registered, got.Refreshed)
	}
}

func TestNextExpiryMovesOn(t *testing.T) {
	t.Parallel()
	r := newRegistrar(t, Options{})
	r.Register(start, register(t, udp(a), "1", 1, contact(a)+";expires=60"), 3)
	r.Register(start, register(t, udp(b), "2", 1, contact(b)+";expires=600"), 3)
	now := start.Add(time.Minute)
	if got := r.Expire(now); len(got) != 1 || got[0].Binding.RequestURI != "sip:4001@"+a {
		t.Errorf("expired: %+v", got)
	}
	if next, ok := r.NextExpiry(); !ok || !next.Equal(start.Add(10*time.Minute)) {
		t.Errorf("next expiry %v, %v", next, ok)
	}
}

func TestRemove(t *testing.T) {
	t.Parallel()
	r := newRegistrar(t, Options{})
	r.Register(start, register(t, udp(a), "1", 1, contact(a)), 3)
	if got := r.Remove("4001"); len(got) != 1 || got[0].Action != Delete || r.Count() != 0 || r.Bindings(start, "4001") != nil {
		t.Errorf("removed: %+v", got)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	if _, err := New(Options{MinExpires: 2 * time.Hour}); err == nil {
		t.Error("a shortest expiry above the default was accepted")
	}
}

func BenchmarkRefresh(b *testing.B) {
	r := newRegistrar(b, Options{})
	req := register(b, udp(a), "1", 1, contact(a))
	b.ReportAllocs()
	for b.Loop() {
		req.CSeq++
		if out := r.Register(start, req, 3); out.Status != 200 {
			b.Fatal(out.Reason)
		}
	}
}
