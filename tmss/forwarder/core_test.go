package forwarder

import (
	"bytes"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/nodelink"
	"github.com/mss-federation/mss/pkg/sipgate"
	"github.com/mss-federation/mss/pkg/siptransport"
	"github.com/mss-federation/mss/pkg/siptx"
	"github.com/mss-federation/mss/tmss/cookie"
)

func TestVerdicts(t *testing.T) {
	t.Parallel()
	again := []int{500, 502, 503, 504}
	for status := 300; status < 700; status++ {
		want := final
		if slices.Contains(again, status) {
			want = nextPath
		}
		if got := judge(outcome{status: status, search: true}); got != want {
			t.Errorf("%d: %d, want %d", status, got, want)
		}
		for _, o := range []outcome{{status: status}, {status: status, search: true, rang: true}, {status: status, earlier: true}} {
			if got := judge(o); got != final {
				t.Errorf("%+v: %d, want final", o, got)
			}
		}
		if got := relayed(status); got == 503 || status != 503 && got != status {
			t.Errorf("%d leaves as %d", status, got)
		}
	}
	if got := judge(outcome{status: 482, search: true, earlier: true}); got != wait {
		t.Errorf("482 to a later copy: %d", got)
	}
}

func TestBreaker(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	at := func(seconds float64) time.Time { return now.Add(time.Duration(seconds * float64(time.Second))) }
	var b breaker
	if !b.allow(at(0)) || !b.allow(at(0.1)) {
		t.Error("a closed breaker refuses")
	}
	b.fail(at(0))
	for _, step := range []struct {
		at   float64
		want bool
	}{{0.9, false}, {1, true}, {1.1, false}, {3.9, false}, {4, true}} {
		if got := b.allow(at(step.at)); got != step.want {
			t.Errorf("after %v s: %v", step.at, got)
		}
	}
	b.fail(at(5))
	if b.allow(at(6.9)) || !b.allow(at(7)) {
		t.Error("the second time is not 2 s")
	}
	for range 20 {
		b.fail(at(10))
	}
	if b.allow(at(39.9)) || !b.allow(at(40)) {
		t.Error("it does not end at 30 s")
	}
}

func TestBreakerIsShown(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	var b breakers
	b.init()
	p := peer{siptransport.UDP, netip.MustParseAddrPort("192.0.2.1:5060")}
	want := func(after time.Duration, want BreakerState) {
		t.Helper()
		if got := b.state(p, now.Add(after)); got != want {
			t.Errorf("after %v it is %v, want %v", after, got, want)
		}
	}
	want(0, Closed)
	b.fail(p, now)
	want(shortestOpen-1, Open)
	want(shortestOpen, Probing)
	b.allow(p, now.Add(shortestOpen))
	want(shortestOpen+1, Probing)
	b.fail(p, now.Add(shortestOpen+2))
	want(shortestOpen+3, Open)
	b.ok(p)
	want(shortestOpen+4, Closed)
}

func TestBreakersAreBoundedAndForget(t *testing.T) {
	t.Parallel()
	var b breakers
	b.init()
	now := time.Unix(1000, 0)
	one := peer{siptransport.UDP, netip.MustParseAddrPort("192.0.2.1:5060")}
	if !b.fail(one, now) || b.fail(one, now) || b.allow(one, now) {
		t.Error("opened once, and closed to others")
	}
	b.ok(one)
	if !b.allow(one, now) || b.count.Load() != 0 {
		t.Error("an answer does not close it")
	}
	for i := range 2 * maxBreakers {
		b.fail(peer{siptransport.TLS, netip.AddrPortFrom(one.remote.Addr(), uint16(i))}, now.Add(time.Duration(i)*time.Second))
	}
	if n := len(b.mu.open); n > maxBreakers {
		t.Errorf("%d are remembered", n)
	}
}

func TestNumbers(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]federation.Number{
		"sip:1001@example.org":                   "1001",
		"sip:+1-555-010.0@example.org:5060":      "+15550100",
		"SIP:(555)0100;ext=1@example.org;lr":     "5550100",
		"tel:+1-555-0100;phone-context=x":        "+15550100",
		"sip:%2b15550100@example.org":            "+15550100",
		"sip:anna.b-c@example.org":               "anna.b-c",
		"sip:1001:secret@example.org;user=phone": "1001",
		"sip:example.org":                        "",
		"sip:*98%2@example.org":                  "*98%2",
	} {
		if u := cutURI([]byte(text)); u.number() != want {
			t.Errorf("%s is %q, want %q", text, u.number(), want)
		}
	}
	if u := cutURI([]byte("http://example.org")); u.scheme != "" {
		t.Errorf("scheme %q", u.scheme)
	}
}

func TestRoutesAreRead(t *testing.T) {
	t.Parallel()
	msg := []byte("BYE sip:x@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK1\r\n" +
		"Route: \"a, <b>\" <sip:h1;lr;mss=aa>;x=1 , <sip:h2;transport=tls;MSS=bb;lr>\r\nTo: <sip:a@b>;tag=1\r\n" +
		"From: <sip:a@b>;tag=2\r\nRoute: <sip:u,v@h3:5061;lr>\r\nCall-ID: 1\r\nCSeq: 1 BYE\r\n\r\n")
	var h sipgate.Head
	if r := sipgate.Scan(msg, &h); r != nil {
		t.Fatal(r)
	}
	var got []string
	for _, r := range readRoutes(nil, msg, &h) {
		got = append(got, string(r.Of(msg))+" "+string(r.uri.host)+" "+string(r.cookie))
	}
	want := []string{`"a, <b>" <sip:h1;lr;mss=aa>;x=1 h1 aa`, "<sip:h2;transport=tls;MSS=bb;lr> h2 bb", "<sip:u,v@h3:5061;lr> h3:5061 "}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestPathKeepsItsShape(t *testing.T) {
	t.Parallel()
	text := appendStep(nil, "hub/a", tokenOf("10,0;1"), `rule "x" é`)
	text = appendStep(append(text, ", "...), "hub/b", "1", "")
	first, last, found := loop(text, "hub/a", "10_0_1")
	if !found || string(first.rule) != "rule__x___" || string(last.node) != "hub/b" {
		t.Errorf("%s: %q, %q, %v", text, first, last, found)
	}
	for node, to := range map[federation.NodeID]string{"hub/a": "1", "hub/": "10_0_1", "hub/b": "10_0_1"} {
		if _, _, found := loop(text, node, to); found {
			t.Errorf("%s with %s was found in %s", node, to, text)
		}
	}
}

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	good := Options{
		Self: "hub/a", Routes: none{}, Links: none{}, Keys: new(cookie.Keyring),
		SentBy: func(f siptransport.Flow) netip.AddrPort { return f.Local },
	}
	if _, err := New(good); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Options){
		"no routes": func(o *Options) { o.Routes = nil }, "no links": func(o *Options) { o.Links = nil },
		"no keys": func(o *Options) { o.Keys = nil }, "a site": func(o *Options) { o.Self = "site/a" },
		"no address": func(o *Options) { o.SentBy = nil }, "negative": func(o *Options) { o.Silence = -1 },
	} {
		o := good
		change(&o)
		if _, err := New(o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// none is a hub without routes and links.
type none struct{}

func (none) Lookup(federation.Number) []Hop                   { return nil }
func (none) Node(siptransport.Flow) (federation.NodeID, bool) { return "", false }
func (none) Best(federation.NodeID) (nodelink.Link, bool)     { return nodelink.Link{}, false }

// FuzzForward: what passed the gate passes it again when it is passed on, changed only where a proxy changes it.
func FuzzForward(f *testing.F) {
	keys := new(cookie.Keyring)
	keys.Set([]cookie.Key{{ID: 1, Made: time.Unix(1, 0)}})
	hub, err := New(Options{
		Self: "hub/a", Routes: none{}, Links: none{}, Keys: keys,
		SentBy: func(f siptransport.Flow) netip.AddrPort { return f.Local },
	})
	if err != nil {
		f.Fatal(err)
	}
	var h *handler
	_, err = siptx.New(siptx.Options{Workers: 1, Sender: hubless{}, NewHandler: func(w *siptx.Worker) siptx.Handler {
		h, _ = hub.Handler(w).(*handler)
		return h
	}})
	if err != nil {
		f.Fatal(err)
	}
	head := "Via: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK1;rport, SIP/2.0/TCP h;branch=z9hG4bK2\r\nv: SIP/2.0/UDP i;branch=z9hG4bK3\r\n" +
		"f: <sip:a@example.org>;tag=1\r\nTo: <sip:1001@example.org>\r\ni: c\r\nCSeq: 1 INVITE\r\n"
	f.Add([]byte("INVITE sip:1001@example.org SIP/2.0\r\n" + head + "Max-Forwards: 0\r\nX-MSS-Path: a\r\nl: 2\r\n\r\nhi"))
	f.Add([]byte("INVITE sip:1001@example.org SIP/2.0\r\nRoute: <sip:x;lr>,\r\n <sip:y;lr>\r\n" + head + "Route:<sip:z;lr>\r\n\r\nbody"))
	f.Add([]byte("INVITE tel:+15550100 SIP/2.0\r\nx-mss-by: q\r\nDiversion:\r\n" + head + "\r\n"))
	local := netip.MustParseAddrPort("192.0.2.101:5060")
	in := siptransport.Flow{Transport: siptransport.UDP, Local: local, Remote: netip.MustParseAddrPort("192.0.2.9:5060")}
	out := siptransport.Flow{Transport: siptransport.TLS, Local: netip.MustParseAddrPort("192.0.2.101:5061"), Remote: netip.MustParseAddrPort("192.0.2.2:5061"), ID: 1}
	f.Fuzz(func(t *testing.T, msg []byte) {
		msg = sipgate.Normalise(msg)
		var before, after sipgate.Head
		if sipgate.Scan(msg, &before) != nil || !before.Request {
			return
		}
		routes := readRoutes(nil, msg, &before)
		for _, node := range []federation.NodeID{"site/b", "trunk/t"} {
			got := h.appendRequest(nil, &forward{
				msg: msg, head: &before, from: in, routes: routes, popped: min(1, len(routes)), sender: "trunk/s",
				node: node, flow: out, branch: 7, record: true, target: true, path: []byte("hub/a;to=1"),
			})
			if len(got) > sipgate.MaxMessage || len(before.Lines) > sipgate.MaxHeaders-8 || len(before.URI.Of(msg)) > sipgate.MaxURI-64 {
				return
			}
			if r := sipgate.Scan(got, &after); r != nil {
				t.Fatalf("%v\n%q\nbecame\n%q", r, msg, got)
			}
			for name, spans := range map[string][2]sipgate.Span{
				"From": {before.From, after.From}, "To": {before.To, after.To}, "Call-ID": {before.CallID, after.CallID},
				"CSeq": {before.CSeqValue, after.CSeqValue}, "body": {before.Body, after.Body},
			} {
				if !bytes.Equal(spans[0].Of(msg), spans[1].Of(got)) {
					t.Errorf("%s changed\n%q\n%q", name, msg, got)
				}
			}
			if len(after.Vias) != len(before.Vias)+1 || len(readRoutes(nil, got, &after)) != max(0, len(routes)-1) {
				t.Errorf("%d and %d Vias, %d Routes\n%q\n%q", len(before.Vias), len(after.Vias), len(routes), msg, got)
			}
			for i := range after.Lines {
				name := string(after.Lines[i].Name.Of(got))
				if isIdentity([]byte(name)) || isOurs([]byte(name)) && (node != "site/b" || i > 4 || !strings.EqualFold(name, pathName)) {
					t.Errorf("%s passed\n%q", name, got)
				}
			}
		}
	})
}

// FuzzBack: a response that passed the gate passes it again on its way back, with one Via less.
func FuzzBack(f *testing.F) {
	head := "\r\nVia: SIP/2.0/UDP 192.0.2.101:5060;branch=z9hG4bKmss, SIP/2.0/TCP h;branch=z9hG4bK2\r\nv: SIP/2.0/UDP i;branch=z9hG4bK3\r\n" +
		"f: <sip:a@example.org>;tag=1\r\nTo: <sip:1001@example.org>;tag=2\r\ni: c\r\nCSeq: 1 INVITE\r\n"
	f.Add([]byte("SIP/2.0 503 x" + head + "X-MSS-By: hub/b\r\nl: 2\r\n\r\nhi"))
	f.Add([]byte("SIP/2.0 180 " + head + "\r\nbody"))
	f.Fuzz(func(t *testing.T, msg []byte) {
		msg = sipgate.Normalise(msg)
		var before, after sipgate.Head
		if sipgate.Scan(msg, &before) != nil || before.Request || len(afterFirst(before.Vias[0].Of(msg))) == 0 && len(before.Vias) == 1 {
			return
		}
		got := appendResponse(nil, &siptx.Response{Raw: msg, Head: &before}, relayed(before.Status), false)
		if len(got) > sipgate.MaxMessage || len(before.Lines) == sipgate.MaxHeaders {
			return // a Content-Length was added to a message that was full
		}
		if r := sipgate.Scan(got, &after); r != nil {
			t.Fatalf("%v\n%q\nbecame\n%q", r, msg, got)
		}
		if count(got, &after) != 0 {
			t.Errorf("a header of ours is left\n%q", got)
		}
		if values(got, &after) != values(msg, &before)-1 || !bytes.Equal(before.Body.Of(msg), after.Body.Of(got)) ||
			!bytes.Equal(before.To.Of(msg), after.To.Of(got)) || after.Status == 503 {
			t.Errorf("%q\nbecame\n%q", msg, got)
		}
	})
}

// values counts Via values.
func values(msg []byte, h *sipgate.Head) (n int) {
	for _, v := range h.Vias {
		for rest := v.Of(msg); len(rest) > 0; rest = afterFirst(rest) {
			n++
		}
	}
	return n
}

// count counts headers that exist between nodes alone.
func count(msg []byte, h *sipgate.Head) (n int) {
	for i := range h.Lines {
		if isOurs(h.Lines[i].Name.Of(msg)) {
			n++
		}
	}
	return n
}

type hubless struct{}

func (hubless) Send(siptransport.Flow, []byte, func(error)) error { return nil }

func TestRestOfVias(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		"SIP/2.0/UDP a;branch=1": "", "SIP/2.0/UDP a;branch=1, SIP/2.0/UDP b": "SIP/2.0/UDP b",
		"SIP/2.0/UDP a,\r\n SIP/2.0/UDP b, SIP/2.0/UDP c": "SIP/2.0/UDP b, SIP/2.0/UDP c",
	} {
		if got := string(afterFirst([]byte(value))); got != want {
			t.Errorf("%q leaves %q, want %q", value, got, want)
		}
	}
}
