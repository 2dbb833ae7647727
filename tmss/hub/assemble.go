package hub

import (
	"crypto/tls"
	"errors"
	"net/netip"
	"path/filepath"
	"slices"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/identity"
	"github.com/mss-federation/mss/pkg/identity/enrolment"
	"github.com/mss-federation/mss/pkg/nodelink"
	"github.com/mss-federation/mss/pkg/siptransport"
	"github.com/mss-federation/mss/pkg/siptx"
	"github.com/mss-federation/mss/pkg/tracering"
	"github.com/mss-federation/mss/tmss/audit"
	"github.com/mss-federation/mss/tmss/cookie"
	"github.com/mss-federation/mss/tmss/discovery"
	"github.com/mss-federation/mss/tmss/enrol"
	"github.com/mss-federation/mss/tmss/forwarder"
	"github.com/mss-federation/mss/tmss/peering"
	"github.com/mss-federation/mss/tmss/policy"
	"github.com/mss-federation/mss/tmss/routetable"
)

// Names of files in the state directory.
const (
	auditFile = "audit.jsonl"
	cacheFile = "directory.json"
	routeFile = "routes"
)

// hub is the assembled process.
type hub struct {
	options *Options
	self    identity.Node
	epoch   uint64
	domain  federation.Domain

	source      *identity.Source
	trust       *identity.Trust
	authorities *enrol.Authorities
	keeper      *enrolment.Keeper
	dialled     dialConfigs

	client     *clientv3.Client
	directory  *discovery.Directory
	audit      *audit.Log
	configured []discovery.Site // of the configuration file

	keys      cookie.Keyring
	table     *routetable.Table
	policy    currentPolicy
	peering   *peering.Peering
	links     *nodelink.Links
	carriers  carriers
	forwarder *forwarder.Forwarder
	stack     *siptx.Stack
	ring      *tracering.Ring
	endpoint  *siptransport.Endpoint
	ready     readiness
	restored  bool                    // there are routes of the last run
	bound     map[netip.AddrPort]bool // where this hub listens for SIP
}

// assemble wires a hub; nothing runs yet. What is on the disk is read here.
func assemble(o *Options) (*hub, error) {
	c := &o.Config
	h := &hub{
		options: o, domain: federation.Domain(c.Domain), epoch: uint64(time.Now().UnixMicro()),
		self:  identity.Node{Domain: c.Domain, Role: identity.Hub, ID: string(c.Hub)},
		bound: boundSockets(o),
	}
	var err error
	if h.configured, err = configuredSites(c); err != nil {
		return nil, err
	}
	if err := h.loadIdentity(filepath.Join(c.StateDir, identity.Folder)); err != nil {
		return nil, err
	}
	if h.audit, err = audit.Open(filepath.Join(c.StateDir, auditFile)); err != nil {
		return nil, err
	}
	if err := h.openDirectory(); err != nil {
		return nil, errors.Join(err, h.audit.Close())
	}
	if err := h.assembleCalls(); err != nil {
		h.close()
		return nil, err
	}
	h.apply(&discovery.View{}, h.directory.View())
	h.restored = h.peering.Restore(h.routeFile())
	return h, nil
}

// close gives back what assemble opened.
func (h *hub) close() {
	if err := errors.Join(h.client.Close(), h.audit.Close()); err != nil {
		h.options.Logger.Warn("not closed in order", "err", err)
	}
}

func (h *hub) openDirectory() error {
	c := &h.options.Config
	var err error
	if h.client, err = discovery.Dial(h.directoryAddresses(), identity.DirectoryTLS(h.source, h.trust)); err != nil {
		return err
	}
	h.directory, err = discovery.New(discovery.Options{
		Domain: c.Domain, Client: h.client, Cache: filepath.Join(c.StateDir, cacheFile), Self: h.entry(),
		KeepKeys: true, Logger: h.options.Logger,
	})
	if err != nil {
		return errors.Join(err, h.client.Close())
	}
	h.keys.OnUnknown(func(cookie.KeyID) { h.directory.Refresh() })
	return nil
}

// assembleCalls wires what calls pass: table, neighbours, links, forwarder, transactions, sockets.
func (h *hub) assembleCalls() error {
	c, log := &h.options.Config, h.options.Logger
	h.table = routetable.New(routetable.Options{Self: h.self.NodeID(), Epoch: h.epoch})
	none, err := policy.New(h.domain, nil)
	if err != nil {
		return err
	}
	h.policy.Store(none)
	h.peering = peering.New(peering.Options{
		Self: h.self.NodeID(), Domain: h.domain, Epoch: h.epoch, Table: h.table, Policy: h.policy.Load, Admit: h.admit, Believed: h.believed,
		SIP: h.sipAddresses(), Software: h.options.Software, Dial: peering.OverGRPC(h.options.Network, h.own(), h.dialTLS),
		Keepalive: c.Exchange.Keepalive, Hold: c.Exchange.Hold, StaleMax: c.Exchange.StaleMax, Logger: log,
	})
	h.links = nodelink.New(nodelink.Options{Identify: h.identify, Accept: true, Changed: h.linkChanged, Logger: log})
	h.forwarder, err = forwarder.New(forwarder.Options{
		Self: h.self.NodeID(), Routes: numbers{h.table}, Links: h.links, Hubs: h.carriers.of, Keys: &h.keys, SentBy: h.sentBy,
		Ready: h.takesCalls, Silence: c.Timers.Silence, SearchFor: c.Timers.Search, Logger: log,
	})
	if err != nil {
		return err
	}
	h.ring = tracering.New(siptxWorkers(c.Workers), int(c.Trace.Bytes))
	options := h.forwarder.StackOptions(h.links, h.ring)
	options.Workers = c.Workers
	options.Timers = siptx.Timers{T1: c.Timers.T1, T2: c.Timers.T2, T4: c.Timers.T4, C: c.Timers.C}
	if h.stack, err = siptx.New(options); err != nil {
		return err
	}
	h.endpoint = siptransport.New(siptransport.Options{
		Network: h.options.Network, Logger: log, Receiver: h.stack, Watcher: h.links,
	})
	h.links.Attach(h.endpoint)
	return nil
}

// trunkTLS is for the connections that carry calls.
func (h *hub) trunkTLS() *tls.Config {
	return identity.ServerTLS(h.source, h.trust, identity.Site, identity.Hub)
}

// sentBy is the address that peers of a flow see. The local port of a connection that was dialled is nobody's: there
// the listener's is told.
func (h *hub) sentBy(flow siptransport.Flow) netip.AddrPort {
	local := flow.Local
	if !h.bound[local] {
		if listener, ok := h.endpoint.LocalFor(flow.Transport, flow.Remote.Addr()); ok {
			local = listener
		}
	}
	return netip.AddrPortFrom(h.options.Config.Listen.Advertised(local.Addr()), local.Port())
}

// boundSockets are the addresses of the open sockets.
func boundSockets(o *Options) map[netip.AddrPort]bool {
	bound := map[netip.AddrPort]bool{}
	for _, c := range o.UDP {
		bound[addrPort(c.LocalAddr())] = true
	}
	for _, l := range slices.Concat(o.TCP, o.TLS) {
		bound[addrPort(l.Addr())] = true
	}
	return bound
}
