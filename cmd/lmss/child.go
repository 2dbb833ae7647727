package main

import (
	"context"
	"errors"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/mss-federation/mss/lmss/config"
	"github.com/mss-federation/mss/pkg/configfile"
	"github.com/mss-federation/mss/pkg/supervise"
)

// child is what a process that the supervisor started works with.
type child struct {
	*supervise.Inheritance
	config config.Config
	logger *slog.Logger
}

// childCommand is a subcommand that only the supervisor uses.
func childCommand(name, short string, body func(context.Context, *child) error) *cobra.Command {
	return &cobra.Command{
		Use:    name,
		Short:  short,
		Args:   usage(cobra.NoArgs),
		Hidden: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runChild(cmd, body)
		},
	}
}

func runChild(cmd *cobra.Command, body func(context.Context, *child) error) error {
	in, err := supervise.Inherit()
	if errors.Is(err, supervise.ErrNotSupervised) {
		return usageError{"lmss run", errors.New("\"lmss " + cmd.Name() + "\" is started by \"lmss run\", which holds its sockets; run that instead")}
	}
	if err != nil {
		return err
	}
	cfg, err := configfile.Parse[config.Config]("configuration from the supervisor", in.Config)
	if err != nil {
		return exitError{exitConfig, err}
	}
	c := &child{Inheritance: in, config: cfg, logger: newLogger(cmd.ErrOrStderr(), cfg.Log, in.Name)}
	// The supervisor starts us as /proc/self/exe, which would be our name in ps and top. Nothing depends on it.
	if err := os.WriteFile("/proc/self/comm", []byte("lmss-"+in.Name), 0); err != nil {
		c.logger.Debug("process not named", "error", err)
	}
	ctx, stop := in.Context(cmd.Context())
	defer stop()
	return body(ctx, c)
}
