package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/mss-federation/mss/lmss/cdr"
	"github.com/mss-federation/mss/pkg/federation"
	lmssv1 "github.com/mss-federation/mss/proto/mss/lmss/v1"
)

func (a *app) cdrCommand() *cobra.Command {
	return noun("cdr", "the records of ended calls", a.cdrList())
}

func (a *app) cdrList() *cobra.Command {
	var since, until, user string
	var limit uint32
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "show records, newest first",
		Example: "  mssctl cdr list --since 24h --user 4001\n  mssctl cdr list --since 2026-01-02 --until 2026-01-03T12:00:00Z -o json",
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			req := &lmssv1.ListRecordsRequest{User: user, Limit: limit}
			var err error
			if req.Since, err = a.moment(cmd, "since", since); err != nil {
				return err
			}
			if req.Until, err = a.moment(cmd, "until", until); err != nil {
				return err
			}
			l := a.newList("records", append(cdr.Columns(), "ID")...)
			err = a.with(cmd.Context(), "list records", func(ctx context.Context, conn *grpc.ClientConn) error {
				stream, err := lmssv1.NewRecordsClient(conn).ListRecords(ctx, req)
				return each(a, stream, err, func(m *lmssv1.ListRecordsResponse) error {
					record := recordOf(m.GetRecord())
					return l.add(m.GetRecord(), append(record.Row(time.Local), m.GetRecord().GetId())...)
				})
			})
			return l.finish(err)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&since, "since", "", "only calls set up at or after this: a time, a date, or how long ago (24h)")
	flags.StringVar(&until, "until", "", "only calls set up before this")
	flags.StringVar(&user, "user", "", "only calls of this caller, called number or callee")
	flags.Uint32Var(&limit, "limit", 100, "at most so many")
	_ = cmd.RegisterFlagCompletionFunc("user", offered(a.offerUsers)) // fails only for an unknown flag
	return cmd
}

// moment reads a time, a date, or a duration back from now. Without a zone it is local time.
func (a *app) moment(cmd *cobra.Command, flag, text string) (*timestamppb.Timestamp, error) {
	if text == "" {
		return nil, nil //nolint:nilnil // absent is a value of this type
	}
	if ago, err := time.ParseDuration(text); err == nil {
		return timestamppb.New(a.now().Add(-ago)), nil
	}
	for _, layout := range []string{time.RFC3339, time.DateTime, "2006-01-02 15:04", time.DateOnly} {
		if t, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			return timestamppb.New(t), nil
		}
	}
	return nil, usage(cmd, "--"+flag+" "+text+" is no time: write 24h, 2026-01-02 or 2026-01-02T15:04:05Z")
}

// recordOf is the record as the table of cdr prints it.
func recordOf(m *lmssv1.Record) cdr.Record {
	return cdr.Record{
		Caller: m.GetCaller(), Called: m.GetCalled(), Callee: m.GetCallee(), Status: int(m.GetStatus()),
		SetupAt: timeOf(m.GetSetupAt()), AnswerAt: timeOf(m.GetAnswerAt()), EndAt: timeOf(m.GetEndAt()),
		Recovered: m.GetRecovered(), Unprotected: m.GetUnprotected(),
		Termination: federation.Termination{
			Class: federation.TerminationClass(m.GetEnd()), Reason: m.GetReason(), By: federation.Releaser(m.GetReleasedBy()),
		},
	}
}

func timeOf(m *timestamppb.Timestamp) time.Time {
	if m == nil {
		return time.Time{}
	}
	return m.AsTime()
}
