package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/mss-federation/mss/cmd/internal/version"
	"github.com/mss-federation/mss/lmss/signal"
	"github.com/mss-federation/mss/pkg/network"
)

func signalCommand() *cobra.Command {
	return childCommand("signal", "Decide about calls (started by lmss run)", runSignal)
}

func runSignal(ctx context.Context, c *child) error {
	tuneHeap()
	tuneProcessors(c.Config.Workers)
	var sockets []network.PacketConn
	for _, conn := range c.UDP("udp") {
		sockets = append(sockets, conn)
	}
	certificate, err := inheritTLS(c)
	if err != nil {
		return err
	}
	return signal.Run(ctx, signal.Options{
		Config: c.Config,
		UDP:    sockets,
		TCP:    c.Listeners("tcp"),
		TLS:    c.Listeners("tls"),
		GRPC:   c.Listeners("grpc"),
		HTTP:   c.Listeners("http"),
		Logger: c.Logger,
		Level:  c.Level,
		Status: newStatus(),

		Certificate: certificate,

		Software: "lmss " + version.Version(),
		Ready:    c.Ready,
		Beat:     c.Beat,
	})
}
