package forwarder_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/identity"
	"github.com/mss-federation/mss/pkg/identity/identitytest"
	"github.com/mss-federation/mss/pkg/network"
	"github.com/mss-federation/mss/pkg/network/memnet"
	"github.com/mss-federation/mss/pkg/nodelink"
	"github.com/mss-federation/mss/pkg/siptransport"
	"github.com/mss-federation/mss/pkg/siptx"
	"github.com/mss-federation/mss/tmss/cookie"
	"github.com/mss-federation/mss/tmss/forwarder"
)

var hubTLS = netip.MustParseAddrPort("192.0.2.101:5061")

// office is a hub that sites connect to over TLS, as they do.
type office struct {
	t      *testing.T
	net    *memnet.Net
	domain *identitytest.Domain
	stack  *siptx.Stack
	links  *nodelink.Links
	octet  byte
	trunk  network.PacketConn // the other end of trunk/carrier, over UDP
}

// line is one site's end of its link: whole messages in, whole messages out.
type line struct {
	t        *testing.T
	links    *nodelink.Links
	endpoint *siptransport.Endpoint
	messages chan *message
	stop     func()
}

func (l *line) Receive(in *siptransport.Inbound) {
	l.messages <- parse(string(in.Data))
	in.Release()
}
func (l *line) FlowClosed(siptransport.Flow, error)       {}
func (l *line) Refused(siptransport.Flow, []byte, string) {}

func linked(t *testing.T, hops []forwarder.Hop, test func(o *office)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := &office{t: t, net: memnet.New(memnet.Options{Delay: time.Millisecond}), domain: identitytest.NewDomain(t, "example.org"), octet: 1}
		keys := new(cookie.Keyring)
		keys.Set([]cookie.Key{{ID: 1, Made: time.Now()}})
		o.links = nodelink.New(nodelink.Options{Accept: true})
		f, err := forwarder.New(forwarder.Options{
			Self: "hub/a", Routes: oneRoute(hops), Links: o.links, Keys: keys,
			SentBy: func(flow siptransport.Flow) netip.AddrPort { return flow.Local }, Host: "hubs.example.org",
			Trusted: func(federation.NodeID) bool { return true },
		})
		if err != nil {
			t.Fatal(err)
		}
		o.stack, err = siptx.New(siptx.Options{Workers: 2, Unparsed: true, Sender: o.links, NewHandler: f.Handler})
		if err != nil {
			t.Fatal(err)
		}
		host := o.net.Host(hubTLS.Addr(), hubTLS6.Addr())
		endpoint := siptransport.New(siptransport.Options{Network: host, Receiver: o.stack, Watcher: o.links})
		o.links.Attach(endpoint)
		for _, at := range []netip.AddrPort{hubTLS, hubTLS6} {
			ln, err := host.ListenTCP(t.Context(), at)
			if err != nil {
				t.Fatal(err)
			}
			if err := endpoint.AddTLS(ln, identity.ServerTLS(o.domain.Source(t, identity.Hub, "a"), o.domain.Trust)); err != nil {
				t.Fatal(err)
			}
		}
		o.openTrunk(endpoint)
		defer start(t, endpoint.Run, o.links.Run, o.stack.Run)()
		test(o)
	})
}

// openTrunk makes a UDP socket of the hub and a trunk that it knows by address.
func (o *office) openTrunk(endpoint *siptransport.Endpoint) {
	hub, err := o.net.Host(hubTLS.Addr()).ListenUDP(o.t.Context(), addrOf("a"))
	if err != nil {
		o.t.Fatal(err)
	}
	if err := endpoint.AddUDP(hub); err != nil {
		o.t.Fatal(err)
	}
	o.trunk, err = o.net.Host(addrOf("T").Addr()).ListenUDP(o.t.Context(), addrOf("T"))
	if err != nil {
		o.t.Fatal(err)
	}
	o.t.Cleanup(func() { _ = o.trunk.Close() }) // memnet's never fails
	o.links.SetStatics([]nodelink.Static{{
		Node: "trunk/carrier", Flow: siptransport.Flow{Transport: siptransport.UDP, Local: addrOf("a"), Remote: addrOf("T")},
	}})
}

// start runs things and gives what stops them.
func start(t *testing.T, runs ...func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for _, run := range runs {
		running.Go(func() {
			if err := run(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	stop = sync.OnceFunc(func() { cancel(); running.Wait() })
	t.Cleanup(stop)
	return stop
}

// connect opens one more connection of a site, from an address of its own.
func (o *office) connect(site string) *line {
	o.octet++
	return o.connectFrom(netip.AddrFrom4([4]byte{192, 0, 2, o.octet - 1}), hubTLS, site)
}

func (o *office) connectFrom(addr netip.Addr, hub netip.AddrPort, site string) *line {
	l := &line{t: o.t, messages: make(chan *message, 100), links: nodelink.New(nodelink.Options{})}
	l.endpoint = siptransport.New(siptransport.Options{Network: o.net.Host(addr), Receiver: l, Watcher: l.links})
	l.links.Attach(l.endpoint)
	l.links.SetTargets([]nodelink.Target{{
		Node: "hub/a", Flow: siptransport.Flow{Transport: siptransport.TLS, Remote: hub},
		TLS: identity.ClientTLS(o.domain.Source(o.t, identity.Site, site), o.domain.Trust, o.domain.Node(identity.Hub, "a")),
	}})
	l.stop = start(o.t, l.endpoint.Run, l.links.Run)
	settle()
	if _, ok := o.links.Best(federation.NodeID("site/" + site)); !ok {
		o.t.Fatal("no link to", site)
	}
	return l
}

func (l *line) send(text string) {
	l.t.Helper()
	link, ok := l.links.Best("hub/a")
	if !ok {
		l.t.Fatal("no link to the hub")
	}
	if err := l.links.Send(link.Flow, []byte(text), nil); err != nil {
		l.t.Fatal(err)
	}
}

// hears waits for a message that begins so.
func (l *line) hears(start string) *message {
	l.t.Helper()
	select {
	case m := <-l.messages:
		if !strings.HasPrefix(m.start, start) {
			l.t.Fatalf("heard %q, want %q", m.start, start)
		}
		return m
	case <-time.After(time.Minute):
		l.t.Fatalf("heard nothing, want %q", start)
		return nil
	}
}

func (l *line) invite() {
	l.send("INVITE sip:1001@example.org SIP/2.0\r\nVia: SIP/2.0/TLS 192.0.2.1:40000;branch=z9hG4bKa;rport\r\nMax-Forwards: 70\r\n" +
		"From: <sip:4001@example.org>;tag=atag\r\nTo: <sip:1001@example.org>\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n" +
		"P-Asserted-Identity: <sip:4001@example.org>\r\nContact: <sip:4001@192.0.2.1>\r\nContent-Length: 0\r\n\r\n")
}

func (l *line) respond(m *message, status string) {
	var b strings.Builder
	fmt.Fprintf(&b, "SIP/2.0 %s Text\r\n", status)
	for _, h := range m.headers {
		switch h[0] {
		case "Via", "Record-Route", "From", "Call-ID", "CSeq":
			fmt.Fprintf(&b, "%s: %s\r\n", h[0], h[1])
		case "To":
			fmt.Fprintf(&b, "To: %s;tag=btag\r\n", h[1])
		}
	}
	l.send(b.String() + "Content-Length: 0\r\n\r\n")
}

var twoSites = []forwarder.Hop{{Node: "site/b", Rule: "1"}, {Node: "site/c", Rule: "1"}}

func TestLostConnectionLeadsToTheNextPathAtOnce(t *testing.T) {
	linked(t, twoSites, func(o *office) {
		a, b, c := o.connect("a"), o.connect("b"), o.connect("c")
		a.invite()
		b.hears("INVITE")
		lost := time.Now()
		b.stop()
		m := c.hears("INVITE")
		if waited := time.Since(lost); waited > 10*time.Millisecond {
			t.Errorf("the next path came after %v", waited)
		}
		if via := m.first("Via"); !strings.HasPrefix(via, "SIP/2.0/TLS 192.0.2.101:5061;") {
			t.Errorf("Via is %s", via)
		}
		if rr := m.all("Record-Route"); len(rr) != 1 || !strings.HasPrefix(rr[0], "<sip:192.0.2.101:5061;transport=tls;lr;mss=") {
			t.Errorf("Record-Route is %s", rr)
		}
		c.respond(m, "486")
		a.hears("SIP/2.0 486")
	})
}

// A site that rings and loses its connection has another one: it gets the same INVITE there, and nobody else rings.
func TestRingingSiteIsReachedOnItsOtherConnection(t *testing.T) {
	linked(t, twoSites, func(o *office) {
		a, b1 := o.connect("a"), o.connect("b")
		c := o.connect("c")
		a.invite()
		first := b1.hears("INVITE")
		b1.respond(first, "180")
		a.hears("SIP/2.0 180")
		b2 := o.connect("b")
		b1.stop()
		copied := b2.hears("INVITE")
		if copied.first("Call-ID") != "c" || copied.first("Via") == first.first("Via") {
			t.Errorf("%v is no copy of %v", copied.headers, first.headers)
		}
		b2.respond(copied, "200")
		a.hears("SIP/2.0 200")
		settle()
		if len(c.messages) != 0 {
			t.Error("another site rang")
		}
	})
}

// Without another connection the hub says that it, and not the callee, is at an end.
func TestRingingSiteThatIsLost(t *testing.T) {
	linked(t, twoSites, func(o *office) {
		a, b, c := o.connect("a"), o.connect("b"), o.connect("c")
		a.invite()
		b.respond(b.hears("INVITE"), "180")
		a.hears("SIP/2.0 180")
		b.stop()
		if m := a.hears("SIP/2.0 480"); m.first("X-MSS-By") != `hub/a;tried="site/b"` {
			t.Errorf("%v", m.headers)
		}
		if len(c.messages) != 0 {
			t.Error("another site rang")
		}
	})
}

// The caller's site connects anew while the callee rings: the answer finds it.
func TestAnswerFindsTheCallersNewConnection(t *testing.T) {
	linked(t, twoSites, func(o *office) {
		a1, b := o.connect("a"), o.connect("b")
		a1.invite()
		m := b.hears("INVITE")
		a2 := o.connect("a")
		a1.stop()
		settle()
		b.respond(m, "200")
		a2.hears("SIP/2.0 200")
	})
}

// A connection that ends before any answer is replaced by the node's other one, also where no other path is.
func TestOnlySiteHasAnotherConnection(t *testing.T) {
	linked(t, twoSites[:1], func(o *office) {
		a, b1 := o.connect("a"), o.connect("b")
		a.invite()
		b1.hears("INVITE")
		b2 := o.connect("b")
		b1.stop()
		b2.respond(b2.hears("INVITE"), "486")
		a.hears("SIP/2.0 486")
	})
}

// A link that has not answered for two seconds is used last, not never.
func TestSuspectLinksAreUsedLast(t *testing.T) {
	linked(t, twoSites, func(o *office) {
		a, b, c := o.connect("a"), o.connect("b"), o.connect("c")
		o.net.Cut(netip.MustParseAddr("192.0.2.2"), hubTLS.Addr())
		<-time.After(3 * time.Second)
		a.invite()
		c.respond(c.hears("INVITE"), "500")
		o.net.Heal(netip.MustParseAddr("192.0.2.2"), hubTLS.Addr())
		b.respond(b.hears("INVITE"), "486")
		for m := a.hears("SIP/2.0"); !strings.HasPrefix(m.start, "SIP/2.0 486"); m = a.hears("SIP/2.0") {
			if !strings.HasPrefix(m.start, "SIP/2.0 100") {
				t.Fatal(m.start)
			}
		}
	})
}

// Where the transport changes there are two Record-Routes with one cookie, which are popped together. A trunk sees
// the name of all hubs. A trusted one is told who calls.
func TestTransportChanges(t *testing.T) {
	linked(t, []forwarder.Hop{{Node: "trunk/carrier", Rule: "1"}}, func(o *office) {
		a := o.connect("a")
		a.invite()
		buf := make([]byte, 65536)
		n, _, err := o.trunk.ReadFromUDPAddrPort(buf)
		if err != nil {
			t.Fatal(err)
		}
		m := parse(string(buf[:n]))
		routes := m.all("Record-Route")
		if len(routes) != 2 || !strings.HasPrefix(routes[0], "<sip:hubs.example.org;lr;mss=") ||
			!strings.HasPrefix(routes[1], "<sip:192.0.2.101:5061;transport=tls;lr;mss=") {
			t.Fatalf("%q", routes)
		}
		if m.first("P-Asserted-Identity") == "" {
			t.Error("a trusted trunk is not told who calls")
		}
		bye := "BYE sip:4001@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.20:5060;branch=z9hG4bKt\r\nMax-Forwards: 70\r\n" +
			"Route: " + strings.Join(routes, ",") + "\r\nFrom: <sip:1001@example.org>;tag=ttag\r\nTo: <sip:4001@example.org>;tag=atag\r\n" +
			"Call-ID: c\r\nCSeq: 1 BYE\r\nContent-Length: 0\r\n\r\n"
		if _, err := o.trunk.WriteToUDPAddrPort([]byte(bye), addrOf("a")); err != nil {
			t.Fatal(err)
		}
		for m = a.hears(""); m.method() != "BYE"; m = a.hears("") {
			if m.request {
				t.Fatal(m.start)
			}
		}
		if left := m.all("Route"); len(left) != 0 {
			t.Errorf("Routes are left: %q", left)
		}
	})
}
