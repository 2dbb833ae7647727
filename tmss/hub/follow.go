package hub

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/mss-federation/mss/pkg/exchange"
	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/nodelink"
	"github.com/mss-federation/mss/pkg/siptransport"
	"github.com/mss-federation/mss/tmss/config"
	"github.com/mss-federation/mss/tmss/discovery"
	"github.com/mss-federation/mss/tmss/policy"
)

// currentPolicy is the import policy that is in force.
type currentPolicy struct{ atomic.Pointer[policy.Policy] }

// configuredSites are the sites of the configuration file in the directory's words.
func configuredSites(c *config.Config) ([]discovery.Site, error) {
	var sites []discovery.Site
	for i := range c.Sites {
		site := discovery.Site{ID: c.Sites[i].Name, Static: c.Sites[i].Address.String()}
		for _, p := range c.Sites[i].Prefixes {
			n, err := p.NLRI("")
			if err != nil {
				return nil, err
			}
			site.Owns = append(site.Owns, discovery.BlockOf(n))
		}
		sites = append(sites, site)
	}
	return sites, nil
}

// followDirectory carries over what operators and other hubs change, until ctx ends.
func (h *hub) followDirectory(ctx context.Context) error {
	h.directory.Follow(ctx, h.apply)
	return nil
}

// apply makes the hub work by a view of the directory.
func (h *hub) apply(before, now *discovery.View) {
	h.keys.Set(now.Keys)
	h.trust.SetRevoked(now.Revoked)
	h.peering.SetHubs(h.hubsOf(now))
	sites := h.sitesOf(now)
	made, err := policy.New(h.domain, policySites(h.domain, sites))
	if err != nil {
		h.options.Logger.Error("sites of the directory not understood: the rules stay as they were", "err", err)
		return
	}
	h.policy.Store(made)
	for _, e := range made.Install(h.table, time.Now(), h.statics(sites, now.Routes)) {
		h.options.Logger.Warn("route policy", "what", e.Text, "prefix", e.NLRI.Pattern())
	}
	h.links.SetStatics(h.staticLinks(sites))
	h.links.SetTargets(h.hubTargets(now))
	h.peering.Readmit()
	h.peering.Changed()
	h.sortConnections()
	for _, d := range discovery.Differences(before, now) {
		h.options.Logger.Debug("directory changed", "noun", d.Noun, "id", d.ID, "before", d.Before, "now", d.Now)
	}
}

// sitesOf are the offices that may be here: the directory's that are not disabled, and those of this hub's file, which
// win where both have one of a name.
func (h *hub) sitesOf(view *discovery.View) []discovery.Site {
	sites := slices.Clone(h.configured)
	for _, s := range view.Sites {
		taken := slices.ContainsFunc(h.configured, func(c discovery.Site) bool { return c.ID == s.ID })
		if !s.Disabled && !taken {
			sites = append(sites, s)
		}
	}
	return sites
}

func policySites(domain federation.Domain, sites []discovery.Site) []policy.Site {
	list := make([]policy.Site, 0, len(sites))
	for _, s := range sites {
		site := policy.Site{ID: s.ID}
		for _, b := range s.Owns {
			site.Prefixes = append(site.Prefixes, b.NLRI(domain))
		}
		list = append(list, site)
	}
	return list
}

// statics are the operators' routes, and those of offices that cannot announce because they are only an address.
func (h *hub) statics(sites []discovery.Site, configured []discovery.Route) []policy.StaticRoute {
	var routes []policy.StaticRoute
	for _, r := range configured {
		route := policy.StaticRoute{ID: r.ID, NLRI: r.Block.NLRI(h.domain), Cost: r.Cost}
		if r.Via != "" {
			route.NextHops = []federation.NextHop{{Node: r.Via}}
		}
		routes = append(routes, route)
	}
	for _, s := range sites {
		if s.Static == "" {
			continue
		}
		for _, b := range s.Owns {
			routes = append(routes, policy.StaticRoute{
				ID: "site " + string(s.ID), NLRI: b.NLRI(h.domain), NextHops: []federation.NextHop{{Node: siteNode(s.ID)}},
			})
		}
	}
	return routes
}

// staticLinks are the trunks of offices that are known by address.
func (h *hub) staticLinks(sites []discovery.Site) []nodelink.Static {
	var list []nodelink.Static
	for _, s := range sites {
		transport, address, _ := strings.Cut(s.Static, " ")
		remote, err := netip.ParseAddrPort(address)
		if err != nil {
			continue // no address, or a name: those are not dialled by hubs
		}
		var ok bool
		static := nodelink.Static{Node: siteNode(s.ID), Flow: siptransport.Flow{Transport: siptransport.UDP, Remote: remote}}
		if transport == "tcp" {
			static.Flow.Transport = siptransport.TCP
		} else if static.Flow.Local, ok = h.udpFor(remote.Addr()); !ok {
			h.options.Logger.Warn("office not reached from this hub: it has no UDP socket of that family, listen.udp would make one",
				"site", string(s.ID), "address", s.Static)
			continue
		}
		static.Sources = h.sourcesOf(s.ID)
		list = append(list, static)
	}
	return list
}

// udpFor is the socket that a UDP peer is reached from.
func (h *hub) udpFor(remote netip.Addr) (netip.AddrPort, bool) {
	for _, conn := range h.options.UDP {
		local := addrPort(conn.LocalAddr())
		if local.Addr().Is4() == remote.Is4() {
			return local, true
		}
	}
	return netip.AddrPort{}, false
}

func (h *hub) sourcesOf(id federation.SiteID) (sources []nodelink.Source) {
	for i := range h.options.Config.Sites {
		if h.options.Config.Sites[i].Name != id {
			continue
		}
		for _, n := range h.options.Config.Sites[i].Sources {
			sources = append(sources, nodelink.Source{Prefix: n.Prefix})
		}
	}
	return sources
}

// admit says whether a node may be here: hubs by their certificate, sites when operators configured them.
func (h *hub) admit(id federation.NodeID) error {
	name, isSite := strings.CutPrefix(string(id), "site/")
	if !isSite {
		return nil
	}
	for _, s := range h.sitesOf(h.directory.View()) {
		if string(s.ID) == name {
			return nil
		}
	}
	return fault.New("admit node", fault.Denied, string(id), "no such site is configured, or it is disabled: `mssctl site list` shows them, `mssctl site add "+name+"` makes it")
}

// sortConnections closes the trunks of those who may not be here any more, and those of strangers who now may: they
// come back as links.
func (h *hub) sortConnections() {
	for _, info := range h.endpoint.Flows() {
		state, secure := h.endpoint.Peer(info.Flow)
		if !secure {
			continue
		}
		_, linked := h.links.Node(info.Flow)
		if _, err := h.identify(state); (err == nil) != linked {
			h.options.Logger.Info("trunk closed: who may be here has changed", "flow", info.Flow.String())
			h.endpoint.Close(info.Flow)
		}
	}
}

// linkChanged tells the neighbours' keeper whether calls reach a node.
func (h *hub) linkChanged(node federation.NodeID, state nodelink.State) {
	h.options.Logger.Info("trunk changed", "peer", string(node), "state", state.String())
	if state == nodelink.Suspect {
		h.peering.TrunkSilent(node)
		return
	}
	h.peering.TrunkChanged(node, state == nodelink.Alive)
}

// hubsOf is the list of hubs that sites are told: those that are there, and this one in any case.
func (h *hub) hubsOf(view *discovery.View) []exchange.Hub {
	self := h.entry()
	list := []exchange.Hub{hubMessage(&self)}
	for i := range view.Hubs {
		if other := &view.Hubs[i]; string(other.ID) != h.self.ID {
			list = append(list, hubMessage(other))
		}
	}
	slices.SortFunc(list, func(a, b exchange.Hub) int { return strings.Compare(string(a.ID), string(b.ID)) })
	return list
}

func siteNode(id federation.SiteID) federation.NodeID { return federation.NodeID("site/" + string(id)) }
