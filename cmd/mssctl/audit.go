package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"

	commonv1 "github.com/mss-federation/mss/proto/mss/common/v1"
)

func (a *app) auditCommand() *cobra.Command {
	return noun("audit", "the records of who changed what, or tried to", a.auditList())
}

func (a *app) auditList() *cobra.Command {
	var since string
	var limit uint32
	cmd := &cobra.Command{
		Use:   "list",
		Short: "show records of this node, newest first; -o json has the objects before and after",
		Example: "  mssctl audit list\n" +
			"  mssctl audit list --since 24h -o json",
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			req := &commonv1.ListAuditsRequest{Limit: limit}
			var err error
			if req.Since, err = a.moment(cmd, "since", since); err != nil {
				return err
			}
			l := a.newList("records", "AT", "WHO", "WHAT", "RESULT")
			err = a.with(cmd.Context(), "list audit records", func(ctx context.Context, conn *grpc.ClientConn) error {
				stream, err := commonv1.NewAuditsClient(conn).ListAudits(ctx, req)
				return each(a, stream, err, func(m *commonv1.ListAuditsResponse) error {
					r := m.GetAudit()
					return l.add(r, clock(r.GetAt()), r.GetWho(), r.GetWhat(), auditResult(r))
				})
			})
			return l.finish(err)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&since, "since", "", "only records made at or after this: a time, a date, or how long ago (24h)")
	flags.Uint32Var(&limit, "limit", 100, "at most so many")
	return cmd
}

// auditResult is why a change was refused, or what it made of the object.
func auditResult(r *commonv1.Audit) string {
	switch {
	case r.GetRefused() != "":
		return "refused: " + strings.TrimSpace(r.GetRefused())
	case r.GetBefore() == "" && r.GetAfter() != "":
		return "made"
	case r.GetBefore() != "" && r.GetAfter() == "":
		return "gone"
	case r.GetBefore() != "":
		return "changed"
	}
	return "done"
}
