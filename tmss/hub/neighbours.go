package hub

import (
	"crypto/tls"
	"net/netip"
	"strings"
	"sync"

	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/identity"
	"github.com/mss-federation/mss/pkg/network"
	"github.com/mss-federation/mss/pkg/nodelink"
	"github.com/mss-federation/mss/pkg/siptransport"
	"github.com/mss-federation/mss/tmss/discovery"
)

// dialConfigs are the TLS configurations by which this hub dials others, one for each: a link that is dialled with the
// same one is the same link.
type dialConfigs struct {
	mu    sync.Mutex
	byHub map[federation.HubID]*tls.Config
}

// dialTLS is for connections to one other hub.
func (h *hub) dialTLS(id federation.HubID) *tls.Config {
	h.dialled.mu.Lock()
	defer h.dialled.mu.Unlock()
	if h.dialled.byHub == nil {
		h.dialled.byHub = make(map[federation.HubID]*tls.Config)
	}
	config := h.dialled.byHub[id]
	if config == nil {
		config = identity.ClientTLS(h.source, h.trust, identity.Node{Domain: h.self.Domain, Role: identity.Hub, ID: string(id)})
		h.dialled.byHub[id] = config
	}
	return config
}

// hubTargets are the hubs to which this one keeps a trunk: of two, the one with the lower id dials.
func (h *hub) hubTargets(view *discovery.View) []nodelink.Target {
	var targets []nodelink.Target
	for i := range view.Hubs {
		other := &view.Hubs[i]
		if strings.Compare(h.self.ID, string(other.ID)) >= 0 {
			continue
		}
		remotes := network.Near(h.options.Network, h.own(), literal(other.SIPAddresses("tls")))
		if len(remotes) == 0 {
			h.options.Logger.Warn("no trunk to a hub: it says no address for TLS", "hub", string(other.ID), "address", other.SIP["tls"])
			continue
		}
		targets = append(targets, nodelink.Target{
			Node: hubNode(other.ID), TLS: h.dialTLS(other.ID), Flow: siptransport.Flow{Transport: siptransport.TLS, Remote: remotes[0]}, Also: remotes[1:],
		})
	}
	return targets
}

func hubNode(id federation.HubID) federation.NodeID { return federation.NodeID("hub/" + string(id)) }

// literal are the addresses that are no names: those are not dialled by hubs.
func literal(addresses []string) (list []netip.AddrPort) {
	for _, a := range addresses {
		if remote, err := netip.ParseAddrPort(a); err == nil {
			list = append(list, remote)
		}
	}
	return list
}
