package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"

	tmssv1 "github.com/mss-federation/mss/proto/mss/tmss/v1"
)

func (a *app) routeCommand() *cobra.Command {
	return noun("route", "the paths to numbers that a hub knows",
		a.routeList(), a.routeAdd(), a.routeDelete(), a.routeExplain(), a.routeWatch())
}

// routeColumns are those of every table of paths.
var routeColumns = []string{"PREFIX", "RANK", "NEXT HOP", "SITE", "CLASS", "COST", "PATH", "BECAUSE"}

// routeRow is one path; what put it behind the others, or keeps it out, comes last.
func routeRow(p *tmssv1.Path) []string {
	rank := "-"
	if p.GetRank() > 0 {
		rank = strconv.FormatUint(uint64(p.GetRank()), 10)
	}
	return []string{
		p.GetPrefix(), rank, p.GetNextHop(), p.GetSite(), p.GetClass(), strconv.FormatUint(uint64(p.GetCost()), 10),
		strings.Join(p.GetPath(), " "), because(p),
	}
}

func because(p *tmssv1.Path) string {
	var words []string
	if p.GetReason() != "" {
		words = append(words, p.GetReason())
	} else if p.GetRank() > 1 {
		words = append(words, p.GetStep())
	}
	if p.GetStale() {
		words = append(words, "stale")
	}
	return strings.Join(append(words, p.GetRule()), "; ")
}

func (a *app) routeList() *cobra.Command {
	return &cobra.Command{
		Use:     "list [PREFIX]",
		Short:   "show all paths, or those to what begins like PREFIX",
		Example: "  mssctl route list\n  mssctl route list 4001",
		Args:    atMost("PREFIX"),
		RunE: func(cmd *cobra.Command, args []string) error {
			l := a.newList("routes", routeColumns...)
			err := a.with(cmd.Context(), "list routes", func(ctx context.Context, conn *grpc.ClientConn) error {
				stream, err := tmssv1.NewRoutesClient(conn).ListRoutes(ctx, &tmssv1.ListRoutesRequest{Prefix: first(args)})
				return each(a, stream, err, func(m *tmssv1.ListRoutesResponse) error {
					return l.add(m.GetPath(), routeRow(m.GetPath())...)
				})
			})
			return l.finish(err)
		},
	}
}

func (a *app) routeAdd() *cobra.Command {
	route := &tmssv1.StaticRoute{}
	cmd := &cobra.Command{
		Use:   "add PREFIX",
		Short: "make a static route on all hubs; without --via calls to these numbers are refused",
		Example: "  mssctl route add +4420 --via site/london\n" +
			"  mssctl route add 9xxx",
		Args: exactly("PREFIX"),
		RunE: func(cmd *cobra.Command, args []string) error {
			route.Prefix = args[0]
			return a.with(cmd.Context(), "add route", func(ctx context.Context, conn *grpc.ClientConn) error {
				m, err := tmssv1.NewRoutesClient(conn).AddRoute(ctx, &tmssv1.AddRouteRequest{Route: route})
				if err != nil {
					return err
				}
				return a.printObject(m, "route "+m.GetRoute().GetId()+" added\n")
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&route.Id, "name", "", "the route's name (default: after prefix and node)")
	flags.StringVar(&route.Via, "via", "", "node that calls go to: site/NAME or hub/NAME")
	flags.Uint32Var(&route.Cost, "cost", 0, "cost of the way; of equal routes the cheaper is taken")
	_ = cmd.RegisterFlagCompletionFunc("via", func(cmd *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
		return offered(a.offerNextHops)(cmd, nil, begun)
	}) // fails only for an unknown flag
	return cmd
}

func (a *app) routeDelete() *cobra.Command {
	return &cobra.Command{
		Use:               "delete NAME",
		Short:             "remove a static route",
		Example:           "  mssctl route delete e4420-site-london",
		Args:              exactly("NAME"),
		ValidArgsFunction: offered(a.offerStaticRoutes),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd.Context(), "delete route", func(ctx context.Context, conn *grpc.ClientConn) error {
				m, err := tmssv1.NewRoutesClient(conn).DeleteRoute(ctx, &tmssv1.DeleteRouteRequest{Id: args[0]})
				if err != nil {
					return err
				}
				return a.printObject(m, "route "+m.GetRoute().GetId()+" deleted\n")
			})
		},
	}
}

func (a *app) routeExplain() *cobra.Command {
	return &cobra.Command{
		Use:     "explain NUMBER",
		Short:   "say what this hub does with a number, and why not otherwise",
		Example: "  mssctl route explain 4001",
		Args:    exactly("NUMBER"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd.Context(), "explain route", func(ctx context.Context, conn *grpc.ClientConn) error {
				m, err := tmssv1.NewRoutesClient(conn).ExplainRoute(ctx, &tmssv1.ExplainRouteRequest{Number: args[0]})
				if err != nil {
					return err
				}
				return a.printExplanation(m)
			})
		},
	}
}

func (a *app) printExplanation(m *tmssv1.ExplainRouteResponse) error {
	if a.format != formatTable {
		return a.printObject(m, "")
	}
	fmt.Fprintf(a.out, "%s: %s\n", printable(m.GetNumber()), m.GetOutcome())
	l := a.newList("paths", routeColumns...)
	for _, p := range m.GetCandidates() {
		if err := l.add(p, routeRow(p)...); err != nil {
			return err
		}
	}
	if l.count > 0 {
		if err := l.end(); err != nil {
			return err
		}
	}
	for _, miss := range m.GetMisses() {
		fmt.Fprintln(a.out, "near miss: "+printable(miss))
	}
	return nil
}
