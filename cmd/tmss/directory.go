package main

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/mss-federation/mss/cmd/internal/daemon"
	"github.com/mss-federation/mss/pkg/configfile"
	"github.com/mss-federation/mss/pkg/identity"
	"github.com/mss-federation/mss/pkg/supervise"
	"github.com/mss-federation/mss/tmss/config"
	"github.com/mss-federation/mss/tmss/directory"
)

// directoryFolder is where the member keeps its data, in the state directory.
const directoryFolder = "directory"

func directoryCommand() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "directory",
		Short: "Run a member of the domain's directory (etcd); tmss run does it where the directory is embedded",
		Args:  daemon.Usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			err := daemon.RunChild(cmd, logOf, superviseDirectory)
			if errors.Is(err, supervise.ErrNotSupervised) {
				return runDirectory(cmd, path)
			}
			return err
		},
	}
	daemon.ConfigFlag(cmd, &path, defaultConfig, sampleConfig)
	return cmd
}

func logOf(c *config.Config) (level, format string) { return c.Log.Level, c.Log.Format }

// superviseDirectory is the member beside a hub.
func superviseDirectory(ctx context.Context, c *daemon.Child[config.Config]) error {
	beatCtx, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.Beat(beatCtx, nil)
	}()
	defer func() { stop(); <-done }()
	return directory.Run(ctx, memberOptions(&c.Config, c.Logger, func(string) { c.Ready() }))
}

// runDirectory is a member on its own, in the foreground.
func runDirectory(cmd *cobra.Command, path string) error {
	cfg, _, err := configfile.Load[config.Config](path)
	if err != nil {
		return daemon.Exit(daemon.ExitConfig, err)
	}
	logger, _ := daemon.Logger(cmd.ErrOrStderr(), cfg.Log.Level, cfg.Log.Format, "directory")
	ctx, _, stop := supervise.Signals(cmd.Context())
	defer stop()
	notices := daemon.NewNotices(cmd.OutOrStdout(), logger, "directory")
	defer context.AfterFunc(ctx, notices.Stopping)()
	return directory.Run(ctx, memberOptions(&cfg, logger, func(string) { notices.Ready("directory") }))
}

func memberOptions(c *config.Config, logger *slog.Logger, ready func(string)) directory.Options {
	o := directory.Options{
		Name: string(c.Hub), Dir: filepath.Join(c.StateDir, directoryFolder),
		Credentials: filepath.Join(c.StateDir, identity.Folder, identity.NodeFile),
		Listen:      c.Directory.Listen.String(), Ready: ready, Logger: logger,
	}
	for name, address := range c.Directory.Members {
		if o.Members == nil {
			o.Members = map[string]string{}
		}
		o.Members[name] = address.String()
	}
	return o
}
