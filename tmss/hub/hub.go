// Package hub is the process of one T-MSS: it wires sockets, links between nodes, forwarder, route table,
// peering, the view of the directory, enrolment and the operators' API, and runs it all. It decides nothing
// itself. It starts from what is on its own disk and never waits for the directory (see tmss/directory, which
// is a process of its own). Start at [Run].
package hub

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"slices"

	"github.com/mss-federation/mss/pkg/adminapi"
	"github.com/mss-federation/mss/pkg/layers"
	"github.com/mss-federation/mss/pkg/network"
	"github.com/mss-federation/mss/pkg/siptransport"
	"github.com/mss-federation/mss/tmss/admin"
	"github.com/mss-federation/mss/tmss/config"
)

// Options is what the process is given.
type Options struct {
	// Config is checked: EnsureDefaults and Validate have passed.
	Config config.Config
	// Network dials. Nil means the kernel's.
	Network network.Network
	// UDP, TCP and TLS are the open sockets for SIP, each bound to one local address; GRPC are the listeners for
	// exchange, enrolment and operators, at least one. Run closes them.
	UDP      []network.PacketConn
	TCP, TLS []net.Listener
	GRPC     []net.Listener
	// HTTP are listeners for monitoring, open to whoever gets there. Run closes them.
	HTTP []net.Listener
	// Level is that of Logger, which operators change. Nil means that they cannot.
	Level *slog.LevelVar
	// Software is the build, for people.
	Software string
	// Logger is the process's. Nil discards.
	Logger *slog.Logger
	// Process gives what only the process knows: version, pids. Nil means nothing.
	Process func() admin.Process
	// Ready is called once the hub serves. Nil means that nobody waits for it.
	Ready func()
}

// Run serves until ctx ends or something that it cannot do without fails. When it returns nothing is left
// running. The end is the reverse of the start: operators first, then neighbours are told, then calls.
func Run(ctx context.Context, o Options) error {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Network == nil {
		o.Network = network.System{}
	}
	if o.Process == nil {
		o.Process = func() admin.Process { return admin.Process{} }
	}
	h, err := assemble(&o)
	if err != nil {
		return errors.Join(err, closeSockets(&o))
	}
	defer h.close()
	return h.run(ctx)
}

// closeSockets is for a hub that could not be assembled.
func closeSockets(o *Options) error {
	var failures []error
	for _, c := range o.UDP {
		failures = append(failures, c.Close())
	}
	for _, l := range slices.Concat(o.GRPC, o.TCP, o.TLS, o.HTTP) {
		failures = append(failures, l.Close())
	}
	return errors.Join(failures...)
}

// addSockets hands the sockets to the endpoint.
func (h *hub) addSockets() error {
	for _, conn := range h.options.UDP {
		if err := h.endpoint.AddUDP(conn); err != nil {
			return err
		}
	}
	for _, ln := range h.options.TCP {
		if err := h.endpoint.AddListener(siptransport.TCP, ln); err != nil {
			return err
		}
	}
	for _, ln := range h.options.TLS {
		if err := h.endpoint.AddTLS(ln, h.trunkTLS()); err != nil {
			return err
		}
	}
	return nil
}

// closeControl is for a hub whose listeners of the control plane are not served yet.
func (h *hub) closeControl() error {
	var failures []error
	for _, l := range slices.Concat(h.options.GRPC, h.options.HTTP) {
		failures = append(failures, l.Close())
	}
	return errors.Join(failures...)
}

// run starts what Run is made of, from the inside out, and stops it the other way round.
func (h *hub) run(ctx context.Context) error {
	if err := h.addSockets(); err != nil {
		return errors.Join(err, h.closeControl())
	}
	socket, err := adminapi.Listen(h.options.Config.Admin.Socket)
	if err != nil {
		return errors.Join(err, h.closeControl())
	}
	watched, err := adminapi.Listen(h.options.Config.Admin.HTTPSocket)
	if err != nil {
		return errors.Join(err, socket.Close(), h.closeControl())
	}
	local, remotes := h.servers()
	log := h.options.Logger
	var parts layers.Layers
	defer parts.Stop()
	parts.Start("directory", log, h.directory.Run)
	parts.Start("certificate", log, h.keeper.Run)
	parts.Start("workers", log, h.stack.Run)
	parts.Start("links", log, h.links.Run)
	parts.Start("sockets", log, h.endpoint.Run)
	for i, remote := range remotes {
		parts.Start("grpc", log, func(ctx context.Context) error { return remote.Run(ctx, h.options.GRPC[i]) })
	}
	parts.Start("routes on disk", log, func(ctx context.Context) error { return h.peering.Keep(ctx, h.routeFile()) })
	parts.Start("carriers", log, h.followCarriers)
	parts.Start("peering", log, h.peering.Run)
	parts.Start("configuration", log, h.followDirectory)
	parts.Start("readiness", log, func(ctx context.Context) error {
		h.awaitRoutes(ctx)
		for _, server := range append(remotes, local) {
			server.SetReady(true)
		}
		<-ctx.Done()
		return nil
	})
	parts.Start("monitoring", log, func(ctx context.Context) error { return h.monitor().Run(ctx, watched, h.options.HTTP...) })
	parts.Start("admin", log, func(ctx context.Context) error { return local.Run(ctx, socket) })
	if h.options.Ready != nil {
		h.options.Ready()
	}
	return parts.Wait(ctx)
}
