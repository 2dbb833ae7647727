// Package forwarder is a hub's SIP: a proxy that keeps transactions and no dialogs (RFC 3261 §16). It passes
// requests on between nodes of the domain and trunks, looks new ones up by number, tries the next path where
// one does not answer, and sends requests inside calls where the cookie in their Route says, whichever hub set
// the call up.
//
// Messages are passed on by copying their bytes round the lines that change; nothing is parsed that the hub does
// not act on. It owns no socket, connection or route (see siptransport, nodelink and routetable) and changes no
// body.
//
// Start at [New]. A hub is made in this order: a probe.Prober, nodelink.Links that probe with it, a Forwarder on the
// links, a siptx.Stack of its [Forwarder.StackOptions], a siptransport.Endpoint whose Receiver is the stack and whose
// Watcher is the links; then the links and the prober are attached.
package forwarder

import (
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/nodelink"
	"github.com/mss-federation/mss/pkg/siptransport"
	"github.com/mss-federation/mss/pkg/siptx"
	"github.com/mss-federation/mss/pkg/tracering"
	"github.com/mss-federation/mss/tmss/cookie"
)

// Hop is one path to a number.
type Hop struct {
	Node federation.NodeID // whom to send to: a site, a trunk, or a hub that knows more
	Rule string            // the prefix or static route that says so, for people
	// Down: it is known to be out of reach and is not tried. The number is somebody's all the same.
	Down bool
}

// Routes is the table of numbers.
type Routes interface {
	// Lookup gives the paths to a number, best first; none means that nobody has it. The slice is only read.
	Lookup(number federation.Number) []Hop
}

// Links are the connections to other nodes. *nodelink.Links is one.
type Links interface {
	// Node says whose message came on a flow.
	Node(flow siptransport.Flow) (federation.NodeID, bool)
	// Best is the link that carries a request to a node.
	Best(node federation.NodeID) (nodelink.Link, bool)
}

// Options say how a hub forwards. Self, Routes, Links, Keys and SentBy are required.
type Options struct {
	Self   federation.NodeID // "hub/a"
	Routes Routes
	Links  Links
	Keys   *cookie.Keyring
	// SentBy is the address that the peers of a flow see, in Via and Record-Route.
	SentBy func(flow siptransport.Flow) netip.AddrPort
	// Host is the domain's name for all its hubs, with SRV records. It stands in Record-Route towards peers
	// that are not nodes. Empty means that each hub shows its address.
	Host string
	// Hubs lists hubs that have a connection to a node, best first, for requests inside calls whose next node
	// has none here. Nil means that nobody knows.
	Hubs func(node federation.NodeID) []federation.NodeID
	// Trusted says whether a trunk's word about identities is believed, and ours told to it. Nil means that none is.
	Trusted func(trunk federation.NodeID) bool
	// Ready says whether the routes are known yet. Until then new INVITEs and OPTIONS get 503. Nil means always.
	Ready func() bool
	// Silence is how long an INVITE may go without any response before the next path. Zero means 1.5s.
	Silence time.Duration
	// SearchFor bounds the time in which new paths are begun. Zero means 8s.
	SearchFor time.Duration
	// MaxPaths bounds the paths that one INVITE tries. Zero means 4.
	MaxPaths int
	// Logger is the owner's. Nil means silence.
	Logger *slog.Logger
}

// EnsureDefaults fills in zero fields.
func (o *Options) EnsureDefaults() {
	if o.Hubs == nil {
		o.Hubs = func(federation.NodeID) []federation.NodeID { return nil }
	}
	if o.Trusted == nil {
		o.Trusted = func(federation.NodeID) bool { return false }
	}
	if o.Ready == nil {
		o.Ready = func() bool { return true }
	}
	if o.Silence == 0 {
		o.Silence = 1500 * time.Millisecond
	}
	if o.SearchFor == 0 {
		o.SearchFor = 8 * time.Second
	}
	if o.MaxPaths == 0 {
		o.MaxPaths = 4
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

// Validate says what is wrong with options that have their defaults.
func (o *Options) Validate() error {
	var problem string
	switch {
	case !strings.HasPrefix(string(o.Self), "hub/"):
		problem = "Self must be a hub"
	case o.Routes == nil, o.Links == nil, o.Keys == nil, o.SentBy == nil:
		problem = "Routes, Links, Keys and SentBy are needed"
	case o.Silence < 0, o.SearchFor < 0, o.MaxPaths < 0:
		problem = "Silence, SearchFor and MaxPaths may not be negative"
	default:
		return nil
	}
	return &fault.Error{Op: "start forwarder", Kind: fault.Invalid, Err: errors.New(problem)}
}

// Forwarder is what the workers of a hub share.
type Forwarder struct {
	Options
	breakers breakers
	metrics  counters
}

// New makes a forwarder.
func New(o Options) (*Forwarder, error) {
	o.EnsureDefaults()
	if err := o.Validate(); err != nil {
		return nil, err
	}
	f := &Forwarder{Options: o}
	f.breakers.init()
	return f, nil
}

// Handler makes the user of one worker. The stack is to be Unparsed.
func (f *Forwarder) Handler(w *siptx.Worker) siptx.Handler {
	return &handler{Forwarder: f, w: w}
}

// StackOptions are those of the stack that runs this forwarder: sender is its Links, trace keeps the messages and
// may be nil. The caller sets the rest.
func (f *Forwarder) StackOptions(sender siptx.Sender, trace *tracering.Ring) siptx.Options {
	o := siptx.Options{Unparsed: true, Sender: sender, Logger: f.Logger, NewHandler: f.Handler}
	if trace == nil {
		return o
	}
	var workers []*siptx.Worker
	o.NewHandler = func(w *siptx.Worker) siptx.Handler {
		workers = append(workers, w)
		return f.Handler(w)
	}
	o.Tap = func(w int, out bool, flow siptransport.Flow, msg []byte) {
		trace.Add(w, out, flow, workers[w].Now(), msg)
	}
	return o
}

// isNode says whether an identity is a node of the domain that may carry calls. Others are trunks.
func isNode(id federation.NodeID) bool {
	return strings.HasPrefix(string(id), "site/") || isHub(id)
}

func isHub(id federation.NodeID) bool { return strings.HasPrefix(string(id), "hub/") }
