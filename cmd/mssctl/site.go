package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	tmssv1 "github.com/mss-federation/mss/proto/mss/tmss/v1"
)

func (a *app) siteCommand() *cobra.Command {
	return noun("site", "the offices of the domain (asked of a hub)", a.siteList(), a.siteAdd(), a.siteDelete(), a.siteToken())
}

func (a *app) siteList() *cobra.Command {
	return &cobra.Command{
		Use:               "list [NAME]",
		Short:             "show offices, their numbers, and how this hub reaches them",
		Example:           "  mssctl site list\n  mssctl site list london -o yaml",
		Args:              atMost("NAME"),
		ValidArgsFunction: offered(a.offerSites),
		RunE: func(cmd *cobra.Command, args []string) error {
			l := a.newList("sites", "SITE", "NUMBERS", "SESSION", "TRUNK", "ROUTES", "ADDRESS", "STATE")
			err := a.eachSite(cmd.Context(), first(args), func(s *tmssv1.Site) error {
				return l.add(s, s.GetName(), strings.Join(s.GetPrefixes(), " "), s.GetSession(), s.GetTrunk(),
					strconv.FormatUint(uint64(s.GetRoutes()), 10), s.GetStatic(), siteState(s))
			})
			return l.finish(err)
		},
	}
}

func siteState(s *tmssv1.Site) string {
	state := "enabled"
	if s.GetDisabled() {
		state = "disabled"
	}
	if s.GetConfigured() {
		state += ", from the configuration file"
	}
	return state
}

func (a *app) eachSite(ctx context.Context, name string, do func(*tmssv1.Site) error) error {
	return a.with(ctx, "list sites", func(ctx context.Context, conn *grpc.ClientConn) error {
		stream, err := tmssv1.NewSitesClient(conn).ListSites(ctx, &tmssv1.ListSitesRequest{Name: name})
		return each(a, stream, err, func(m *tmssv1.ListSitesResponse) error { return do(m.GetSite()) })
	})
}

func (a *app) siteAdd() *cobra.Command {
	site := &tmssv1.Site{}
	cmd := &cobra.Command{
		Use:   "add NAME",
		Short: "make an office and say which numbers it owns",
		Long: "Makes an office and says which numbers it owns: 4xxx are the four-digit numbers that begin with 4,\n" +
			"+4420 all that begin so. It may announce these and no others.",
		Example: "  mssctl site add london --prefix 4xxx --prefix +442079460",
		Args:    exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if site.Name = args[0]; len(site.GetPrefixes()) == 0 {
				return usage(cmd, "missing --prefix: which numbers does the office own?")
			}
			return a.with(cmd.Context(), "add site", func(ctx context.Context, conn *grpc.ClientConn) error {
				m, err := tmssv1.NewSitesClient(conn).AddSite(ctx, &tmssv1.AddSiteRequest{Site: site})
				if err != nil {
					return err
				}
				return a.printObject(m, fmt.Sprintf("site %s added with %s\nnext: mssctl site token %s\n",
					args[0], strings.Join(m.GetSite().GetPrefixes(), " "), args[0]))
			})
		},
	}
	cmd.Flags().StringSliceVar(&site.Prefixes, "prefix", nil, "numbers that the office owns, such as 4xxx (may be repeated)")
	cmd.Flags().StringVar(&site.Static, "static", "", `where the office is reached without certificates, such as "udp 192.0.2.7:5060"`)
	return cmd
}

func (a *app) siteDelete() *cobra.Command {
	return &cobra.Command{
		Use:               "delete NAME",
		Short:             "remove an office: its routes and its trunk go; calls in which it takes part are cut off",
		Example:           "  mssctl site delete london",
		Args:              exactly("NAME"),
		ValidArgsFunction: offered(a.offerSites),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd.Context(), "delete site", func(ctx context.Context, conn *grpc.ClientConn) error {
				m, err := tmssv1.NewSitesClient(conn).DeleteSite(ctx, &tmssv1.DeleteSiteRequest{Name: args[0]})
				if err != nil {
					return err
				}
				return a.printObject(m, "site "+args[0]+" deleted\n")
			})
		},
	}
}

func (a *app) siteToken() *cobra.Command {
	return &cobra.Command{
		Use:               "token NAME",
		Short:             "make the string with which an office's server joins the domain, once",
		Example:           "  mssctl site token london",
		Args:              exactly("NAME"),
		ValidArgsFunction: offered(a.offerSites),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd.Context(), "make token", func(ctx context.Context, conn *grpc.ClientConn) error {
				m, err := tmssv1.NewSitesClient(conn).IssueSiteToken(ctx, &tmssv1.IssueSiteTokenRequest{Name: args[0]})
				if err != nil {
					return err
				}
				return a.printToken(m, "lmss", m.GetToken(), m.GetExpiresAt())
			})
		},
	}
}

// printToken prints a token alone on standard output, so that a script can take it, and what to do with it beside.
func (a *app) printToken(m proto.Message, program, token string, expires *timestamppb.Timestamp) error {
	if a.format != formatTable {
		return a.printObject(m, "")
	}
	fmt.Fprintln(a.out, token)
	fmt.Fprintf(a.errOut, "shown this once, good once, for %s; on the new machine: %s join STRING\n", until(expires, a.now()), program)
	return nil
}
