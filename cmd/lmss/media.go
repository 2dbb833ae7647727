package main

import (
	"context"
	"sync"

	"github.com/spf13/cobra"

	"github.com/mss-federation/mss/cmd/internal/version"
	"github.com/mss-federation/mss/pkg/adminapi"
	"github.com/mss-federation/mss/pkg/health"
	"github.com/mss-federation/mss/pkg/media"
	"github.com/mss-federation/mss/pkg/telemetry"
)

func mediaCommand() *cobra.Command {
	return childCommand("media", "Carry voice (started by lmss run)", runMedia)
}

func runMedia(ctx context.Context, c *child) error {
	tuneHeap()
	var pulse media.Pulse // a relay loop that hangs is a dead process
	beatCtx, stop := context.WithCancel(ctx)
	var beating sync.WaitGroup
	beating.Go(func() { c.Beat(beatCtx, pulse.Alive) })
	beating.Go(func() { watchMedia(beatCtx, c, &pulse) })
	defer beating.Wait()
	defer stop()
	return media.Serve(ctx, media.Options{
		Socket:   c.Config.Media.Socket,
		PortLow:  int(c.Config.Media.Ports.Low),
		PortHigh: int(c.Config.Media.Ports.High),
		Pulse:    &pulse,
		Ready:    c.Ready,
		Logger:   c.Logger,
	})
}

// watchMedia answers the signalling process, which shows the media process's metrics with its own. Voice goes on
// without it.
func watchMedia(ctx context.Context, c *child, pulse *media.Pulse) {
	listener, err := adminapi.Listen(c.Config.Media.HTTPSocket())
	if err == nil {
		probes := &health.Registry{}
		probes.LiveCheck(pulse.Alive)
		probes.Part("voice").Set(nil)
		metrics := telemetry.New("media", "lmss "+version.Version())
		telemetry.Gauge(metrics, "mss_relay_endpoints", "Voice endpoints that are open, one for each leg.", pulse.Endpoints)
		server := telemetry.Server{Health: probes, Metrics: metrics, Level: c.Level, Logger: c.Logger}
		err = server.Run(ctx, listener)
	}
	if err != nil {
		c.Logger.WarnContext(ctx, "no metrics of voice", "err", err)
	}
}
