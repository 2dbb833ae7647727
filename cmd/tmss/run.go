package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/mss-federation/mss/cmd/internal/daemon"
	"github.com/mss-federation/mss/cmd/internal/version"
	"github.com/mss-federation/mss/pkg/configfile"
	"github.com/mss-federation/mss/pkg/supervise"
	"github.com/mss-federation/mss/tmss/config"
	"github.com/mss-federation/mss/tmss/enrol"
	"github.com/mss-federation/mss/tmss/hub"
)

func runCommand() *cobra.Command {
	var path string
	var checkOnly bool
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the hub in the foreground; SIGTERM or Ctrl-C stops it, a second one at once",
		Args:  daemon.Usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if checkOnly {
				return daemon.Check[config.Config](cmd, path)
			}
			return run(cmd, path)
		},
	}
	daemon.ConfigFlag(cmd, &path, defaultConfig, sampleConfig)
	cmd.Flags().BoolVar(&checkOnly, "check", false, "only say whether the configuration is good")
	return cmd
}

// run does what can fail for an operator's reasons before anything starts.
func run(cmd *cobra.Command, path string) error {
	cfg, text, err := configfile.Load[config.Config](path)
	if err != nil {
		return daemon.Exit(daemon.ExitConfig, err)
	}
	if err := findDirectory(&cfg); err != nil {
		return err
	}
	logger, level := daemon.Logger(cmd.ErrOrStderr(), cfg.Log.Level, cfg.Log.Format, "hub")
	ctx, hurry, stop := supervise.Signals(cmd.Context())
	defer stop()
	lock, err := daemon.LockState(cfg.StateDir)
	if err != nil {
		return err
	}
	s := &sockets{}
	err = s.bind(ctx, &cfg, daemon.PortPatience(lock, logger), cmd.OutOrStdout())
	if err != nil {
		return errors.Join(err, s.close(), lock.Release())
	}
	logger.Info("hub runs", "hub", string(cfg.Hub), "domain", cfg.Domain, "pid", os.Getpid(), "version", version.Version())
	notices := daemon.NewNotices(cmd.OutOrStdout(), logger, "hub")
	defer context.AfterFunc(ctx, notices.Stopping)()
	d := startDirectory(&cfg, text, hurry, logger)
	err = serve(ctx, hurry, hub.Options{
		Config: cfg, UDP: s.udp, TCP: s.tcp, TLS: s.tls, GRPC: s.grpc, Software: "tmss " + version.Version(), Logger: logger,
		HTTP: s.http, Level: level,
		Process: newStatus(d.pid), Ready: func() { notices.Ready("hub") },
	})
	logger.Info("hub ends")
	return errors.Join(err, d.stop(), lock.Release())
}

// findDirectory lets a hub that joined use the directory of its domain, unless its configuration says otherwise.
func findDirectory(cfg *config.Config) error {
	if !cfg.Directory.Unsaid {
		return nil
	}
	endpoints, err := enrol.JoinedDirectory(cfg.StateDir)
	if len(endpoints) > 0 {
		cfg.Directory.Embedded, cfg.Directory.Endpoints = configfile.Off, endpoints
	}
	return err
}

var errHurried = errors.New("ended at once, as the second signal asked")

// serve runs the hub until ctx ends, or until somebody is in a hurry.
func serve(ctx context.Context, hurry <-chan struct{}, o hub.Options) error {
	done := make(chan error, 1)
	go func() { done <- hub.Run(ctx, o) }()
	select {
	case err := <-done:
		return err
	case <-hurry:
		return errHurried
	}
}

// directoryChild is the directory's process. It outlives the hub's end, which takes its entry away.
type directoryChild struct {
	pid  func() int
	stop func() error
}

// startDirectory starts and watches the directory where it is embedded.
func startDirectory(cfg *config.Config, text []byte, hurry <-chan struct{}, logger *slog.Logger) directoryChild {
	if !cfg.Directory.Embedded.On() {
		return directoryChild{pid: func() int { return 0 }, stop: func() error { return nil }}
	}
	var p lastPID
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- supervise.Run(ctx, supervise.Options{
			Children: []supervise.Child{{Name: directoryFolder, Args: []string{"directory"}, Config: text, StopTimeout: cfg.StopTimeout}},
			DumpDir:  filepath.Join(cfg.StateDir, "dumps"),
			Hurry:    hurry,
			OnEvent:  p.event,
			Logger:   logger,
		})
	}()
	return directoryChild{pid: p.get, stop: func() error {
		cancel()
		return <-done
	}}
}
