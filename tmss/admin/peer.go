package admin

import (
	"maps"
	"slices"
	"strings"

	"google.golang.org/grpc"

	"github.com/mss-federation/mss/pkg/adminapi"
	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/federation"
	commonv1 "github.com/mss-federation/mss/proto/mss/common/v1"
	"github.com/mss-federation/mss/tmss/peering"
)

// peers serves mss.common.v1.Peers.
type peers struct {
	commonv1.UnimplementedPeersServer
	api *API
}

// ListPeers gives all whom the hub knows, also those without session and trunk.
func (s *peers) ListPeers(req *commonv1.ListPeersRequest, stream grpc.ServerStreamingServer[commonv1.ListPeersResponse]) error {
	all := s.all()
	for _, id := range slices.Sorted(maps.Keys(all)) {
		if req.GetNode() != "" && req.GetNode() != string(id) {
			continue
		}
		if err := stream.Send(&commonv1.ListPeersResponse{Peer: s.message(all[id])}); err != nil {
			return err
		}
	}
	if _, ok := all[federation.NodeID(req.GetNode())]; !ok && req.GetNode() != "" {
		return fault.New("list peers", fault.NotFound, req.GetNode(), "there is no such neighbour; `mssctl peer list` names them")
	}
	return nil
}

func (s *peers) all() map[federation.NodeID]peering.Peer {
	all := map[federation.NodeID]peering.Peer{}
	view := s.api.options.Directory.View()
	for i := range view.Sites {
		id := siteNode(view.Sites[i].ID)
		all[id] = peering.Peer{Node: id}
	}
	for i := range view.Hubs {
		if id := view.Hubs[i].ID; id != s.api.options.Hub {
			all[hubNode(id)] = peering.Peer{Node: hubNode(id)}
		}
	}
	for node := range s.api.options.Links.Nodes() {
		all[node] = peering.Peer{Node: node}
	}
	for _, p := range s.api.options.Peers.Peers() {
		all[p.Node] = p
	}
	return all
}

// sessions are the phases as the wire names them.
var sessions = map[peering.Phase]commonv1.Session{
	peering.Down: commonv1.Session_SESSION_DOWN, peering.Opening: commonv1.Session_SESSION_OPENING,
	peering.Synchronising: commonv1.Session_SESSION_SYNCHRONISING, peering.Up: commonv1.Session_SESSION_UP,
}

func (s *peers) message(p peering.Peer) *commonv1.Peer {
	m := &commonv1.Peer{
		Node: string(p.Node), Session: sessions[p.Phase], Reason: adminapi.Text(p.Reason), Since: adminapi.Time(p.Since),
		Address: p.Address, Trunk: "down", RoutesIn: uint32(p.Routes), AnnouncedOut: p.Stats.AnnouncedOut,
		WithdrawnOut: p.Stats.WithdrawnOut, Malformed: p.Stats.Malformed, MalformedLast: adminapi.Text(p.Stats.MalformedLast),
		Sessions: p.Sessions, Software: adminapi.Text(p.Software),
	}
	if link, ok := s.api.options.Links.Best(p.Node); ok {
		m.Trunk = link.State.String()
		m.TrunkAddress = strings.ToLower(link.Flow.Transport.String()) + " " + adminapi.Address(link.Flow.Remote)
		m.Breaker = s.api.options.Breaker(link.Flow)
	}
	return m
}
