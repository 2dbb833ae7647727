package forwarder_test

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/network/memnet"
	"github.com/mss-federation/mss/pkg/nodelink"
	"github.com/mss-federation/mss/pkg/nodelink/probe"
	"github.com/mss-federation/mss/pkg/siptransport"
	"github.com/mss-federation/mss/pkg/siptx"
	"github.com/mss-federation/mss/pkg/tracering"
	"github.com/mss-federation/mss/tmss/cookie"
	"github.com/mss-federation/mss/tmss/forwarder"
)

// scene is a conversation on an in-memory network: sites and a trunk that a script plays, and real hubs between
// them. Site A to E are 192.0.2.1 to .5; T is a trunk at 192.0.2.20; hub a is 192.0.2.101, b .102.
type scene struct {
	t     *testing.T
	net   *memnet.Net
	keys  *cookie.Keyring
	hubs  map[string]*hub
	peers map[string]*peer
	out   bytes.Buffer

	mu      sync.Mutex
	pending []heard
	names   map[string]string
}

var nodes = map[string]federation.NodeID{
	"A": "site/a", "B": "site/b", "C": "site/c", "D": "site/d", "E": "site/e", "T": "trunk/carrier", "a": "hub/a", "b": "hub/b",
}

func addrOf(name string) netip.AddrPort {
	octet := map[string]byte{"A": 1, "B": 2, "C": 3, "D": 4, "E": 5, "T": 20, "a": 101, "b": 102, "X": 66}[name]
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, octet}), 5060)
}

// table is the routes of one hub: the longest prefix's hops.
type table struct {
	mu   sync.Mutex
	hops map[string][]forwarder.Hop
}

func (r *table) Lookup(number federation.Number) []forwarder.Hop {
	r.mu.Lock()
	defer r.mu.Unlock()
	for n := len(number); n > 0; n-- {
		if hops := r.hops[string(number[:n])]; hops != nil {
			return hops
		}
	}
	return nil
}

type hub struct {
	forwarder *forwarder.Forwarder
	stack     *siptx.Stack
	endpoint  *siptransport.Endpoint
	links     *nodelink.Links
	routes    *table
	ready     bool
	missing   map[string]bool // who has no link here
	probed    map[string]bool // who is asked whether it is there
	hubs      []federation.NodeID
	trace     *tracering.Ring
	stop      func()
}

type heard struct {
	at   time.Time
	peer string
	msg  *message
}

func newScene(t *testing.T) *scene {
	t.Helper()
	s := &scene{
		t: t, net: memnet.New(memnet.Options{Delay: time.Millisecond}), keys: new(cookie.Keyring),
		hubs: map[string]*hub{}, peers: map[string]*peer{}, names: map[string]string{},
	}
	s.keys.Set([]cookie.Key{{ID: 1, Made: time.Now()}})
	for _, name := range []string{"A", "B", "C", "D", "E", "T", "X"} {
		s.peers[name] = s.newPeer(name)
	}
	return s
}

func (s *scene) hub(name string) *hub {
	if s.hubs[name] == nil {
		s.hubs[name] = s.newHub(name)
	}
	return s.hubs[name]
}

// newHub starts a hub that knows everybody but X by UDP address.
func (s *scene) newHub(name string) *hub {
	t := s.t
	h := &hub{routes: &table{hops: map[string][]forwarder.Hop{}}, ready: true, missing: map[string]bool{name: true}, probed: map[string]bool{}}
	sentBy := func(flow siptransport.Flow) netip.AddrPort { return flow.Local }
	prober := probe.New(sentBy)
	h.links = nodelink.New(nodelink.Options{Accept: true, Probe: prober.Ask})
	h.relink(name)
	f, err := forwarder.New(forwarder.Options{
		Self: nodes[name], Routes: h.routes, Links: h.links, Keys: s.keys,
		SentBy: sentBy,
		Ready:  func() bool { return h.ready },
		Hubs:   func(federation.NodeID) []federation.NodeID { return h.hubs },
	})
	if err != nil {
		t.Fatal(err)
	}
	h.forwarder = f
	h.trace = tracering.New(1, 1<<20)
	options := f.StackOptions(h.links, h.trace)
	options.Workers = 1
	h.stack, err = siptx.New(options)
	if err != nil {
		t.Fatal(err)
	}
	prober.Attach(h.stack, h.links.Heard)
	host := s.net.Host(addrOf(name).Addr())
	h.endpoint = siptransport.New(siptransport.Options{Network: host, Receiver: h.stack, Watcher: h.links})
	h.links.Attach(h.endpoint)
	conn, err := host.ListenUDP(t.Context(), addrOf(name))
	if err != nil {
		t.Fatal(err)
	}
	if err := h.endpoint.AddUDP(conn); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for _, run := range []func(context.Context) error{h.endpoint.Run, h.links.Run, h.stack.Run} {
		running.Go(func() {
			if err := run(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	h.stop = sync.OnceFunc(func() { cancel(); running.Wait() })
	return h
}

// relink makes static links to all that are not missing.
func (h *hub) relink(name string) {
	var statics []nodelink.Static
	for letter, node := range nodes {
		if !h.missing[letter] {
			flow := siptransport.Flow{Transport: siptransport.UDP, Local: addrOf(name), Remote: addrOf(letter)}
			statics = append(statics, nodelink.Static{Node: node, Flow: flow, Probe: h.probed[letter]})
		}
	}
	h.links.SetStatics(statics)
}

// close ends everything; what a hub still keeps then is a leak.
func (s *scene) close() {
	for name, h := range s.hubs {
		for _, w := range h.stack.Stats().Workers {
			if w.Servers != 0 || w.Clients != 0 || w.Panics != 0 {
				s.t.Errorf("hub %s keeps %d server and %d client transactions, %d panics", name, w.Servers, w.Clients, w.Panics)
			}
		}
		h.stop()
	}
	for _, p := range s.peers {
		_ = p.conn.Close() // memnet's never fails
	}
}

// settle lets everything happen that happens without waiting.
func settle() {
	synctest.Wait()
	<-time.After(20 * time.Millisecond)
	synctest.Wait()
}

// symbol gives a random value a stable short name.
func (s *scene) symbol(kind, value string) string {
	if s.names[kind+value] == "" {
		n := 1
		for k := range s.names {
			if strings.HasPrefix(k, kind) {
				n++
			}
		}
		s.names[kind+value] = kind + strconv.Itoa(n)
	}
	return s.names[kind+value]
}

func (s *scene) say(format string, args ...any) { fmt.Fprintf(&s.out, format+"\n", args...) }

// show prints what the peers heard. What arrives at several at the same moment is sorted by peer.
func (s *scene) show() {
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.SortStableFunc(s.pending, func(a, b heard) int {
		return cmp.Or(a.at.Compare(b.at), strings.Compare(a.peer, b.peer))
	})
	for _, h := range s.pending {
		s.say("%s <- %s", h.peer, s.describe(h.msg))
	}
	s.pending = nil
}

// describe is what a reader of the transcript wants to know of a message.
func (s *scene) describe(m *message) string {
	var b strings.Builder
	b.WriteString(strings.TrimPrefix(strings.TrimSuffix(m.start, " SIP/2.0"), "SIP/2.0 "))
	fmt.Fprintf(&b, " (%s)", m.first("CSeq"))
	if _, tag, ok := strings.Cut(m.first("To"), ";tag="); ok {
		if !strings.HasSuffix(tag, "tag") {
			tag = s.symbol("t", tag)
		}
		fmt.Fprintf(&b, " to=%s", tag)
	}
	if m.request {
		fmt.Fprintf(&b, " mf=%s vias=%d", m.first("Max-Forwards"), len(m.all("Via")))
	}
	for _, name := range []string{"Route", "Record-Route"} {
		for _, v := range m.all(name) {
			host, _, _ := strings.Cut(strings.TrimPrefix(v, "<sip:"), ";")
			fmt.Fprintf(&b, " %s=%s", map[string]string{"Route": "route", "Record-Route": "rr"}[name], host)
		}
	}
	for _, name := range []string{
		"X-MSS-Path", "X-MSS-By", "X-MSS-Secret", "P-Asserted-Identity", "Session-ID", "Reason", "Warning",
		"Unsupported", "Allow", "Retry-After",
	} {
		for _, v := range m.all(name) {
			fmt.Fprintf(&b, " %s=%q", name, v)
		}
	}
	if m.body != "" {
		fmt.Fprintf(&b, " body=%q", m.body)
	}
	return b.String()
}

// newPeer opens a peer's socket and listens on it.
func (s *scene) newPeer(name string) *peer {
	conn, err := s.net.Host(addrOf(name).Addr()).ListenUDP(context.Background(), addrOf(name))
	if err != nil {
		s.t.Fatal(err)
	}
	p := &peer{scene: s, name: name, conn: conn, received: map[string]*message{}}
	go p.listen()
	return p
}
