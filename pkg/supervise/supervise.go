// Package supervise keeps the processes of one daemon alive. Its parent side ([Run]) starts children with the
// daemon's sockets and its checked configuration, watches their heartbeats, keeps what they say when they die, and
// starts them again. Its child side ([Inherit]) takes what the parent holds.
//
// It owns processes, the sockets that outlive them ([BindUDP], [ListenTCP]) and the lock that keeps a second
// supervisor out ([LockDir]). It does not read configuration and does not know what its children do: its job is to
// survive, so it imports nothing that could fail for their reasons. It runs on Linux.
package supervise

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"
)

// The times of a supervisor, used where Options and Child leave them at zero. They are those of the design: a child
// that misses its heartbeat for 3 s gets SIGQUIT and a second later SIGKILL; restarts back off from 100 ms.
const (
	DefaultHeartbeatTimeout = 3 * time.Second
	DefaultStartTimeout     = 60 * time.Second
	DefaultQuitTimeout      = time.Second
	DefaultStopTimeout      = 10 * time.Second
	DefaultFirstDelay       = 100 * time.Millisecond
	DefaultMaxDelay         = 10 * time.Second
	DefaultStableAfter      = 30 * time.Second
	DefaultDumps            = 5
)

// Child is one process to keep alive.
type Child struct {
	// Name is the child's role, such as "signal". It labels logs, events and dumps, and must be a plain word.
	Name string
	// Path is the program. Empty means the running one, through /proc/self/exe: a restart then starts the build that
	// the supervisor is, also after the file on disk was replaced or deleted.
	Path string
	// Args are the arguments behind the program's name.
	Args []string
	// Env is added to the supervisor's own environment, less the variables of systemd's notification.
	Env []string
	// Config is what [Inheritance.Config] gives the child, at each start the same bytes. The caller has checked it.
	Config []byte
	// Fresh, if not nil, is asked at each start for bytes that may change while the daemon runs, such as a certificate
	// and its key; [Inheritance.Fresh] gives them to the child. It must not block.
	Fresh func() []byte
	// Sockets are handed to the child at each start. The caller owns them and closes them after Run returned.
	Sockets []*Socket
	// StartTimeout bounds the time from start to the first heartbeat, in which a child may convert its store. Zero
	// means 60s.
	StartTimeout time.Duration
	// StopTimeout bounds how long a child that was asked to stop may take before SIGKILL. Zero means 10s.
	StopTimeout time.Duration
	// FirstDelay is the wait before the first restart of this child. Zero means that of Options.
	FirstDelay time.Duration
}

// Options say what to supervise and how patiently.
type Options struct {
	// Children are started in this order, without waiting for one another, and stopped in the opposite order, each
	// awaited before the next.
	Children []Child
	// DumpDir keeps what dying children wrote (goroutine dumps, panics, fatal errors); it is made when needed. Empty
	// means that dumps are only on standard error.
	DumpDir string
	// Dumps is how many dumps are kept for each child, the newest. Zero means 5.
	Dumps int
	// HeartbeatTimeout is how long a child may miss its heartbeat; it beats six times in this time. Zero means 3s.
	HeartbeatTimeout time.Duration
	// QuitTimeout is how long a child that missed its heartbeat may take to write its dump after SIGQUIT before it
	// gets SIGKILL. Zero means 1s.
	QuitTimeout time.Duration
	// FirstDelay is the wait before the first restart; it doubles with each further one up to MaxDelay, and begins
	// anew after a child that lived for StableAfter. Zero means 100ms, 10s and 30s.
	FirstDelay, MaxDelay, StableAfter time.Duration
	// Hurry, when closed, ends all children with SIGKILL and then Run. Nil means never. See [Signals].
	Hurry <-chan struct{}
	// OnEvent is called for each event, one call at a time, from Run's goroutine. It must not block: children are not
	// watched meanwhile. Nil means that nobody listens.
	OnEvent func(Event)
	// Logger gets one line per event. Nil means that nothing is logged.
	Logger *slog.Logger
}

// EnsureDefaults replaces zeros by defaults.
func (o *Options) EnsureDefaults() {
	ensure(&o.HeartbeatTimeout, DefaultHeartbeatTimeout)
	ensure(&o.QuitTimeout, DefaultQuitTimeout)
	ensure(&o.FirstDelay, DefaultFirstDelay)
	ensure(&o.MaxDelay, DefaultMaxDelay)
	ensure(&o.StableAfter, DefaultStableAfter)
	if o.Dumps == 0 {
		o.Dumps = DefaultDumps
	}
	if o.OnEvent == nil {
		o.OnEvent = func(Event) {}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	for i := range o.Children {
		ensure(&o.Children[i].StartTimeout, DefaultStartTimeout)
		ensure(&o.Children[i].StopTimeout, DefaultStopTimeout)
		if o.Children[i].Path == "" {
			o.Children[i].Path = "/proc/self/exe"
		}
	}
}

func ensure(d *time.Duration, value time.Duration) {
	if *d == 0 {
		*d = value
	}
}

// Validate says what is wrong with options that have their defaults.
func (o *Options) Validate() error {
	if len(o.Children) == 0 {
		return errors.New("supervise: no children")
	}
	names := make(map[string]bool, len(o.Children))
	for _, c := range o.Children {
		if !plainWord(c.Name) {
			return fmt.Errorf("supervise: child name %q is not a plain word", c.Name)
		}
		if names[c.Name] {
			return fmt.Errorf("supervise: two children named %q", c.Name)
		}
		names[c.Name] = true
	}
	return nil
}

// plainWord keeps names fit for file names and log fields.
func plainWord(s string) bool {
	for _, r := range s {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' {
			return false
		}
	}
	return s != ""
}

// Run starts the children and keeps them alive until ctx ends; then it stops them, the last one first, each with
// SIGTERM and, after its StopTimeout, SIGKILL. When it returns no child is left. The error names the children that had
// to be killed in the end; it is nil after an orderly stop.
func Run(ctx context.Context, opts Options) error {
	opts.EnsureDefaults()
	if err := opts.Validate(); err != nil {
		return err
	}
	events := make(chan Event)
	keepers, err := newKeepers(&opts, events)
	if err != nil {
		return err
	}
	for _, k := range keepers {
		go k.run()
	}
	ended := make(chan error, 1)
	go func() { ended <- stopInOrder(ctx, opts.Hurry, keepers) }()
	for {
		select {
		case e := <-events:
			e.log(opts.Logger)
			opts.OnEvent(e)
		case err := <-ended:
			return err
		}
	}
}

func newKeepers(opts *Options, events chan<- Event) ([]*keeper, error) {
	keepers := make([]*keeper, 0, len(opts.Children))
	for i := range opts.Children {
		k, err := newKeeper(opts, &opts.Children[i], events)
		if err != nil {
			for _, made := range keepers {
				err = errors.Join(err, made.config.Close())
			}
			return nil, err
		}
		keepers = append(keepers, k)
	}
	return keepers, nil
}

// stopInOrder waits until the end is asked for and then ends the last child first: what uses another process (signal
// uses media) goes before what it uses.
func stopInOrder(ctx context.Context, hurry <-chan struct{}, keepers []*keeper) error {
	select {
	case <-ctx.Done():
	case <-hurry:
	}
	var errs []error
	for _, k := range slices.Backward(keepers) {
		close(k.stop)
		errs = append(errs, <-k.done)
	}
	return errors.Join(errs...)
}
