package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"

	"github.com/mss-federation/mss/pkg/telemetry"
	commonv1 "github.com/mss-federation/mss/proto/mss/common/v1"
)

func (a *app) nodeCommand() *cobra.Command {
	return noun("node", "the node itself (see status too)", a.nodeLogLevel())
}

func (a *app) nodeLogLevel() *cobra.Command {
	return &cobra.Command{
		Use:   "log-level [LEVEL]",
		Short: "show how much the node logs, or change it until its processes end",
		Long: "Shows how much the node logs (" + strings.Join(telemetry.Levels(), ", ") + "), or changes it at once. The change lasts until the\n" +
			"process ends; log.level in the configuration file says with what the next one starts.",
		Example:           "  mssctl node log-level\n  mssctl node log-level debug",
		Args:              atMost("LEVEL"),
		ValidArgsFunction: onlyFirst(cobra.FixedCompletions(telemetry.Levels(), cobra.ShellCompDirectiveNoFileComp)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return a.showLogLevel(cmd.Context())
			}
			return a.with(cmd.Context(), "set log level", func(ctx context.Context, conn *grpc.ClientConn) error {
				m, err := commonv1.NewLogsClient(conn).SetLogLevel(ctx, &commonv1.SetLogLevelRequest{Level: args[0]})
				if err != nil {
					return err
				}
				return a.printObject(m, fmt.Sprintf("log level %s, was %s; changed in %s\n", m.GetLevel(), m.GetBefore(), strings.Join(m.GetProcesses(), " and ")))
			})
		},
	}
}

func (a *app) showLogLevel(ctx context.Context) error {
	return a.with(ctx, "get log level", func(ctx context.Context, conn *grpc.ClientConn) error {
		m, err := commonv1.NewLogsClient(conn).GetLogLevel(ctx, &commonv1.GetLogLevelRequest{})
		if err != nil {
			return err
		}
		return a.printObject(m, m.GetLevel()+"\n")
	})
}
