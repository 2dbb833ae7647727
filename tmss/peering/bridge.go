package peering

import (
	"slices"
	"strings"
	"time"

	"github.com/mss-federation/mss/pkg/exchange"
	"github.com/mss-federation/mss/pkg/federation"
)

// risen, heard and fallen note what is known of the sessions between hubs; Run acts on it.

func (p *Peering) risen(id federation.NodeID) {
	hub, ok := hubOf(id)
	if !ok {
		return
	}
	p.mu.Lock()
	p.mu.mesh.rise(hub)
	p.mu.Unlock()
	p.nudge()
}

func (p *Peering) heard(id federation.NodeID, sees []federation.HubID) {
	hub, ok := hubOf(id)
	if !ok {
		return
	}
	p.mu.Lock()
	news := p.mu.mesh.hear(hub, sees)
	p.mu.Unlock()
	if news {
		p.nudge()
	}
}

func (p *Peering) fallen(id federation.NodeID) {
	hub, ok := hubOf(id)
	if !ok {
		return
	}
	p.mu.Lock()
	p.mu.mesh.fall(hub, time.Now())
	p.mu.Unlock()
	p.nudge()
}

// reported are the hubs that this one says it has sessions with.
func (p *Peering) reported() []federation.HubID {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.told
}

// bridge tells hubs whom this one has sessions with, and offers each the routes of those that it does not reach. It
// says when it must be asked again; zero means not before something happens.
func (p *Peering) bridge(now time.Time) time.Time {
	p.mu.Lock()
	links, next := p.mu.mesh.links(now)
	sessions := p.mu.mesh.sessions()
	news := !slices.Equal(sessions, p.mu.told)
	p.mu.told = sessions
	p.mu.Unlock()
	for _, n := range p.all() {
		hub, ok := hubOf(n.id)
		if !ok {
			continue
		}
		known := links
		if _, there := links[hub]; !there {
			known = nil // what it gets when it comes is decided then
		}
		if news {
			n.post(exchange.Status{CoreSessions: sessions})
		}
		if n.out.SetLinks(known) {
			n.post(exchange.PolicyChanged{})
		}
	}
	return next
}

func hubOf(id federation.NodeID) (federation.HubID, bool) {
	name, ok := strings.CutPrefix(string(id), "hub/")
	return federation.HubID(name), ok
}
