package nodelink_test

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/identity"
	"github.com/mss-federation/mss/pkg/identity/identitytest"
	"github.com/mss-federation/mss/pkg/network/memnet"
	"github.com/mss-federation/mss/pkg/nodelink"
	"github.com/mss-federation/mss/pkg/siptransport"
)

var (
	hubAddr   = netip.MustParseAddr("192.0.2.1")
	siteAddr  = netip.MustParseAddr("192.0.2.2")
	otherAddr = netip.MustParseAddr("192.0.2.3")
	hubTLS    = netip.AddrPortFrom(hubAddr, 5061)
)

// node is links and the endpoint below them.
type node struct {
	*nodelink.Links
	endpoint *siptransport.Endpoint
	messages chan string
	changes  chan string
	probes   chan federation.NodeID
	stop     func()
}

func (n *node) Receive(in *siptransport.Inbound) {
	who, ok := n.Node(in.Flow)
	if !ok {
		who = "nobody"
	}
	n.messages <- string(who) + ": " + string(in.Data)
	in.Release()
}
func (n *node) FlowClosed(siptransport.Flow, error)       {}
func (n *node) Refused(siptransport.Flow, []byte, string) {}
func (n *node) changed(id federation.NodeID, s nodelink.State) {
	n.changes <- string(id) + " " + s.String()
}

type world struct {
	t      *testing.T
	net    *memnet.Net
	domain *identitytest.Domain
	hub    *node
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, net: memnet.New(memnet.Options{Delay: time.Millisecond}), domain: identitytest.NewDomain(t, "example.org")}
	w.hub = w.start(hubAddr, true)
	ln, err := w.net.Host(hubAddr).ListenTCP(t.Context(), hubTLS)
	if err != nil {
		t.Fatal(err)
	}
	config := identity.ServerTLS(w.domain.Source(t, identity.Hub, "a"), w.domain.Trust, identity.Hub, identity.Site)
	if err := w.hub.endpoint.AddTLS(ln, config); err != nil {
		t.Fatal(err)
	}
	udp, err := w.net.Host(hubAddr).ListenUDP(t.Context(), netip.AddrPortFrom(hubAddr, 5060))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.hub.endpoint.AddUDP(udp); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) start(addr netip.Addr, accept bool) *node {
	n := &node{messages: make(chan string, 100), changes: make(chan string, 100)}
	n.probes = make(chan federation.NodeID, 100)
	n.Links = nodelink.New(nodelink.Options{
		Accept: accept, Changed: n.changed,
		Probe: func(id federation.NodeID, _ siptransport.Flow) { n.probes <- id },
	})
	n.endpoint = siptransport.New(siptransport.Options{Network: w.net.Host(addr), Receiver: n, Watcher: n.Links})
	n.Attach(n.endpoint)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for _, run := range []func(context.Context) error{n.endpoint.Run, n.Run} {
		running.Go(func() {
			if err := run(ctx); err != nil {
				w.t.Error(err)
			}
		})
	}
	n.stop = sync.OnceFunc(func() { cancel(); running.Wait() })
	w.t.Cleanup(n.stop)
	return n
}

// site starts one that keeps a link to hub a.
func (w *world) site(addr netip.Addr, id string) *node {
	n := w.start(addr, false)
	w.aim(n, id)
	return n
}

func (w *world) aim(n *node, id string) {
	config := identity.ClientTLS(w.domain.Source(w.t, identity.Site, id), w.domain.Trust, w.domain.Node(identity.Hub, "a"))
	n.SetTargets([]nodelink.Target{{
		Node: "hub/a", TLS: config, Flow: siptransport.Flow{Transport: siptransport.TLS, Remote: hubTLS},
	}})
}

func sip(text string) []byte { return []byte(text + "\r\nContent-Length: 0\r\n\r\n") }

func (w *world) want(ch chan string, want string) {
	w.t.Helper()
	select {
	case got := <-ch:
		if got != want {
			w.t.Fatalf("got %q, want %q", got, want)
		}
	case <-time.After(time.Minute):
		w.t.Fatalf("nothing came, want %q", want)
	}
}

func bubble(t *testing.T, test func(w *world)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { test(newWorld(t)) })
}

func TestSiteAndHubKnowEachOther(t *testing.T) {
	bubble(t, func(w *world) {
		site := w.site(siteAddr, "london")
		w.want(site.changes, "hub/a alive")
		w.want(w.hub.changes, "site/london alive")
		up, _ := site.Best("hub/a")
		down, ok := w.hub.Best("site/london")
		if !ok || down.Flow.ID == 0 || down.Static {
			w.t.Fatalf("%+v %v", down, ok)
		}
		if err := errors.Join(site.Send(up.Flow, sip("OPTIONS up SIP/2.0"), nil), w.hub.Send(down.Flow, sip("OPTIONS down SIP/2.0"), nil)); err != nil {
			w.t.Fatal(err)
		}
		w.want(w.hub.messages, "site/london: "+string(sip("OPTIONS up SIP/2.0")))
		w.want(site.messages, "hub/a: "+string(sip("OPTIONS down SIP/2.0")))
		<-time.After(time.Hour) // no idle limit ends it, pings pass
		if link, ok := w.hub.Best("site/london"); !ok || link != down {
			w.t.Errorf("%+v, %v; want the same link", link, ok)
		}
	})
}

func TestCutWireIsSuspectedThenClosed(t *testing.T) {
	bubble(t, func(w *world) {
		site := w.site(siteAddr, "london")
		w.want(site.changes, "hub/a alive")
		w.want(w.hub.changes, "site/london alive")
		w.net.Cut(siteAddr, hubAddr)
		cut := time.Now()
		for _, n := range []*node{site, w.hub} {
			peer := map[*node]string{site: "hub/a", w.hub: "site/london"}[n]
			w.want(n.changes, peer+" suspect")
			if got := time.Since(cut); got > 2300*time.Millisecond {
				w.t.Errorf("%s suspected after %v", peer, got)
			}
		}
		for _, n := range []*node{site, w.hub} {
			peer := map[*node]string{site: "hub/a", w.hub: "site/london"}[n]
			w.want(n.changes, peer+" down")
			if got := time.Since(cut); got > 6300*time.Millisecond {
				w.t.Errorf("%s closed after %v", peer, got)
			}
		}
		w.net.Heal(siteAddr, hubAddr)
		w.want(site.changes, "hub/a alive")
		w.want(w.hub.changes, "site/london alive")
	})
}

// A node that connects again is reached by its newest connection, and what was to be answered on the old one
// is answered there too.
func TestNewestConnectionCarries(t *testing.T) {
	bubble(t, func(w *world) {
		first := w.site(siteAddr, "london")
		w.want(w.hub.changes, "site/london alive")
		old, _ := w.hub.Best("site/london")
		second := w.site(otherAddr, "london")
		w.want(second.changes, "hub/a alive")
		<-time.After(10 * time.Millisecond)
		link, _ := w.hub.Best("site/london")
		if link.Flow.ID == old.Flow.ID || len(w.hub.Nodes()["site/london"]) != 2 {
			w.t.Errorf("%+v", w.hub.Nodes())
		}
		first.stop()
		<-time.After(10 * time.Millisecond)
		if err := w.hub.Send(old.Flow, sip("SIP/2.0 200 OK"), nil); err != nil {
			w.t.Error(err)
		}
		w.want(second.messages, "hub/a: "+string(sip("SIP/2.0 200 OK")))
		if err := w.hub.Send(old.Flow, sip("OPTIONS x SIP/2.0"), nil); !errors.Is(err, siptransport.ErrFlowClosed) {
			w.t.Errorf("a request moved to another connection: %v", err)
		}
		second.stop()
		w.want(w.hub.changes, "site/london down")
		if err := w.hub.Send(old.Flow, sip("SIP/2.0 200 OK"), nil); !errors.Is(err, siptransport.ErrFlowClosed) {
			w.t.Errorf("a response went nowhere without an error: %v", err)
		}
	})
}

func TestStrangersAreNobody(t *testing.T) {
	bubble(t, func(w *world) {
		other := identitytest.NewDomain(w.t, "example.net")
		thief := w.start(siteAddr, false)
		thief.SetTargets([]nodelink.Target{{
			Node: "hub/a", Flow: siptransport.Flow{Transport: siptransport.TLS, Remote: hubTLS},
			TLS: identity.ClientTLS(other.Source(w.t, identity.Site, "london"), w.domain.Trust, w.domain.Node(identity.Hub, "a")),
		}})
		<-time.After(time.Minute)
		if got := w.hub.Nodes(); len(got) != 0 {
			w.t.Errorf("%v", got)
		}
	})
}

// Between two hubs one connection, which one of them dialled, serves both directions.
func TestTwoHubsShareOneConnection(t *testing.T) {
	bubble(t, func(w *world) {
		other := w.start(siteAddr, true)
		other.SetTargets([]nodelink.Target{{
			Node: "hub/a", Flow: siptransport.Flow{Transport: siptransport.TLS, Remote: hubTLS},
			TLS: identity.ClientTLS(w.domain.Source(w.t, identity.Hub, "b"), w.domain.Trust, w.domain.Node(identity.Hub, "a")),
		}})
		w.want(other.changes, "hub/a alive")
		w.want(w.hub.changes, "hub/b alive")
		down, _ := w.hub.Best("hub/b")
		if err := w.hub.Send(down.Flow, sip("OPTIONS down SIP/2.0"), nil); err != nil {
			w.t.Fatal(err)
		}
		w.want(other.messages, "hub/a: "+string(sip("OPTIONS down SIP/2.0")))
		<-time.After(time.Minute)
		if len(w.hub.changes)+len(other.changes) != 0 || w.hub.endpoint.Stats().Accepted != 1 {
			w.t.Error("the connection did not stay")
		}
		other.SetTargets(nil)
		w.want(other.changes, "hub/a down")
		w.want(w.hub.changes, "hub/b down")
	})
}

func TestStaticPeers(t *testing.T) {
	bubble(t, func(w *world) {
		udp := func(remote string) siptransport.Flow {
			return siptransport.Flow{Transport: siptransport.UDP, Local: netip.AddrPortFrom(hubAddr, 5060), Remote: netip.MustParseAddrPort(remote)}
		}
		w.hub.SetStatics([]nodelink.Static{
			{Node: "site/paris", Flow: udp("192.0.2.2:5060")},
			{Node: "trunk/carrier", Flow: udp("198.51.100.1:5060"), Sources: []nodelink.Source{{Prefix: netip.MustParsePrefix("198.51.100.0/24")}}},
			{Node: "trunk/part", Flow: udp("198.51.100.9:5060"), Sources: []nodelink.Source{
				{Prefix: netip.MustParsePrefix("198.51.100.0/24"), FirstPort: 6000, LastPort: 6009},
			}},
		})
		for from, want := range map[string]federation.NodeID{
			"192.0.2.2:5060": "site/paris", "192.0.2.2:5061": "", "198.51.100.200:5060": "trunk/carrier",
			"198.51.100.1:6009": "trunk/part", "198.51.100.1:6010": "trunk/carrier", "203.0.113.1:5060": "",
		} {
			if got, ok := w.hub.Node(udp(from)); got != want || ok != (want != "") {
				w.t.Errorf("%s is %q, %v; want %q", from, got, ok, want)
			}
		}
		link, ok := w.hub.Best("trunk/carrier")
		if !ok || !link.Static || link.State != nodelink.Alive || link.Flow != udp("198.51.100.1:5060") {
			w.t.Errorf("%+v, %v", link, ok)
		}
		if _, ok := w.hub.Best("site/rome"); ok {
			w.t.Error("an unknown node has a link")
		}
		tcp := siptransport.Flow{Transport: siptransport.TCP, Remote: netip.MustParseAddrPort("192.0.2.2:5060"), ID: 99}
		if got, ok := w.hub.Node(tcp); ok {
			w.t.Errorf("a UDP peer is believed over TCP: %v", got)
		}
	})
}

func TestStaticPeerIsJudgedOnceItAnswered(t *testing.T) {
	bubble(t, func(w *world) {
		flow := siptransport.Flow{Transport: siptransport.UDP, Local: netip.AddrPortFrom(hubAddr, 5060), Remote: netip.AddrPortFrom(siteAddr, 5060)}
		w.hub.SetStatics([]nodelink.Static{{Node: "site/paris", Flow: flow, Probe: true}, {Node: "trunk/quiet", Flow: flow}})
		<-time.After(10 * time.Second)
		if n := len(w.hub.probes); n < 9 || n > 11 || len(w.hub.changes) != 0 {
			w.t.Errorf("%d probes in 10 s, %d changes", n, len(w.hub.changes))
		}
		for range len(w.hub.probes) {
			if id := <-w.hub.probes; id != "site/paris" {
				w.t.Errorf("%s was probed", id)
			}
		}
		w.hub.Heard("site/paris")
		w.hub.Heard("site/unknown")
		answered := time.Now()
		for _, want := range []string{"site/paris suspect", "site/paris down"} {
			w.want(w.hub.changes, want)
			if _, ok := w.hub.Best("site/paris"); ok != (want == "site/paris suspect") {
				w.t.Errorf("%s, and a link: %v", want, ok)
			}
		}
		if got := time.Since(answered); got < 6*time.Second || got > 6300*time.Millisecond {
			w.t.Errorf("down after %v", got)
		}
		w.hub.SetStatics([]nodelink.Static{{Node: "site/paris", Flow: flow, Probe: true}})
		if _, ok := w.hub.Best("site/paris"); ok {
			w.t.Error("the same peer is forgotten to be down")
		}
		w.hub.Heard("site/paris")
		w.want(w.hub.changes, "site/paris alive")
	})
}

func BenchmarkBest(b *testing.B) {
	l := nodelink.New(nodelink.Options{})
	flow := siptransport.Flow{Transport: siptransport.UDP, Remote: netip.MustParseAddrPort("192.0.2.2:5060")}
	l.SetStatics([]nodelink.Static{{Node: "site/paris", Flow: flow}})
	b.ReportAllocs()
	for b.Loop() {
		node, _ := l.Node(flow)
		if _, ok := l.Best(node); !ok {
			b.Fatal("no link")
		}
	}
}
