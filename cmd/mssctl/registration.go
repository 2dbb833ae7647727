package main

import (
	"context"
	"strconv"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"

	lmssv1 "github.com/mss-federation/mss/proto/mss/lmss/v1"
)

func (a *app) registrationCommand() *cobra.Command {
	return noun("registration", "the phones of users", a.registrationList())
}

func (a *app) registrationList() *cobra.Command {
	return &cobra.Command{
		Use:               "list [USER]",
		Short:             "show which phones are registered",
		Example:           "  mssctl registration list\n  mssctl registration list 4001",
		Args:              atMost("USER"),
		ValidArgsFunction: offered(a.offerUsers),
		RunE: func(cmd *cobra.Command, args []string) error {
			now := a.now()
			l := a.newList("registrations", "USER", "CONTACT", "SOURCE", "EXPIRES IN", "Q", "FLAGS", "PHONE")
			err := a.with(cmd.Context(), "list registrations", func(ctx context.Context, conn *grpc.ClientConn) error {
				stream, err := lmssv1.NewRegistrationsClient(conn).ListRegistrations(ctx, &lmssv1.ListRegistrationsRequest{User: first(args)})
				return each(a, stream, err, func(m *lmssv1.ListRegistrationsResponse) error {
					r := m.GetRegistration()
					return l.add(r, r.GetUser(), r.GetContact(), r.GetTransport()+" "+r.GetSource(), until(r.GetExpires(), now),
						strconv.FormatFloat(float64(r.GetQ())/1000, 'f', -1, 64),
						flagged(map[string]bool{"nat": r.GetNat(), "lost": r.GetLost()}), r.GetUserAgent())
				})
			})
			return l.finish(err)
		},
	}
}
