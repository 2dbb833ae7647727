package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/mss-federation/mss/cmd/internal/daemon"
	"github.com/mss-federation/mss/cmd/internal/version"
	"github.com/mss-federation/mss/lmss/config"
	"github.com/mss-federation/mss/pkg/configfile"
	"github.com/mss-federation/mss/pkg/supervise"
)

func runCommand() *cobra.Command {
	var path string
	var checkOnly bool
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the server in the foreground; SIGTERM or Ctrl-C stops it, a second one at once",
		Args:  daemon.Usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if checkOnly {
				return daemon.Check(cmd, path, checkTLS)
			}
			return run(cmd, path)
		},
	}
	daemon.ConfigFlag(cmd, &path, defaultConfig, sampleConfig)
	cmd.Flags().BoolVar(&checkOnly, "check", false, "only say whether the configuration is good")
	return cmd
}

// run is the supervisor. It does what can fail for an operator's reasons before the first child starts.
func run(cmd *cobra.Command, path string) error {
	cfg, text, err := configfile.Load[config.Config](path)
	if err != nil {
		return daemon.Exit(daemon.ExitConfig, err)
	}
	logger, _ := daemon.Logger(cmd.ErrOrStderr(), cfg.Log.Level, cfg.Log.Format, "supervisor")
	certificate, err := openTLS(&cfg, path, logger)
	if err != nil {
		return daemon.Exit(daemon.ExitConfig, err)
	}
	ctx, hurry, stop := supervise.Signals(cmd.Context())
	defer stop()
	lock, err := daemon.LockState(cfg.StateDir)
	if err != nil {
		return err
	}
	sockets, err := bindAll(ctx, &cfg, lock, cmd.OutOrStdout(), logger)
	if err == nil {
		logger.Info("supervisor runs", "site", string(cfg.Site), "pid", os.Getpid(), "version", version.Version())
		processes := children(&cfg, text, certificate.fresh(), sockets)
		n := daemon.NewNotices(cmd.OutOrStdout(), logger, names(processes)...)
		defer context.AfterFunc(ctx, n.Stopping)()
		defer certificate.follow(ctx)()
		err = supervise.Run(ctx, supervise.Options{
			Children: processes,
			DumpDir:  filepath.Join(cfg.StateDir, "dumps"),
			Hurry:    hurry,
			OnEvent: func(e supervise.Event) {
				if e.Kind == supervise.Ready {
					n.Ready(e.Child)
				}
			},
			Logger: logger,
		})
		logger.Info("supervisor ends")
	}
	return errors.Join(err, closeAll(sockets), lock.Release())
}

// bindAll makes the sockets, prints each and warns where the kernel gave less than was asked for. On an error it
// returns those that it made.
func bindAll(ctx context.Context, cfg *config.Config, lock *supervise.Lock, out io.Writer, logger *slog.Logger) ([]*supervise.Socket, error) {
	patience := daemon.PortPatience(lock, logger)
	var sockets []*supervise.Socket
	for _, addr := range cfg.Listen.UDP {
		s, err := supervise.BindUDP(ctx, supervise.Bind{Name: "udp", Addr: addr, Patience: patience})
		if err != nil {
			return sockets, daemon.Exit(daemon.ExitNoAddress, err)
		}
		if s.ReceiveBuffer < supervise.ReceiveBuffer {
			logger.Warn("small receive buffer: requests may be lost while a process restarts; raise net.core.rmem_max",
				"socket", s.String(), "bytes", s.ReceiveBuffer, "wanted", supervise.ReceiveBuffer)
		}
		sockets = append(sockets, s)
	}
	for _, kind := range []struct {
		name  string
		addrs []netip.AddrPort
	}{{"tcp", cfg.Listen.TCP}, {"tls", cfg.Listen.TLS}, {"grpc", cfg.Admin.GRPC}, {"http", cfg.Admin.HTTP}} {
		for _, addr := range kind.addrs {
			s, err := supervise.ListenTCP(ctx, supervise.Bind{Name: kind.name, Addr: addr, Patience: patience})
			if err != nil {
				return sockets, daemon.Exit(daemon.ExitNoAddress, err)
			}
			sockets = append(sockets, s)
		}
	}
	for _, s := range sockets {
		if _, err := fmt.Fprintln(out, "listening", s); err != nil {
			logger.Warn("standard output is closed", "error", err)
		}
	}
	return sockets, nil
}

func names(children []supervise.Child) []string {
	names := make([]string, 0, len(children))
	for _, c := range children {
		names = append(names, c.Name)
	}
	return names
}

func closeAll(sockets []*supervise.Socket) error {
	var errs []error
	for _, s := range sockets {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}

// mediaDelay is the first wait before the media process is started again: while it is away nobody hears
// anything, and its death may cost 300 ms of voice on a busy machine too.
const mediaDelay = 20 * time.Millisecond

// children lists the processes in the order of their start: signal uses media and so stops before it.
func children(cfg *config.Config, text []byte, certificate func() []byte, sockets []*supervise.Socket) []supervise.Child {
	signal := supervise.Child{
		Name: "signal", Args: []string{"signal"}, Config: text, Fresh: certificate, Sockets: sockets, StopTimeout: cfg.StopTimeout,
	}
	if !cfg.Media.Anchor.On() {
		return []supervise.Child{signal}
	}
	media := supervise.Child{
		Name: "media", Args: []string{"media"}, Config: text, StopTimeout: cfg.StopTimeout, FirstDelay: mediaDelay,
	}
	return []supervise.Child{media, signal}
}
