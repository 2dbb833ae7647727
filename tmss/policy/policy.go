// Package policy decides which routes a hub takes from a neighbour and which it offers: sites may announce
// what they own, hubs pass on what they have from sites, sites get everything but their own. It is pure. It
// keeps no routes (see routetable) and runs no session (see pkg/exchange). Start at [Policy.Import] and
// [Outbound].
package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/tmss/routetable"
)

// Site is what the directory says of an office.
type Site struct {
	ID       federation.SiteID
	Prefixes []federation.NLRI // what it owns; it may announce these and what lies inside
}

// Policy says which announcements are taken. It is immutable: a changed configuration makes a new one, and
// the table is reviewed (see [Policy.Review]).
type Policy struct {
	domain federation.Domain
	sites  map[federation.SiteID]Site
}

// New makes a policy from the directory's sites.
func New(domain federation.Domain, sites []Site) (*Policy, error) {
	p := &Policy{domain: domain, sites: make(map[federation.SiteID]Site, len(sites))}
	for _, s := range sites {
		for _, n := range s.Prefixes {
			if err := n.Check(); err != nil {
				return nil, &fault.Error{Op: "site prefixes", Kind: fault.Invalid, Subject: string(s.ID), Err: err}
			}
		}
		p.sites[s.ID] = s
	}
	return p, nil
}

// Import decides about a route that a neighbour announced. The reason for a refusal is in Rule.
func (p *Policy) Import(neighbour federation.NodeID, n federation.NLRI, a *federation.Attributes) routetable.Decision {
	d := routetable.Decision{LocalPref: routetable.DefaultLocalPref}
	if n.Domain != p.domain {
		return refuse(d, fmt.Sprintf("domain: %s is not %s", n.Domain, p.domain))
	}
	if site, ok := siteOf(neighbour); ok {
		return p.importFromSite(d, site, n, a)
	}
	return p.importFromHub(d, n, a)
}

func (p *Policy) importFromSite(d routetable.Decision, site federation.SiteID, n federation.NLRI, a *federation.Attributes) routetable.Decision {
	switch {
	case a.Origin.Site != site || a.Origin.Node != nodeOf(site):
		return refuse(d, fmt.Sprintf("origin: the site %s announces for %q", site, a.Origin.Site))
	case n.Family == federation.Default:
		return refuse(d, "default: a site is nobody's default route unless its configuration says so")
	}
	if _, known := p.sites[site]; !known {
		return refuse(d, fmt.Sprintf("site: %s is not configured; add it with its prefixes", site))
	}
	return p.own(d, site, n)
}

// importFromHub looks at ownership again: every hub checks for itself what a site may announce.
func (p *Policy) importFromHub(d routetable.Decision, n federation.NLRI, a *federation.Attributes) routetable.Decision {
	switch {
	case a.OTC != "":
		return refuse(d, "only-to-customer: the route must not climb again (RFC 9234)")
	case a.Origin.Site == "":
		return d // a static route of that hub
	}
	if _, known := p.sites[a.Origin.Site]; !known {
		d.Authority, d.Rule = routetable.NotFound, fmt.Sprintf("ownership: the site %s is not known here", a.Origin.Site)
		return d
	}
	return p.own(d, a.Origin.Site, n)
}

// own checks that the site owns what it announces, and else names the one that does.
func (p *Policy) own(d routetable.Decision, site federation.SiteID, n federation.NLRI) routetable.Decision {
	if p.owns(site, n) {
		d.Authority, d.Rule = routetable.Valid, "ownership"
		return d
	}
	d.Authority, d.Reject = routetable.Invalid, routetable.NotAuthorised
	d.Rule = fmt.Sprintf("ownership: %s is not among the prefixes of the site %s", n, site)
	if owner := p.Owner(n); owner != "" {
		d.Rule += fmt.Sprintf("; the site %s owns it", owner)
	}
	return d
}

func (p *Policy) owns(site federation.SiteID, n federation.NLRI) bool {
	return slices.ContainsFunc(p.sites[site].Prefixes, func(have federation.NLRI) bool { return have.Covers(n) })
}

// Owner is the site that owns an NLRI, the first by name where several do; empty: none.
func (p *Policy) Owner(n federation.NLRI) federation.SiteID {
	var owner federation.SiteID
	for id := range p.sites {
		if p.owns(id, n) && (owner == "" || id < owner) {
			owner = id
		}
	}
	return owner
}

// Review is Import for a path that the table already has; routes of this node are left as they are.
func (p *Policy) Review(self federation.NodeID) func(federation.NLRI, *routetable.Path) routetable.Decision {
	return func(n federation.NLRI, path *routetable.Path) routetable.Decision {
		if path.Neighbour == self {
			return *path.Decision
		}
		return p.Import(path.Neighbour, n, path.Attributes)
	}
}

func refuse(d routetable.Decision, rule string) routetable.Decision {
	d.Reject, d.Rule = routetable.Rejected, rule
	return d
}

func siteOf(node federation.NodeID) (federation.SiteID, bool) {
	id, ok := strings.CutPrefix(string(node), "site/")
	if !ok {
		return "", false
	}
	return federation.SiteID(id), true
}

func hubOf(node federation.NodeID) (federation.HubID, bool) {
	id, ok := strings.CutPrefix(string(node), "hub/")
	if !ok {
		return "", false
	}
	return federation.HubID(id), true
}

func nodeOf(site federation.SiteID) federation.NodeID { return federation.NodeID("site/" + site) }
