// Package uplink is a site's link to its hubs: to each of up to four, one exchange session, on which it
// announces its own numbers, and one SIP trunk that it keeps dialled. It knows in which order a call tries
// the hubs, keeps the list of hubs on disk, renews the site's certificate, and joins a new site to its domain.
//
// It sends no SIP and follows no call (see lmss/call), and keeps none of the routes that it hears: where a
// number leads is the hubs' to know. What is decided is pure and in core.go; the rest runs it. Start at
// [New], [Uplink.Run] and [Uplink.Ways]; a new site at [Join].
package uplink

import (
	"context"
	"crypto/tls"
	"iter"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mss-federation/mss/pkg/exchange"
	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/identity"
	"github.com/mss-federation/mss/pkg/network"
	"github.com/mss-federation/mss/pkg/nodelink"
	"github.com/mss-federation/mss/pkg/siptransport"
)

// MaxHubs is how many hubs a site attaches to.
const MaxHubs = 4

// Options say who the site is and whom it knows.
type Options struct {
	Site   federation.SiteID
	Domain federation.Domain
	// Prefer names the hubs to attach to, the preferred one first. Empty: those of the directory, in an
	// order that differs from site to site.
	Prefer []federation.HubID
	// Static are hubs with a fixed address for calls, without TLS and without a session.
	Static []Static
	// Numbers are announced to every hub.
	Numbers []federation.NLRI
	// Reach says whether other sites can send voice here first.
	Reach Reach
	// Forwarded says whether voice for a local address is told to come to another one, which an operator has forwarded.
	// Nil means that none is.
	Forwarded func(local netip.Addr) bool
	// Own are the site's addresses for voice, the preferred one first. Of a hub's addresses those of the same IP version
	// are tried first, so that voice can follow the calls. Nil: all versions are equal.
	Own []netip.Addr
	// Home is where identity and directory are kept.
	Home Home
	// Credentials prove who the site is. Nil: there are only static hubs.
	Credentials *identity.Credentials
	// Network dials. Nil means the kernel's.
	Network network.Network
	// Lookup finds a host's addresses. Nil means the system's resolver.
	Lookup Lookup
	// Software is the build, for people.
	Software string
	// Logger is the owner's. Nil discards.
	Logger *slog.Logger
}

// Static is a hub that the operator named by address.
type Static struct {
	Hub federation.HubID
	// Flow has Transport and Remote, and over UDP the Local socket.
	Flow siptransport.Flow
}

// Uplink is a site's link to its hubs. It is safe for concurrent use.
type Uplink struct {
	options Options
	log     *slog.Logger
	links   *nodelink.Links
	book    *exchange.Book
	source  *identity.Source // nil without credentials
	trust   *identity.Trust
	epoch   uint64

	order   atomic.Pointer[[]federation.NodeID]   // of preference
	issuers atomic.Pointer[[]identity.HubAddress] // where certificates are renewed, in that order
	inbox   chan struct{}                         // holds a token while news waits
	watch   func(federation.NodeID, nodelink.State)
	alarms  alarms
	reach   reach

	mu struct {
		sync.Mutex
		directory []exchange.Hub // nil: as it was
		opened    []exchange.Hub // what hubs said of themselves
		sessions  map[federation.HubID]*session
	}
}

// New makes an uplink that does not run yet.
func New(o Options) (*Uplink, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Network == nil {
		o.Network = network.System{}
	}
	if o.Lookup == nil {
		o.Lookup = systemLookup
	}
	u := &Uplink{options: o, log: o.Logger, epoch: uint64(time.Now().UnixMicro()), inbox: make(chan struct{}, 1)}
	u.mu.sessions = map[federation.HubID]*session{}
	u.links = nodelink.New(nodelink.Options{Logger: o.Logger, Changed: u.linkChanged})
	if o.Credentials != nil {
		u.source = identity.NewSource(o.Credentials)
		u.trust = identity.NewTrust(string(o.Domain), o.Credentials.Root)
	}
	u.book = exchange.NewBook(u.self().NodeID(), u.epoch)
	u.remember()
	u.announce()
	statics := make([]nodelink.Static, 0, len(o.Static))
	for _, s := range o.Static {
		statics = append(statics, nodelink.Static{Node: nodeID(s.Hub), Flow: s.Flow})
	}
	u.links.SetStatics(statics)
	u.setOrder(nil)
	return u, nil
}

// OperatorTLS is for listeners that operators of the domain connect to. Nil without credentials.
func (u *Uplink) OperatorTLS() *tls.Config {
	if u.source == nil {
		return nil
	}
	return identity.ServerTLS(u.source, u.trust, identity.Operator)
}

// CertificateEnds is when the office's own certificate ends; false without one.
func (u *Uplink) CertificateEnds() (time.Time, bool) {
	if u.source == nil {
		return time.Time{}, false
	}
	return u.source.Current().Leaf().NotAfter, true
}

func (u *Uplink) self() identity.Node {
	return identity.Node{Domain: string(u.options.Domain), Role: identity.Site, ID: string(u.options.Site)}
}

func nodeID(hub federation.HubID) federation.NodeID { return federation.NodeID("hub/" + string(hub)) }

// announced gives each range of the site the same attributes.
func announced(site federation.SiteID, numbers []federation.NLRI, direct bool) map[federation.NLRI]*federation.Attributes {
	attributes := &federation.Attributes{
		Origin: federation.Origin{Site: site}, Media: federation.MediaCaps{VoiceDirect: direct},
	}
	routes := make(map[federation.NLRI]*federation.Attributes, len(numbers))
	for _, n := range numbers {
		routes[n] = attributes
	}
	return routes
}

// Links are the connections, for the endpoint: they watch it and carry what is sent.
func (u *Uplink) Links() *nodelink.Links { return u.links }

// Node says which hub a message came from; false means that it came from no hub. It takes no lock.
func (u *Uplink) Node(flow siptransport.Flow) (federation.NodeID, bool) { return u.links.Node(flow) }

// Ways are the hubs that a call can go through now, and the connection to each, in the order in which they
// are tried: those that answer before those that do not, and each in the order of preference, prefer, which may
// be empty, first. It takes no lock.
func (u *Uplink) Ways(prefer federation.NodeID) iter.Seq2[federation.NodeID, siptransport.Flow] {
	return rank(*u.order.Load(), prefer, u.links.Best)
}

// State says whether a hub's trunk answers. It takes no lock.
func (u *Uplink) State(hub federation.NodeID) nodelink.State {
	link, _ := u.links.Best(hub)
	return link.State
}

// Watch names who is told, in order, when the trunk to a hub falls silent, is lost, or is back. It must not block.
// It is called before Run.
func (u *Uplink) Watch(changed func(hub federation.NodeID, state nodelink.State)) { u.watch = changed }

// setOrder puts the hubs that are attached, and the static ones behind those that are not among them.
func (u *Uplink) setOrder(attached []exchange.Hub) {
	ids := make([]federation.HubID, 0, len(attached)+len(u.options.Static))
	for i := range attached {
		ids = append(ids, attached[i].ID)
	}
	for _, s := range u.options.Static {
		if !slices.Contains(ids, s.Hub) {
			ids = append(ids, s.Hub)
		}
	}
	order := preference(u.options.Site, u.options.Prefer, ids)
	nodes := make([]federation.NodeID, 0, len(order))
	for _, id := range order {
		nodes = append(nodes, nodeID(id))
	}
	u.order.Store(&nodes)
	issuers := make([]identity.HubAddress, 0, len(attached))
	for i := range attached {
		for _, address := range attached[i].GRPCAddresses() {
			issuers = append(issuers, identity.HubAddress{Hub: string(attached[i].ID), Address: address})
		}
	}
	u.issuers.Store(&issuers)
}

// Run keeps the uplink until ctx ends. Links and sessions are over when it returns.
func (u *Uplink) Run(ctx context.Context) error {
	var parts sync.WaitGroup
	defer parts.Wait()
	parts.Go(func() { _ = u.links.Run(ctx) }) // it only ends with ctx
	if u.source == nil {
		<-ctx.Done()
		return nil
	}
	known, err := u.options.Home.loadHubs()
	if err != nil {
		u.log.Error("list of hubs not read; it comes again from the first hub that answers", "err", err)
	}
	u.setOrder(choose(u.options.Site, u.options.Prefer, known))
	parts.Go(func() { u.renew(ctx) })
	m := manager{uplink: u, known: known, behind: u.behind(), configs: map[federation.HubID]*tls.Config{}, running: map[federation.HubID]*running{}}
	m.run(ctx)
	return nil
}

// find gives a hub's addresses in the order in which they are tried; at least one, or an error.
func (u *Uplink) find(ctx context.Context, hostPorts []string) ([]netip.AddrPort, error) {
	found, err := resolve(ctx, u.options.Lookup, hostPorts)
	return network.Near(u.options.Network, u.options.Own, found), err
}

// linkChanged lets a session try again at once when the hub's trunk is there.
func (u *Uplink) linkChanged(node federation.NodeID, state nodelink.State) {
	u.log.Info("trunk to hub changed", "hub", string(node), "state", state.String())
	if u.watch != nil {
		u.watch(node, state)
	}
	if state != nodelink.Alive {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, s := range u.mu.sessions {
		if s.node.NodeID() == node {
			s.nudge()
		}
	}
}

// learn takes a list of hubs that a hub sent.
func (u *Uplink) learn(hubs []exchange.Hub) {
	u.mu.Lock()
	u.mu.directory = slices.Clone(hubs)
	u.mu.Unlock()
	u.signal()
}

// opened takes what one hub says of itself.
func (u *Uplink) opened(hub exchange.Hub) {
	u.mu.Lock()
	u.mu.opened = append(u.mu.opened, hub) // bounded by the sessions: the manager takes them out
	u.mu.Unlock()
	u.signal()
}

func (u *Uplink) signal() {
	select {
	case u.inbox <- struct{}{}:
	default:
	}
}

// up says whether a hub can be heard in any way: then it is no ghost, whatever a list says.
func (u *Uplink) up(id federation.HubID) bool {
	if _, linked := u.links.Best(nodeID(id)); linked {
		return true
	}
	u.mu.Lock()
	s := u.mu.sessions[id]
	u.mu.Unlock()
	return s != nil && s.established()
}

// sessions are those that run, by hub.
func (u *Uplink) sessions() map[federation.HubID]*session {
	u.mu.Lock()
	defer u.mu.Unlock()
	return maps.Clone(u.mu.sessions)
}
