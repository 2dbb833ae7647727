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
	"slices"
	"sync"
	"time"

	"github.com/mss-federation/mss/lmss/admin"
	"github.com/mss-federation/mss/lmss/config"
	"github.com/mss-federation/mss/pkg/adminapi"
	"github.com/mss-federation/mss/pkg/network"
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
	api := p.api(s, o)
	var layers layers
	defer layers.stop()
	if p.store != nil {
		layers.start("store", o.Logger, p.store.Run)
	}
	if p.client != nil {
		layers.start("voice", o.Logger, p.client.Run)
	}
	layers.start("workers", o.Logger, s.stack.Run)
	restored.resume(s)
	layers.start("sockets", o.Logger, s.endpoint.Run)
	if p.uplink != nil {
		layers.start("uplink", o.Logger, p.uplink.Run)
	}
	layers.start("housekeeping", o.Logger, s.housekeeping)
	layers.start("admin", o.Logger, func(ctx context.Context) error { return api.Run(ctx, listener) })
	if o.Beat != nil {
		layers.start("heartbeat", o.Logger, func(ctx context.Context) error {
			o.Beat(ctx, func() bool {
				ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
				defer cancel()
				return s.alive(ctx)
			})
			return nil
		})
	}
	api.SetReady(true)
	if o.Ready != nil {
		o.Ready()
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-layers.broken():
		return err
	}
}

// layers runs long-lived things and stops them in the reverse order of their start.
type layers struct {
	running []layer
	failed  chan error
	once    sync.Once
}

type layer struct {
	name   string
	cancel context.CancelFunc
	done   chan struct{}
}

// start runs fn until stop. A layer that ends by itself is a failure of the process.
func (l *layers) start(name string, logger *slog.Logger, fn func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	it := layer{name: name, cancel: cancel, done: make(chan struct{})}
	l.running = append(l.running, it)
	failed := l.broken()
	go func() {
		defer close(it.done)
		err := fn(ctx)
		if ctx.Err() != nil && (err == nil || errors.Is(err, context.Canceled)) {
			return
		}
		logger.Error("part of the process ended", "part", name, "err", err)
		if err == nil {
			err = errors.New(name + " ended")
		}
		select {
		case failed <- err:
		default:
		}
	}()
}

func (l *layers) broken() chan error {
	l.once.Do(func() { l.failed = make(chan error, 1) })
	return l.failed
}

func (l *layers) stop() {
	for _, it := range slices.Backward(l.running) {
		it.cancel()
		<-it.done
	}
}
