// Package signal is the process that decides: it wires registrar, dial plan, call control, store and
// admin API to the SIP stack of one office, restores what the last process left behind, and runs it all.
// It moves no voice (see pkg/media) and holds no listening socket of its own: those come from the
// supervisor and outlive it. Start at [Run].
package signal

import (
	"context"
	"errors"
	"log/slog"
	"net"

	"github.com/mss-federation/mss/lmss/admin"
	"github.com/mss-federation/mss/lmss/config"
	"github.com/mss-federation/mss/pkg/adminapi"
	"github.com/mss-federation/mss/pkg/layers"
	"github.com/mss-federation/mss/pkg/network"
	"github.com/mss-federation/mss/pkg/servercert"
	"github.com/mss-federation/mss/pkg/siptransport"
)

// Options is what the process is given.
type Options struct {
	// Config is checked: EnsureDefaults and Validate have passed.
	Config config.Config
	// Network dials. Nil means the kernel's.
	Network network.Network
	// UDP and TCP are the open sockets, each bound to one local address.
	UDP []network.PacketConn
	TCP []net.Listener
	// TLS are listeners for phones, which Certificate serves. It is nil where there are none.
	TLS         []net.Listener
	Certificate *servercert.Holder
	// GRPC are listeners for operators with a certificate of the domain. Run closes them.
	GRPC []net.Listener
	// HTTP are listeners for monitoring, open to whoever gets there. Run closes them.
	HTTP []net.Listener
	// Level is that of Logger, which operators change. Nil means that they cannot.
	Level *slog.LevelVar
	// Software is the build, for the neighbours' operators.
	Software string
	// Logger is the process's. Nil discards.
	Logger *slog.Logger
	// Status gives what only the process knows: version, pids. Nil means nothing.
	Status func() admin.Status
	// Ready is called once phones are served. Nil means that nobody waits for it.
	Ready func()
	// Beat is called with the check whether the process is alive, and runs until ctx ends. Nil means
	// that nobody listens.
	Beat func(ctx context.Context, alive func() bool)
}

// Run serves until ctx ends or something that it cannot do without fails. When it returns nothing is
// left running. The order of the end is the reverse of the start: admin, sockets, calls' owners, voice, store.
func Run(ctx context.Context, o Options) error {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Network == nil {
		o.Network = network.System{}
	}
	p, err := prepare(&o)
	if err != nil {
		return err
	}
	defer p.close()
	s, err := assemble(p.parts)
	if err != nil {
		return err
	}
	p.site = s
	for _, conn := range o.UDP {
		if err := s.endpoint.AddUDP(conn); err != nil {
			return err
		}
	}
	for _, ln := range o.TCP {
		if err := s.endpoint.AddListener(siptransport.TCP, ln); err != nil {
			return err
		}
	}
	for _, ln := range o.TLS {
		if err := s.endpoint.AddInboundTLS(ln, o.Certificate.Server()); err != nil {
			return err
		}
	}
	restored, err := p.restore(s)
	if err != nil {
		return err
	}
	return p.run(ctx, s, restored, &o)
}

// run starts what Run is made of, from the inside out, and stops it the other way round.
func (p *prepared) run(ctx context.Context, s *site, restored *leftovers, o *Options) error {
	listener, err := adminapi.Listen(o.Config.Admin.Socket)
	if err != nil {
		return err
	}
	monitored := p.monitor(s, o)
	watch, err := monitored.listen(o)
	if err != nil {
		return errors.Join(err, listener.Close(), closeListeners(o.GRPC))
	}
	api := p.api(s, o, monitored)
	remotes := p.remotes(s, api, o)
	var parts layers.Layers
	defer parts.Stop()
	if p.store != nil {
		parts.Start("store", o.Logger, p.store.Run)
	}
	if p.client != nil {
		parts.Start("voice", o.Logger, p.client.Run)
	}
	parts.Start("workers", o.Logger, s.stack.Run)
	restored.resume(s)
	parts.Start("sockets", o.Logger, s.endpoint.Run)
	if p.uplink != nil {
		parts.Start("uplink", o.Logger, p.uplink.Run)
	}
	if o.Certificate != nil {
		parts.Start("certificate", o.Logger, o.Certificate.Run)
	}
	parts.Start("housekeeping", o.Logger, s.housekeeping)
	parts.Start("monitoring", o.Logger, watch)
	for i, remote := range remotes {
		parts.Start("grpc", o.Logger, func(ctx context.Context) error { return remote.Run(ctx, o.GRPC[i]) })
		remote.SetReady(true)
	}
	parts.Start("admin", o.Logger, func(ctx context.Context) error { return api.Run(ctx, listener) })
	if o.Beat != nil {
		parts.Start("heartbeat", o.Logger, func(ctx context.Context) error {
			o.Beat(ctx, func() bool {
				ctx, cancel := context.WithTimeout(ctx, aliveWithin)
				defer cancel()
				return s.alive(ctx)
			})
			return nil
		})
	}
	api.SetReady(true)
	monitored.calls.Set(nil)
	if o.Ready != nil {
		o.Ready()
	}
	return parts.Wait(ctx)
}
