package supervise

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"
)

// OrphanGrace is how long a child that lost its supervisor may take to end before it is ended.
const OrphanGrace = 500 * time.Millisecond

// ExitOrphaned is the exit status of a process that was ended because its supervisor was gone.
const ExitOrphaned = 4

// ErrNotSupervised is what [Inherit] says in a process that no supervisor started.
var ErrNotSupervised = errors.New("not started by a supervisor")

// Inheritance is what a child has from its supervisor. There is one in a process.
type Inheritance struct {
	// Name is the child's role.
	Name string
	// Config is the configuration that the supervisor checked.
	Config []byte
	// Fresh is what the supervisor's Child.Fresh gave for this start; nil without it.
	Fresh []byte

	sockets   []inheritedSocket
	life      *os.File
	beat      *os.File
	beatEvery time.Duration
	done      chan struct{}
}

type inheritedSocket struct {
	name   string
	packet *net.UDPConn
	listen net.Listener
}

// Inherit takes what the supervisor handed to this process. Call it once, early: from then on the process ends when
// its supervisor does, at the latest OrphanGrace later, and what the runtime says when it dies reaches the supervisor.
// The error is [ErrNotSupervised] in any other process.
func Inherit() (*Inheritance, error) {
	text, ok := os.LookupEnv(planVariable)
	if !ok {
		return nil, ErrNotSupervised
	}
	var pl plan
	if err := json.Unmarshal([]byte(text), &pl); err != nil {
		return nil, fmt.Errorf("%s: %w", planVariable, err)
	}
	if err := os.Unsetenv(planVariable); err != nil {
		return nil, err
	}
	// A reader of our standard error that went away (a journal that restarts) must not end us.
	signal.Ignore(syscall.SIGPIPE)
	in := &Inheritance{
		Name:      pl.Name,
		life:      adopt(pl.Life, "life"),
		beat:      adopt(pl.Beat, "beat"),
		beatEvery: time.Duration(pl.BeatEvery),
		done:      make(chan struct{}),
	}
	if err := in.take(pl); err != nil {
		return nil, fmt.Errorf("inherit %s: %w", pl.Name, err)
	}
	go in.outlive()
	return in, nil
}

// adopt keeps an inherited descriptor from programs that this process may start.
func adopt(fd int, name string) *os.File {
	syscall.CloseOnExec(fd)
	return os.NewFile(uintptr(fd), name)
}

func (in *Inheritance) take(pl plan) error {
	crash := adopt(pl.Crash, "crash")
	err := debug.SetCrashOutput(crash, debug.CrashOptions{})
	if err := errors.Join(err, crash.Close()); err != nil { // SetCrashOutput has its own copy
		return err
	}
	debug.SetTraceback("all")
	if in.Config, err = readSealed(pl.Config, "config"); err != nil {
		return err
	}
	if pl.Fresh != 0 {
		if in.Fresh, err = readSealed(pl.Fresh, "fresh"); err != nil {
			return err
		}
	}
	for _, s := range pl.Sockets {
		if err := in.takeSocket(s); err != nil {
			return fmt.Errorf("socket %s: %w", s.Name, err)
		}
	}
	return nil
}

func readSealed(fd int, name string) ([]byte, error) {
	file := adopt(fd, name)
	// The offset may be shared with starts before and after this one, hence the section.
	data, err := io.ReadAll(io.NewSectionReader(file, 0, 1<<62))
	return data, errors.Join(err, file.Close())
}

// takeSocket gives the descriptor to package net, which works on a copy of it. The open file behind it stays
// non-blocking throughout: os.NewFile saw it so and leaves it so (unlike for what (*net.UDPConn).File returns).
func (in *Inheritance) takeSocket(s socketPlan) error {
	file := adopt(s.FD, s.Name)
	taken := inheritedSocket{name: s.Name}
	var err error
	switch s.Network {
	case "udp":
		var conn net.PacketConn
		conn, err = net.FilePacketConn(file)
		taken.packet, _ = conn.(*net.UDPConn)
	case "tcp":
		taken.listen, err = net.FileListener(file)
	default:
		err = fmt.Errorf("unknown network %q", s.Network)
	}
	in.sockets = append(in.sockets, taken)
	return errors.Join(err, file.Close())
}

// UDP gives the sockets of this name, in the order in which the supervisor listed them. The caller may close them: the
// supervisor and later children keep theirs.
func (in *Inheritance) UDP(name string) []*net.UDPConn {
	var conns []*net.UDPConn
	for _, s := range in.sockets {
		if s.name == name && s.packet != nil {
			conns = append(conns, s.packet)
		}
	}
	return conns
}

// Listeners gives the listeners of this name, in the order in which the supervisor listed them.
func (in *Inheritance) Listeners(name string) []net.Listener {
	var listeners []net.Listener
	for _, s := range in.sockets {
		if s.name == name && s.listen != nil {
			listeners = append(listeners, s.listen)
		}
	}
	return listeners
}

// Ready tells the supervisor that the child serves. A supervisor that is gone is noticed elsewhere.
func (in *Inheritance) Ready() { in.mark(markReady) }

// Beat tells the supervisor, again and again until ctx ends, that the child is alive, whenever alive says so. A nil
// alive means always. An alive that blocks is a missed beat, and is meant to be: it should need what the child's work
// needs.
func (in *Inheritance) Beat(ctx context.Context, alive func() bool) {
	ticker := time.NewTicker(in.beatEvery)
	defer ticker.Stop()
	for {
		if alive == nil || alive() {
			in.mark(markBeat)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

func (in *Inheritance) mark(m mark) {
	_, _ = in.beat.Write([]byte{byte(m)}) // it fails only when the supervisor is gone, which outlive sees
}

// Done is closed when the supervisor is gone. The process is ended OrphanGrace later if it is still there.
func (in *Inheritance) Done() <-chan struct{} { return in.done }

// Context ends with parent, with SIGTERM or SIGINT, or with the supervisor. The caller calls stop in the end.
func (in *Inheritance) Context(parent context.Context) (ctx context.Context, stop context.CancelFunc) {
	ctx, cancel := signal.NotifyContext(parent, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		select {
		case <-in.done:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

// outlive waits for the supervisor's end. Nothing of the process's own can keep it from ending afterwards: an orphan
// would hold the ports that the next supervisor needs.
func (in *Inheritance) outlive() {
	_, _ = in.life.Read(make([]byte, 1)) // nothing is ever written there: it returns when the other end is closed
	close(in.done)
	<-time.After(OrphanGrace)
	os.Exit(ExitOrphaned) //nolint:forbidigo // whatever else the process does, main may never return
}
