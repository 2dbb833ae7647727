package admin

import (
	"context"
	"maps"
	"slices"

	"google.golang.org/grpc"

	"github.com/mss-federation/mss/pkg/adminapi"
	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/identity"
	tmssv1 "github.com/mss-federation/mss/proto/mss/tmss/v1"
	"github.com/mss-federation/mss/tmss/discovery"
)

// hubs serves mss.tmss.v1.Hubs.
type hubs struct {
	tmssv1.UnimplementedHubsServer
	api *API
}

// ListHubs gives the hubs of the directory.
func (s *hubs) ListHubs(_ *tmssv1.ListHubsRequest, stream grpc.ServerStreamingServer[tmssv1.ListHubsResponse]) error {
	view := s.api.options.Directory.View()
	for i := range view.Hubs {
		if err := stream.Send(&tmssv1.ListHubsResponse{Hub: s.message(&view.Hubs[i])}); err != nil {
			return err
		}
	}
	return nil
}

func (s *hubs) message(h *discovery.Hub) *tmssv1.Hub {
	m := &tmssv1.Hub{
		Id: string(h.ID), Grpc: h.GRPC, GrpcAlso: h.GRPCAlso, Version: h.Version, Epoch: h.Epoch,
		Self: h.ID == s.api.options.Hub, GoneAt: adminapi.Time(h.Gone),
	}
	for _, transport := range slices.Sorted(maps.Keys(h.SIP)) {
		for _, address := range h.SIPAddresses(transport) {
			m.Sip = append(m.Sip, transport+" "+address)
		}
	}
	return m
}

// IssueHubToken makes a token for a new hub.
func (s *hubs) IssueHubToken(ctx context.Context, req *tmssv1.IssueHubTokenRequest) (*tmssv1.IssueHubTokenResponse, error) {
	const op = "make token"
	node := s.api.options.node(identity.Hub, req.GetId())
	if err := node.Validate(); err != nil {
		return nil, &fault.Error{Op: op, Kind: fault.Invalid, Subject: req.GetId(), Err: err}
	}
	if h, ok := s.api.options.Directory.View().Hub(federation.HubID(req.GetId())); ok && h.Gone.IsZero() {
		return nil, fault.New(op, fault.Exists, req.GetId(), "a hub of this name is there; `mssctl hub list` shows it")
	}
	response := &tmssv1.IssueHubTokenResponse{}
	err := s.api.change(ctx, op+" for hub "+req.GetId(), nil, nil, func(by string) error {
		text, expires, err := s.api.options.Token(ctx, node, by)
		response.Token, response.ExpiresAt = text, adminapi.Time(expires)
		return err
	})
	return response, err
}

func hubNode(id federation.HubID) federation.NodeID { return federation.NodeID("hub/" + string(id)) }
