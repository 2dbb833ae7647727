package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"

	tmssv1 "github.com/mss-federation/mss/proto/mss/tmss/v1"
)

func (a *app) hubCommand() *cobra.Command {
	return noun("hub", "the hubs of the domain (asked of a hub)", a.hubList(), a.hubToken())
}

func (a *app) hubList() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "show the hubs that the directory knows",
		Example: "  mssctl hub list",
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			l := a.newList("hubs", "HUB", "GRPC", "SIP", "VERSION", "STATE")
			err := a.eachHub(cmd.Context(), func(h *tmssv1.Hub) error {
				return l.add(h, h.GetId(), h.GetGrpc(), strings.Join(h.GetSip(), ", "), h.GetVersion(), hubState(h))
			})
			return l.finish(err)
		},
	}
}

func (a *app) eachHub(ctx context.Context, do func(*tmssv1.Hub) error) error {
	return a.with(ctx, "list hubs", func(ctx context.Context, conn *grpc.ClientConn) error {
		stream, err := tmssv1.NewHubsClient(conn).ListHubs(ctx, &tmssv1.ListHubsRequest{})
		return each(a, stream, err, func(m *tmssv1.ListHubsResponse) error { return do(m.GetHub()) })
	})
}

func hubState(h *tmssv1.Hub) string {
	switch {
	case h.GetSelf():
		return "this one"
	case h.GetGoneAt() != nil:
		return "not in the directory since " + clock(h.GetGoneAt())
	}
	return "there"
}

func (a *app) hubToken() *cobra.Command {
	return &cobra.Command{
		Use:     "token NAME",
		Short:   "make the string with which a new hub joins the domain, once",
		Long:    "Makes the string with which a new hub joins the domain, once, within ten minutes. Ask the hub that\nhas the domain's root key: only there can another hub join.",
		Example: "  mssctl hub token b",
		Args:    exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd.Context(), "make token", func(ctx context.Context, conn *grpc.ClientConn) error {
				m, err := tmssv1.NewHubsClient(conn).IssueHubToken(ctx, &tmssv1.IssueHubTokenRequest{Id: args[0]})
				if err != nil {
					return err
				}
				return a.printToken(m, "tmss", m.GetToken(), m.GetExpiresAt())
			})
		},
	}
}
