package main

import (
	"context"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"

	commonv1 "github.com/mss-federation/mss/proto/mss/common/v1"
)

func (a *app) peerCommand() *cobra.Command {
	return noun("peer", "the neighbours with which this node exchanges routes and calls", a.peerList())
}

func (a *app) peerList() *cobra.Command {
	return &cobra.Command{
		Use:               "list [NODE]",
		Short:             "show neighbours: session, trunk, routes, and why a session is down",
		Example:           "  mssctl peer list",
		Args:              atMost("NODE"),
		ValidArgsFunction: offered(a.offerPeers),
		RunE: func(cmd *cobra.Command, args []string) error {
			now := a.now()
			l := a.newList("peers", "PEER", "SESSION", "FOR", "TRUNK", "TRUNK ADDRESS", "ROUTES", "SESSIONS", "VERSION", "REASON")
			err := a.eachPeer(cmd.Context(), first(args), func(p *commonv1.Peer) error {
				return l.add(p, p.GetNode(), sessionName(p.GetSession()), since(p.GetSince(), now), trunkState(p), p.GetTrunkAddress(),
					strconv.FormatUint(uint64(p.GetRoutesIn()), 10), strconv.FormatUint(uint64(p.GetSessions()), 10), p.GetSoftware(), p.GetReason())
			})
			return l.finish(err)
		},
	}
}

func (a *app) eachPeer(ctx context.Context, node string, do func(*commonv1.Peer) error) error {
	return a.with(ctx, "list peers", func(ctx context.Context, conn *grpc.ClientConn) error {
		stream, err := commonv1.NewPeersClient(conn).ListPeers(ctx, &commonv1.ListPeersRequest{Node: node})
		return each(a, stream, err, func(m *commonv1.ListPeersResponse) error { return do(m.GetPeer()) })
	})
}

// trunkState is the trunk's state, and the breaker's where that keeps calls away.
func trunkState(p *commonv1.Peer) string {
	if b := p.GetBreaker(); b != "" && b != "closed" {
		return p.GetTrunk() + ", breaker " + b
	}
	return p.GetTrunk()
}

func sessionName(s commonv1.Session) string {
	return strings.ToLower(strings.TrimPrefix(s.String(), "SESSION_"))
}
