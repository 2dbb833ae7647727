package main

import (
	"context"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"

	lmssv1 "github.com/mss-federation/mss/proto/mss/lmss/v1"
)

func (a *app) callCommand() *cobra.Command {
	return noun("call", "live and recent calls", a.callList(), a.callHangup(), a.callTrace())
}

func (a *app) callList() *cobra.Command {
	return &cobra.Command{
		Use:               "list [USER]",
		Short:             "show the calls that are being set up or up",
		Example:           "  mssctl call list\n  mssctl call list 4001 -o json",
		Args:              atMost("USER"),
		ValidArgsFunction: offered(a.offerUsers),
		RunE: func(cmd *cobra.Command, args []string) error {
			now := a.now()
			l := a.newList("calls", "ID", "PHASE", "CALLER", "CALLED", "CALLEE", "SETUP", "UP FOR", "FLAGS")
			err := a.eachCall(cmd.Context(), first(args), func(c *lmssv1.Call) error {
				return l.add(c, c.GetId(), c.GetPhase(), c.GetCaller(), c.GetCalled(), c.GetCallee(), clock(c.GetSetupAt()), since(c.GetAnswerAt(), now),
					flagged(map[string]bool{"recovered": c.GetRecovered(), "unprotected": c.GetUnprotected(), "held": held(c)}))
			})
			return l.finish(err)
		},
	}
}

func held(c *lmssv1.Call) bool {
	for _, leg := range c.GetLegs() {
		if leg.GetHeld() {
			return true
		}
	}
	return false
}

func (a *app) eachCall(ctx context.Context, user string, do func(*lmssv1.Call) error) error {
	return a.with(ctx, "list calls", func(ctx context.Context, conn *grpc.ClientConn) error {
		stream, err := lmssv1.NewCallsClient(conn).ListCalls(ctx, &lmssv1.ListCallsRequest{User: user})
		return each(a, stream, err, func(m *lmssv1.ListCallsResponse) error { return do(m.GetCall()) })
	})
}

func (a *app) callHangup() *cobra.Command {
	return &cobra.Command{
		Use:               "hangup ID",
		Short:             "end a call for both parties",
		Long:              "Ends a call for both parties. ID is a call's id as `mssctl call list` shows it; its first characters will do, if no\nother call begins so.",
		Example:           "  mssctl call hangup CALL",
		Args:              exactly("ID"),
		ValidArgsFunction: offered(a.offerCalls),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd.Context(), "hang up call", func(ctx context.Context, conn *grpc.ClientConn) error {
				m, err := lmssv1.NewCallsClient(conn).HangupCall(ctx, &lmssv1.HangupCallRequest{Id: args[0]})
				if err != nil {
					return err
				}
				return a.printObject(m, "call "+m.GetId()+" is being hung up\n")
			})
		},
	}
}
