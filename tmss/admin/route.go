package admin

import (
	"context"
	"slices"
	"strings"

	"google.golang.org/grpc"

	"github.com/mss-federation/mss/pkg/adminapi"
	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/federation"
	tmssv1 "github.com/mss-federation/mss/proto/mss/tmss/v1"
	"github.com/mss-federation/mss/tmss/discovery"
	"github.com/mss-federation/mss/tmss/routetable"
)

// routes serves mss.tmss.v1.Routes.
type routes struct {
	tmssv1.UnimplementedRoutesServer
	api *API
}

// ListRoutes gives the table as it is now.
func (s *routes) ListRoutes(req *tmssv1.ListRoutesRequest, stream grpc.ServerStreamingServer[tmssv1.ListRoutesResponse]) error {
	for entry := range s.api.options.Table.Snapshot().All() {
		if !wanted(entry.NLRI, req.GetPrefix()) {
			continue
		}
		for _, m := range entryMessages(entry) {
			if err := stream.Send(&tmssv1.ListRoutesResponse{Path: m}); err != nil {
				return err
			}
		}
	}
	return nil
}

// wanted says whether a route begins like a text, or takes it as a number.
func wanted(n federation.NLRI, text string) bool {
	if text == "" || !n.Family.Digits() {
		return text == "" || strings.HasPrefix(n.Key, text)
	}
	digits, e164 := strings.CutPrefix(strings.TrimRight(text, "x"), "+")
	if e164 != (n.Family == federation.E164) {
		return false
	}
	number := strings.HasPrefix(digits, n.Key) && int(n.MinLen) <= len(digits) && len(digits) <= int(n.MaxLen)
	return number || strings.HasPrefix(n.Key, digits)
}

// AddRoute makes a static route.
func (s *routes) AddRoute(ctx context.Context, req *tmssv1.AddRouteRequest) (*tmssv1.AddRouteResponse, error) {
	const op = "add route"
	r := req.GetRoute()
	block, err := blockOf(op, r.GetPrefix(), r.GetPrefix())
	if err != nil {
		return nil, err
	}
	route := discovery.Route{ID: r.GetId(), Block: block, Via: federation.NodeID(r.GetVia()), Cost: r.GetCost(), Priority: r.GetPriority()}
	if route.ID == "" {
		route.ID = routeName(block, route.Via)
	}
	if err := s.leadsSomewhere(op, &route); err != nil {
		return nil, err
	}
	after := staticMessage(&route)
	err = s.api.change(ctx, op+" "+route.ID, nil, after, func(by string) error {
		return s.api.options.Directory.PutRoute(ctx, route, by)
	})
	if err != nil {
		return nil, err
	}
	if made, ok := s.api.options.Directory.View().Route(route.ID); ok {
		after = staticMessage(&made)
	}
	return &tmssv1.AddRouteResponse{Route: after}, nil
}

// leadsSomewhere refuses a site that nobody knows. A hub may come later.
func (s *routes) leadsSomewhere(op string, route *discovery.Route) error {
	id, isSite := strings.CutPrefix(string(route.Via), "site/")
	if !isSite {
		return nil
	}
	is := func(c discovery.Site) bool { return string(c.ID) == id }
	if !slices.ContainsFunc(s.api.options.Directory.View().Sites, is) && !slices.ContainsFunc(s.api.options.Configured, is) {
		return noSuchSite(op, id)
	}
	return nil
}

// routeName names a route after what it does: "4xxx-site-london".
func routeName(b discovery.Block, via federation.NodeID) string {
	name := b.NLRI("").Pattern() + "-" + string(via)
	if via == "" {
		name = b.NLRI("").Pattern() + "-refused"
	}
	return strings.NewReplacer("+", "e", "/", "-").Replace(name)
}

func staticMessage(r *discovery.Route) *tmssv1.StaticRoute {
	return &tmssv1.StaticRoute{
		Id: r.ID, Prefix: r.Block.NLRI("").Pattern(), Via: string(r.Via), Cost: r.Cost, Priority: r.Priority,
		ChangedBy: r.Changed.By, ChangedAt: adminapi.Time(r.Changed.At),
	}
}

// DeleteRoute removes a static route.
func (s *routes) DeleteRoute(ctx context.Context, req *tmssv1.DeleteRouteRequest) (*tmssv1.DeleteRouteResponse, error) {
	const op = "delete route"
	route, ok := s.api.options.Directory.View().Route(req.GetId())
	if !ok {
		return nil, fault.New(op, fault.NotFound, req.GetId(), "there is no static route of this name; `mssctl route list` shows their names as the rule \"static NAME\"")
	}
	before := staticMessage(&route)
	err := s.api.change(ctx, op+" "+route.ID, before, nil, func(string) error {
		return s.api.options.Directory.DeleteRoute(ctx, route.ID, route.Changed.Revision)
	})
	return &tmssv1.DeleteRouteResponse{Route: before}, err
}

// ExplainRoute says what the hub does with a number.
func (s *routes) ExplainRoute(_ context.Context, req *tmssv1.ExplainRouteRequest) (*tmssv1.ExplainRouteResponse, error) {
	if req.GetNumber() == "" {
		return nil, fault.New("explain route", fault.Invalid, "", "which number?")
	}
	e := s.api.options.Table.Snapshot().Explain(federation.Number(req.GetNumber()))
	m := &tmssv1.ExplainRouteResponse{Number: req.GetNumber(), Outcome: e.Outcome.String(), Revision: e.Revision}
	rank := uint32(0)
	for i := range e.Candidates {
		c := &e.Candidates[i]
		at := uint32(0)
		if c.Path.Reason == routetable.Eligible {
			rank++
			at = rank
		}
		path := pathMessage(c.NLRI, &c.Path, at)
		path.Step = c.Step.String()
		m.Candidates = append(m.Candidates, path)
	}
	for _, miss := range e.Misses {
		m.Misses = append(m.Misses, miss.String())
	}
	return m, nil
}
