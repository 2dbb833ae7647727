// Package nodelink keeps the connections between the nodes of a domain. Between our nodes the next hop is a
// node's identity, never an address: a hub asks here which connection leads to a site, and whose message came
// on a connection. A site has its hubs dialled, a hub accepts; both know within seconds that a link is dead.
//
// It owns which connection belongs to which node, dialling and its repetition, and keep-alives. It owns
// no socket (see siptransport) and verifies no certificate: crypto/tls did that before a connection opens
// here. Peers that the operator names by address are [Static].
//
// Start at [New], [Links.Attach] and [Links.Run]; [Links.Best] and [Links.Node] are for every message and take
// no lock.
package nodelink

import (
	"bytes"
	"crypto/tls"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/identity"
	"github.com/mss-federation/mss/pkg/siptransport"
)

// Endpoint is what carries links. *siptransport.Endpoint is one.
type Endpoint interface {
	Send(flow siptransport.Flow, msg []byte, failed func(error)) error
	Dial(flow siptransport.Flow, config *tls.Config) (siptransport.Flow, error)
	Ping(flow siptransport.Flow) error
	Peer(flow siptransport.Flow) (tls.ConnectionState, bool)
	Keep(flow siptransport.Flow, keep bool)
	SetUserTimeout(flow siptransport.Flow, d time.Duration) error
	Close(flow siptransport.Flow)
}

var (
	_ Endpoint             = (*siptransport.Endpoint)(nil)
	_ siptransport.Watcher = (*Links)(nil)
)

// State is how far a link is trusted with a request.
type State uint8

// The states. The zero State is no link.
const (
	Down State = iota
	// Suspect links have not answered for a while: they are used last.
	Suspect
	// Alive links answer. Static peers over UDP, of which nothing is known, count as alive.
	Alive
)

// String is the state in an operator's words.
func (s State) String() string {
	switch s {
	case Alive:
		return "alive"
	case Suspect:
		return "suspect"
	case Down:
	}
	return "down"
}

// Link is one way to a node.
type Link struct {
	Flow  siptransport.Flow
	State State
	// Static is a peer that the operator named by address. Flow.ID is zero then.
	Static bool
	// Since is when the connection opened; zero for static peers.
	Since time.Time
}

// Target is a node to keep one connection dialled to.
type Target struct {
	Node federation.NodeID
	// Flow says where: Transport and Remote, and Local if it matters.
	Flow siptransport.Flow
	// Also are further addresses of the node: one after the other is dialled, from the one that worked last, and one that
	// is silent is given up after Clocks.Suspect.
	Also []netip.AddrPort
	// TLS verifies that Node answers; the same pointer is the same target. Nil for TCP.
	TLS *tls.Config
}

// Options say how links are kept.
type Options struct {
	// Identify names the peer of a TLS connection that has opened. Nil means identity.PeerNode.
	Identify func(tls.ConnectionState) (federation.NodeID, error)
	// Accept makes links of connections that others opened, as hubs do. Without it they are not looked at:
	// at a site they are phones.
	Accept bool
	// Changed is told when the best state of a node changed, in order, and must not block. May be nil.
	Changed func(node federation.NodeID, state State)
	// Probe asks a static peer whether it is there, as with an OPTIONS, and must not block; the answer is [Links.Heard].
	// Nil asks nobody.
	Probe func(node federation.NodeID, flow siptransport.Flow)
	// Clocks bound silence. Zero fields have their defaults.
	Clocks Clocks
	// Logger is the owner's. Nil means silence.
	Logger *slog.Logger
}

// Links are the links of one process. It is safe for concurrent use.
type Links struct {
	options  Options
	log      *slog.Logger
	endpoint Endpoint

	flows   sync.Map // siptransport.FlowID → *known; also of connections closed a moment ago
	view    atomic.Pointer[view]
	statics atomic.Pointer[statics]
	dialing sync.Mutex // held while a dialled flow is not yet in flows

	inbox chan struct{} // holds a token while events wait
	mu    struct {
		sync.Mutex
		events  []event
		targets []Target
		renewed bool // targets is news
	}
}

// known is what there is to know of a connection without asking its owner.
type known struct {
	node  federation.NodeID
	heard atomic.Int64 // when, since epoch
}

// view is what senders read.
type view struct{ nodes map[federation.NodeID][]Link }

// New makes links that know nobody yet.
func New(o Options) *Links {
	o.Clocks.EnsureDefaults()
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Identify == nil {
		o.Identify = identify
	}
	if o.Probe == nil {
		o.Probe = func(federation.NodeID, siptransport.Flow) {}
	}
	l := &Links{options: o, log: o.Logger, inbox: make(chan struct{}, 1)}
	l.view.Store(&view{})
	l.statics.Store(&statics{})
	return l
}

func identify(state tls.ConnectionState) (federation.NodeID, error) {
	node, err := identity.PeerNode(state)
	if err != nil {
		return "", err
	}
	return node.NodeID(), nil
}

// Attach names the endpoint whose Watcher this is. It comes before anything runs.
func (l *Links) Attach(e Endpoint) { l.endpoint = e }

// SetTargets replaces the nodes to keep dialled. A target keeps its connection while it is the same and still has the
// address that the connection leads to; one that is gone loses it.
func (l *Links) SetTargets(targets []Target) {
	l.mu.Lock()
	l.mu.targets, l.mu.renewed = slices.Clone(targets), true
	l.mu.Unlock()
	l.signal()
}

// Node says whose message came on a flow.
func (l *Links) Node(flow siptransport.Flow) (federation.NodeID, bool) {
	if flow.ID != 0 {
		if k := l.known(flow.ID); k != nil {
			return k.node, true
		}
	}
	return l.statics.Load().find(flow)
}

func (l *Links) known(id siptransport.FlowID) *known {
	v, ok := l.flows.Load(id)
	if !ok {
		return nil
	}
	k, _ := v.(*known)
	return k
}

// Best is the link that carries a new request to a node: the newest that is alive, else the newest suspect
// one, else what the operator configured.
func (l *Links) Best(node federation.NodeID) (Link, bool) {
	if links := l.view.Load().nodes[node]; len(links) > 0 {
		return links[0], true
	}
	return l.statics.Load().link(node)
}

// Nodes lists every node that has a link, with its links, best first.
func (l *Links) Nodes() map[federation.NodeID][]Link {
	all := make(map[federation.NodeID][]Link)
	for node, links := range l.view.Load().nodes {
		all[node] = slices.Clone(links)
	}
	for node, link := range l.statics.Load().links {
		all[node] = append(all[node], Link{Flow: link.flow, State: link.State(), Static: true})
	}
	return all
}

// Send sends like the endpoint, with one difference: a response whose connection is gone takes any other
// connection of the same node (RFC 3261 §18.2.2 says that it may; requests of its own go to no other).
func (l *Links) Send(flow siptransport.Flow, msg []byte, failed func(error)) error {
	err := l.endpoint.Send(flow, msg, failed)
	if err == nil || flow.ID == 0 || !errors.Is(err, siptransport.ErrFlowClosed) || !bytes.HasPrefix(msg, []byte("SIP/2.0 ")) {
		return err
	}
	k := l.known(flow.ID)
	if k == nil {
		return err
	}
	other, ok := l.Best(k.node)
	if !ok || other.Flow.ID == flow.ID {
		return err
	}
	return l.endpoint.Send(other.Flow, msg, failed)
}

// FlowOpened is for the endpoint: it finds out whose connection this is before the first message is read.
func (l *Links) FlowOpened(flow siptransport.Flow) {
	k, dialled := l.whose(flow)
	if k == nil {
		return
	}
	l.endpoint.Keep(flow, true)
	if err := l.endpoint.SetUserTimeout(flow, l.options.Clocks.Close); err != nil {
		l.log.Debug("no user timeout", "flow", flow.String(), "err", err)
	}
	now := time.Now()
	k.hear(now)
	l.tell(event{kind: opened, flow: flow, node: k.node, dialled: dialled, at: now})
}

func (l *Links) whose(flow siptransport.Flow) (k *known, dialled bool) {
	l.dialing.Lock()
	k = l.known(flow.ID)
	l.dialing.Unlock()
	if k != nil || !l.options.Accept {
		return k, k != nil
	}
	node, ok := l.statics.Load().find(flow)
	if state, secure := l.endpoint.Peer(flow); secure {
		named, err := l.options.Identify(state)
		if err != nil {
			l.log.Info("connection of a stranger", "flow", flow.String(), "err", err)
			return nil, false
		}
		node, ok = named, true
	}
	if !ok {
		return nil, false
	}
	k = &known{node: node}
	l.flows.Store(flow.ID, k)
	return k, false
}

// FlowAlive is for the endpoint.
func (l *Links) FlowAlive(flow siptransport.Flow) {
	if k := l.known(flow.ID); k != nil {
		k.hear(time.Now())
	}
}

// FlowClosed is for the endpoint.
func (l *Links) FlowClosed(flow siptransport.Flow, cause error) {
	l.dialing.Lock()
	k := l.known(flow.ID)
	l.dialing.Unlock()
	if k != nil {
		l.tell(event{kind: closed, flow: flow, node: k.node, cause: cause, at: time.Now()})
	}
}

func (l *Links) tell(e event) {
	l.mu.Lock()
	l.mu.events = append(l.mu.events, e) // bounded by the endpoint's connections
	l.mu.Unlock()
	l.signal()
}

func (l *Links) signal() {
	select {
	case l.inbox <- struct{}{}:
	default:
	}
}

// epoch makes times small enough for an atomic.
var epoch = time.Now()

func (k *known) hear(now time.Time) { k.heard.Store(int64(now.Sub(epoch))) }
func (k *known) last() time.Time    { return epoch.Add(time.Duration(k.heard.Load())) }
