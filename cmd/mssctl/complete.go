package main

import (
	"cmp"
	"context"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"

	commonv1 "github.com/mss-federation/mss/proto/mss/common/v1"
	lmssv1 "github.com/mss-federation/mss/proto/mss/lmss/v1"
	tmssv1 "github.com/mss-federation/mss/proto/mss/tmss/v1"
)

// This file has what the shell is offered: names that the node has now.

// onlyFirst offers words for the first argument and none for others.
func onlyFirst(complete cobra.CompletionFunc) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return complete(cmd, args, begun)
	}
}

// offered makes a completion of what lists names, as name and description.
func offered(list func(ctx context.Context, offer func(name, what string)) error) cobra.CompletionFunc {
	return onlyFirst(func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		var names []string
		err := list(cmd.Context(), func(name, what string) {
			names = append(names, cobra.CompletionWithDesc(name, printable(what)))
		})
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	})
}

func (a *app) offerUsers(ctx context.Context, offer func(name, what string)) error {
	return a.eachUser(ctx, "", func(u *lmssv1.User) error {
		offer(u.GetName(), u.GetDisplayName())
		return nil
	})
}

func (a *app) offerCalls(ctx context.Context, offer func(name, what string)) error {
	return a.eachCall(ctx, "", func(c *lmssv1.Call) error {
		offer(c.GetId(), c.GetCaller()+" to "+c.GetCalled())
		return nil
	})
}

func (a *app) offerSites(ctx context.Context, offer func(name, what string)) error {
	return a.eachSite(ctx, "", func(s *tmssv1.Site) error {
		offer(s.GetName(), strings.Join(s.GetPrefixes(), " "))
		return nil
	})
}

func (a *app) offerPeers(ctx context.Context, offer func(name, what string)) error {
	return a.eachPeer(ctx, "", func(p *commonv1.Peer) error {
		offer(p.GetNode(), "session "+sessionName(p.GetSession()))
		return nil
	})
}

// offerNextHops are the nodes that a static route can lead to.
func (a *app) offerNextHops(ctx context.Context, offer func(name, what string)) error {
	err := a.offerSites(ctx, func(name, what string) { offer("site/"+name, what) })
	if err != nil {
		return err
	}
	return a.eachHub(ctx, func(h *tmssv1.Hub) error {
		offer("hub/"+h.GetId(), hubState(h))
		return nil
	})
}

// staticRule precedes a static route's name where a path says what it rests on.
const staticRule = "static "

func (a *app) offerStaticRoutes(ctx context.Context, offer func(name, what string)) error {
	return a.with(ctx, "list routes", func(ctx context.Context, conn *grpc.ClientConn) error {
		stream, err := tmssv1.NewRoutesClient(conn).ListRoutes(ctx, &tmssv1.ListRoutesRequest{})
		return each(a, stream, err, func(m *tmssv1.ListRoutesResponse) error {
			if name, ok := strings.CutPrefix(m.GetPath().GetRule(), staticRule); ok {
				offer(name, m.GetPath().GetPrefix())
			}
			return nil
		})
	})
}

func (a *app) offerPlaces(_ context.Context, offer func(name, what string)) error {
	all, _, err := a.loadPlaces()
	for _, p := range all.Contexts {
		offer(p.Name, cmp.Or(p.Node, p.Socket))
	}
	return err
}
