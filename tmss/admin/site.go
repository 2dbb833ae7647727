package admin

import (
	"context"
	"net/netip"
	"slices"
	"strings"

	"google.golang.org/grpc"

	"github.com/mss-federation/mss/pkg/adminapi"
	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/identity"
	tmssv1 "github.com/mss-federation/mss/proto/mss/tmss/v1"
	"github.com/mss-federation/mss/tmss/discovery"
	"github.com/mss-federation/mss/tmss/peering"
)

// sites serves mss.tmss.v1.Sites.
type sites struct {
	tmssv1.UnimplementedSitesServer
	api *API
}

// ListSites gives the directory's sites and those of the configuration file.
func (s *sites) ListSites(req *tmssv1.ListSitesRequest, stream grpc.ServerStreamingServer[tmssv1.ListSitesResponse]) error {
	all := append(slices.Clone(s.api.options.Directory.View().Sites), s.api.options.Configured...)
	slices.SortStableFunc(all, func(a, b discovery.Site) int { return strings.Compare(string(a.ID), string(b.ID)) })
	found := false
	for i := range all {
		if req.GetName() != "" && req.GetName() != string(all[i].ID) {
			continue
		}
		found = true
		if err := stream.Send(&tmssv1.ListSitesResponse{Site: s.message(&all[i])}); err != nil {
			return err
		}
	}
	if !found && req.GetName() != "" {
		return noSuchSite("list sites", req.GetName())
	}
	return nil
}

// message is a site with what this hub knows of it now.
func (s *sites) message(site *discovery.Site) *tmssv1.Site {
	m := siteMessage(site)
	id := siteNode(site.ID)
	peer := s.api.options.Peers.Peer(id)
	m.Session, m.Routes, m.Trunk = peer.Phase.String(), uint32(peer.Routes), "down"
	if link, ok := s.api.options.Links.Best(id); ok {
		m.Trunk = link.State.String()
	}
	if site.Static != "" && peer.Phase == peering.Down {
		m.Session = ""
	}
	m.Configured = slices.ContainsFunc(s.api.options.Configured, func(c discovery.Site) bool { return c.ID == site.ID })
	return m
}

// siteMessage is a site as the directory has it.
func siteMessage(site *discovery.Site) *tmssv1.Site {
	m := &tmssv1.Site{
		Name: string(site.ID), Static: site.Static, Disabled: site.Disabled,
		ChangedBy: site.Changed.By, ChangedAt: adminapi.Time(site.Changed.At),
	}
	for _, b := range site.Owns {
		m.Prefixes = append(m.Prefixes, b.NLRI("").Pattern())
	}
	return m
}

// AddSite makes a site.
func (s *sites) AddSite(ctx context.Context, req *tmssv1.AddSiteRequest) (*tmssv1.AddSiteResponse, error) {
	const op = "add site"
	site := discovery.Site{ID: federation.SiteID(req.GetSite().GetName()), Static: req.GetSite().GetStatic()}
	for _, text := range req.GetSite().GetPrefixes() {
		block, err := blockOf(op, req.GetSite().GetName(), text)
		if err != nil {
			return nil, err
		}
		site.Owns = append(site.Owns, block)
	}
	if err := reachable(op, &site); err != nil {
		return nil, err
	}
	if err := s.vacant(op, &site); err != nil {
		return nil, err
	}
	after := siteMessage(&site)
	err := s.api.change(ctx, op+" "+string(site.ID), nil, after, func(by string) error {
		return s.api.options.Directory.PutSite(ctx, site, by)
	})
	if err != nil {
		return nil, err
	}
	return &tmssv1.AddSiteResponse{Site: s.current(site.ID, after)}, nil
}

// reachable wants a fixed address to be one: hubs look no names up on a call's way.
func reachable(op string, site *discovery.Site) error {
	transport, address, _ := strings.Cut(site.Static, " ")
	if site.Static == "" {
		return nil
	}
	if _, err := netip.ParseAddrPort(address); err != nil || transport != "udp" && transport != "tcp" {
		return fault.New(op, fault.Invalid, string(site.ID), site.Static+" is no fixed address: write \"udp 192.0.2.7:5060\", or tcp")
	}
	return nil
}

// vacant says whether name and numbers are free. A longer prefix inside somebody's block is: it goes before the block.
func (s *sites) vacant(op string, site *discovery.Site) error {
	view := s.api.options.Directory.View()
	for _, other := range append(slices.Clone(view.Sites), s.api.options.Configured...) {
		if other.ID == site.ID {
			return fault.New(op, fault.Exists, string(site.ID), "there is a site of this name: `mssctl site list "+string(site.ID)+"` shows it")
		}
		for _, b := range site.Owns {
			if slices.Contains(other.Owns, b) {
				return fault.New(op, fault.Conflict, string(site.ID), "the numbers "+b.NLRI("").Pattern()+" belong to the site "+string(other.ID))
			}
		}
	}
	return nil
}

// current is a site as the view has it after a change; fallback is for a view that does not have it yet.
func (s *sites) current(id federation.SiteID, fallback *tmssv1.Site) *tmssv1.Site {
	if site, ok := s.api.options.Directory.View().Site(id); ok {
		return s.message(&site)
	}
	return fallback
}

// find is a site of the directory, which can be changed here.
func (s *sites) find(op, name string) (discovery.Site, error) {
	site, ok := s.api.options.Directory.View().Site(federation.SiteID(name))
	switch {
	case ok:
		return site, nil
	case slices.ContainsFunc(s.api.options.Configured, func(c discovery.Site) bool { return string(c.ID) == name }):
		return site, fault.New(op, fault.Conflict, name, "the site comes from the hub's configuration file: change it there and restart the hub")
	}
	return site, noSuchSite(op, name)
}

// DeleteSite removes a site.
func (s *sites) DeleteSite(ctx context.Context, req *tmssv1.DeleteSiteRequest) (*tmssv1.DeleteSiteResponse, error) {
	const op = "delete site"
	site, err := s.find(op, req.GetName())
	if err != nil {
		return nil, err
	}
	before := siteMessage(&site)
	err = s.api.change(ctx, op+" "+string(site.ID), before, nil, func(string) error {
		return s.api.options.Directory.DeleteSite(ctx, site.ID, site.Changed.Revision)
	})
	return &tmssv1.DeleteSiteResponse{Site: before}, err
}

// IssueSiteToken makes a token for a site that is configured.
func (s *sites) IssueSiteToken(ctx context.Context, req *tmssv1.IssueSiteTokenRequest) (*tmssv1.IssueSiteTokenResponse, error) {
	site, err := s.find("make token", req.GetName())
	if err != nil {
		return nil, err
	}
	response := &tmssv1.IssueSiteTokenResponse{}
	err = s.api.change(ctx, "make token for site "+string(site.ID), nil, nil, func(by string) error {
		text, expires, err := s.api.options.Token(ctx, s.api.options.node(identity.Site, string(site.ID)), by)
		response.Token, response.ExpiresAt = text, adminapi.Time(expires)
		return err
	})
	return response, err
}

// blockOf reads "4xxx".
func blockOf(op, subject, text string) (discovery.Block, error) {
	n, err := federation.ParsePattern("", text)
	if err != nil {
		return discovery.Block{}, &fault.Error{Op: op, Kind: fault.Invalid, Subject: subject, Err: err}
	}
	return discovery.BlockOf(n), nil
}

func siteNode(id federation.SiteID) federation.NodeID { return federation.NodeID("site/" + string(id)) }

func noSuchSite(op, name string) error {
	if name == "" {
		return fault.New(op, fault.Invalid, "", "which site? `mssctl site list` names them")
	}
	return fault.New(op, fault.NotFound, name, "there is no such site; `mssctl site list` names them")
}
