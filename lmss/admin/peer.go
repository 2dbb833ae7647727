package admin

import (
	"cmp"
	"slices"

	"google.golang.org/grpc"

	commonv1 "github.com/mss-federation/mss/proto/mss/common/v1"
)

// peers serves mss.common.v1.Peers: the hubs of the uplink.
type peers struct {
	commonv1.UnimplementedPeersServer
	server *Server
}

// ListPeers gives the hubs, by name. A site without uplink has none.
func (s *peers) ListPeers(req *commonv1.ListPeersRequest, stream grpc.ServerStreamingServer[commonv1.ListPeersResponse]) error {
	list := s.server.options.Peers()
	slices.SortFunc(list, func(a, b *commonv1.Peer) int { return cmp.Compare(a.GetNode(), b.GetNode()) })
	for _, p := range list {
		if req.GetNode() != "" && req.GetNode() != p.GetNode() {
			continue
		}
		if err := stream.Send(&commonv1.ListPeersResponse{Peer: p}); err != nil {
			return err
		}
	}
	return nil
}
