package main

import (
	"context"
	"sync"

	"github.com/spf13/cobra"

	"github.com/mss-federation/mss/pkg/media"
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
