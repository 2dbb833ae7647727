package forwarder_test

import (
	"net/netip"
	"strings"
	"testing"
)

// hubTLS6 is where the hub of [linked] takes connections over IPv6.
var hubTLS6 = netip.MustParseAddrPort("[2001:db8::101]:5061")

// TestFamiliesChange: where a call goes from one IP version to the other there are two Record-Routes, each side's on its
// own side (RFC 5658), and both fall away together, whoever speaks.
func TestFamiliesChange(t *testing.T) {
	linked(t, twoSites[:1], func(o *office) {
		a, b := o.connect("a"), o.connectFrom(netip.MustParseAddr("2001:db8::2"), hubTLS6, "b")
		a.invite()
		m := b.hears("INVITE")
		routes := m.all("Record-Route")
		if len(routes) != 2 || !strings.HasPrefix(routes[0], "<sip:[2001:db8::101]:5061;transport=tls;lr;mss=") ||
			!strings.HasPrefix(routes[1], "<sip:192.0.2.101:5061;transport=tls;lr;mss=") {
			t.Fatalf("%q", routes)
		}
		if via := m.first("Via"); !strings.HasPrefix(via, "SIP/2.0/TLS [2001:db8::101]:5061;") {
			t.Errorf("Via %s", via)
		}
		b.respond(m, "200")
		a.hears("SIP/2.0 200")
		inside := func(method, from, to string, routes ...string) string {
			return method + " sip:x@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/TLS 192.0.2.9:40000;branch=z9hG4bK" + method + ";rport\r\nMax-Forwards: 70\r\n" +
				"Route: " + strings.Join(routes, ",") + "\r\nFrom: <sip:x@example.org>;tag=" + from + "\r\nTo: <sip:y@example.org>;tag=" + to + "\r\n" +
				"Call-ID: c\r\nCSeq: 2 " + method + "\r\nContent-Length: 0\r\n\r\n"
		}
		for _, c := range []struct {
			speaks, hears  *line
			method         string
			from, to       string
			nearer, beyond string
		}{
			{a, b, "INFO", "atag", "btag", routes[1], routes[0]},
			{b, a, "BYE", "btag", "atag", routes[0], routes[1]},
		} {
			c.speaks.send(inside(c.method, c.from, c.to, c.nearer, c.beyond))
			got := c.hears.hears(c.method)
			if left := got.all("Route"); len(left) != 0 {
				t.Errorf("%s: Routes are left: %q", c.method, left)
			}
		}
	})
}
