package uplink

import (
	"context"
	"crypto/tls"
	"slices"
	"strings"
	"time"

	"github.com/mss-federation/mss/pkg/exchange"
	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/identity"
	"github.com/mss-federation/mss/pkg/nodelink"
	"github.com/mss-federation/mss/pkg/siptransport"
)

// manager keeps sessions and trunks as the list of hubs says. It belongs to one goroutine.
type manager struct {
	uplink  *Uplink
	known   []exchange.Hub
	configs map[federation.HubID]*tls.Config
	running map[federation.HubID]*running
	behind  []federation.HubID // as kept
}

// running is a session and the way to end it.
type running struct {
	hub    exchange.Hub
	cancel context.CancelFunc
	done   chan struct{}
}

// again is how often names of hubs are looked up anew.
const again = 30 * time.Second

func (m *manager) run(ctx context.Context) {
	defer m.stop()
	timer := time.NewTicker(again)
	defer timer.Stop()
	m.apply(ctx)
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.uplink.inbox:
			m.news()
		case <-timer.C:
		}
		m.apply(ctx)
	}
}

// news takes what hubs told and keeps it.
func (m *manager) news() {
	u := m.uplink
	u.mu.Lock()
	listed, said := u.mu.directory, u.mu.opened
	u.mu.directory, u.mu.opened = nil, nil
	u.mu.Unlock()
	m.keepReach()
	now := merge(m.known, sound(listed), u.up)
	for _, hub := range said {
		now = amend(now, hub)
	}
	if slices.EqualFunc(now, m.known, sameHub) {
		return
	}
	m.known = now
	u.log.Info("list of hubs changed", "hubs", names(now))
	if err := u.options.Home.saveHubs(now); err != nil {
		u.log.Error("list of hubs not stored: a restart would begin with the old one", "err", err)
	}
}

// keepReach keeps what hubs showed of the way back to this site.
func (m *manager) keepReach() {
	behind := m.uplink.behind()
	if slices.Equal(behind, m.behind) {
		return
	}
	if err := m.uplink.options.Home.saveReach(behind); err != nil {
		m.uplink.log.Error("whether voice reaches this site is not stored: a restart would not know it at once", "err", err)
		return
	}
	m.behind = behind
}

// sound leaves out what cannot be a hub, and addresses beyond all measure.
func sound(listed []exchange.Hub) []exchange.Hub {
	for i := range listed {
		h := &listed[i]
		h.GRPCAlso, h.SIP = h.GRPCAlso[:min(len(h.GRPCAlso), maxAddresses)], h.SIP[:min(len(h.SIP), 3*maxAddresses)]
	}
	return slices.DeleteFunc(listed, func(h exchange.Hub) bool {
		node := identity.Node{Domain: "example.org", Role: identity.Hub, ID: string(h.ID)}
		return node.Validate() != nil || h.GRPC == ""
	})
}

func names(hubs []exchange.Hub) string {
	all := make([]string, 0, len(hubs))
	for i := range hubs {
		all = append(all, string(hubs[i].ID))
	}
	return strings.Join(all, " ")
}

// apply makes what runs fit the list.
func (m *manager) apply(ctx context.Context) {
	u := m.uplink
	attached := choose(u.options.Site, u.options.Prefer, m.known)
	for id, r := range m.running {
		i := slices.IndexFunc(attached, func(h exchange.Hub) bool { return h.ID == id })
		if i < 0 || !sameControl(attached[i], r.hub) {
			m.end(id)
		}
	}
	u.forgetOthers(attached)
	u.setOrder(attached)
	u.links.SetTargets(m.trunks(ctx, attached))
	for _, hub := range attached {
		if m.running[hub.ID] == nil {
			m.start(ctx, hub)
		}
	}
	u.complain(m.known)
}

func (m *manager) start(ctx context.Context, hub exchange.Hub) {
	ctx, cancel := context.WithCancel(ctx)
	s := newSession(m.uplink, hub, m.config(hub.ID))
	r := &running{hub: hub, cancel: cancel, done: make(chan struct{})}
	m.running[hub.ID] = r
	m.uplink.mu.Lock()
	m.uplink.mu.sessions[hub.ID] = s
	m.uplink.mu.Unlock()
	go func() {
		defer close(r.done)
		s.run(ctx)
	}()
}

func (m *manager) end(id federation.HubID) {
	r := m.running[id]
	r.cancel()
	<-r.done
	delete(m.running, id)
	m.uplink.mu.Lock()
	delete(m.uplink.mu.sessions, id)
	m.uplink.mu.Unlock()
}

// stop ends all sessions together.
func (m *manager) stop() {
	for _, r := range m.running {
		r.cancel()
	}
	for id := range m.running {
		m.end(id)
	}
}

// config is the one TLS configuration for a hub: the same pointer is the same trunk.
func (m *manager) config(id federation.HubID) *tls.Config {
	if m.configs[id] == nil {
		node := identity.Node{Domain: string(m.uplink.options.Domain), Role: identity.Hub, ID: string(id)}
		m.configs[id] = identity.ClientTLS(m.uplink.source, m.uplink.trust, node)
	}
	return m.configs[id]
}

// trunks are the connections to keep. A hub with a fixed address needs none, one whose address is not
// known, or not found, has none for now.
func (m *manager) trunks(ctx context.Context, attached []exchange.Hub) []nodelink.Target {
	u := m.uplink
	targets := make([]nodelink.Target, 0, len(attached))
	for _, hub := range attached {
		addresses := hub.SIPAddresses("tls")
		fixed := slices.ContainsFunc(u.options.Static, func(s Static) bool { return s.Hub == hub.ID })
		if len(addresses) == 0 || fixed {
			continue
		}
		remotes, err := u.find(ctx, addresses)
		if err != nil {
			u.log.Warn("hub's trunk not found", "hub", string(hub.ID), "err", err)
			continue
		}
		targets = append(targets, nodelink.Target{
			Node: nodeID(hub.ID), TLS: m.config(hub.ID), Flow: siptransport.Flow{Transport: siptransport.TLS, Remote: remotes[0]}, Also: remotes[1:],
		})
	}
	return targets
}
