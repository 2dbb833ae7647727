package supervise

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// errKilled marks a child that did not stop when it was asked to.
var errKilled = errors.New("did not stop in time and was killed")

// keeper keeps one child alive. All fields belong to its goroutine, run, but for the channels.
type keeper struct {
	opts   *Options
	child  *Child
	config *os.File
	events chan<- Event
	delays backoff

	stop chan struct{} // closed by Run: end the child and do not start it again
	done chan error    // gets run's result, once
}

func newKeeper(opts *Options, child *Child, events chan<- Event) (*keeper, error) {
	config, err := sealedFile("config", child.Config)
	if err != nil {
		return nil, fmt.Errorf("supervise: configuration of %s: %w", child.Name, err)
	}
	return &keeper{
		opts:   opts,
		child:  child,
		config: config,
		events: events,
		delays: backoff{first: cmp.Or(child.FirstDelay, opts.FirstDelay), limit: opts.MaxDelay, stable: opts.StableAfter},
		stop:   make(chan struct{}),
		done:   make(chan error, 1),
	}, nil
}

// run starts the child again and again until it is told to stop.
func (k *keeper) run() {
	var err error
	for again := true; again; {
		again, err = k.live()
	}
	k.done <- errors.Join(err, k.config.Close())
}

// live is one life of the child and the wait behind it. It says whether there is to be another.
func (k *keeper) live() (again bool, err error) {
	if k.stopping() {
		return false, nil
	}
	p, failure := k.spawn()
	if failure != nil {
		return k.notStarted(failure), nil
	}
	k.post(Event{Kind: Started, PID: p.pid})
	err = k.watch(p)
	return k.bury(p), err
}

func (k *keeper) notStarted(cause error) (again bool) {
	delay := k.delays.after(0)
	k.post(Event{Kind: StartFailed, Err: cause, Delay: delay})
	return k.pause(delay)
}

// watch sees a process through to its end. The error is errKilled when the process had to be killed while stopping.
func (k *keeper) watch(p *process) error {
	grace := k.opts.HeartbeatTimeout / 10
	timer := time.NewTimer(k.child.StartTimeout)
	defer timer.Stop()
	suspect := false
	for {
		select {
		case <-p.exited:
			return nil
		case m := <-p.marks:
			suspect = false
			timer.Reset(k.opts.HeartbeatTimeout - grace)
			if m == markReady {
				k.post(Event{Kind: Ready, PID: p.pid})
			}
		case <-timer.C:
			// If it was this process that did not run (stopped, or a starved machine), the child's beats are in the pipe
			// and arrive in the grace.
			if !suspect {
				suspect = true
				timer.Reset(grace)
				continue
			}
			k.post(Event{Kind: HeartbeatLost, PID: p.pid})
			k.quit(p)
			return nil
		case <-k.stop:
			return k.terminate(p)
		case <-k.opts.Hurry:
			p.signal(syscall.SIGKILL)
			<-p.exited
			return nil
		}
	}
}

// quit ends a child that hangs: SIGQUIT makes the Go runtime write all goroutines' stacks, SIGKILL is for when even
// that does not work.
func (k *keeper) quit(p *process) {
	p.signal(syscall.SIGQUIT)
	timer := time.NewTimer(k.opts.QuitTimeout)
	defer timer.Stop()
	select {
	case <-p.exited:
		return
	case <-k.opts.Hurry:
	case <-timer.C:
	}
	p.signal(syscall.SIGKILL)
	<-p.exited
}

// terminate asks the child to stop. Its heartbeat is not watched any more: a child that drains need not beat.
func (k *keeper) terminate(p *process) error {
	p.signal(syscall.SIGTERM)
	timer := time.NewTimer(k.child.StopTimeout)
	defer timer.Stop()
	select {
	case <-p.exited:
		return nil
	case <-k.opts.Hurry:
		p.signal(syscall.SIGKILL)
		<-p.exited
		return nil
	case <-timer.C:
	}
	p.signal(syscall.SIGKILL)
	<-p.exited
	return fmt.Errorf("supervise: %s %w", k.child.Name, errKilled)
}

// bury keeps what the dead process left, tells of its end and waits before the next start.
func (k *keeper) bury(p *process) (again bool) {
	stopping := k.stopping()
	e := Event{Kind: Exited, PID: p.pid, Err: p.exitError(), Uptime: p.uptime, Stopping: stopping}
	dump, err := k.keepDump(p)
	if err != nil {
		k.opts.Logger.Error("dump not kept", "child", k.child.Name, "error", err)
	}
	e.Dump = dump
	if !stopping {
		e.Delay = k.delays.after(p.uptime)
	}
	p.release()
	k.post(e)
	return !stopping && k.pause(e.Delay)
}

func (k *keeper) post(e Event) {
	e.Child = k.child.Name
	k.events <- e
}

func (k *keeper) stopping() bool {
	select {
	case <-k.stop:
		return true
	case <-k.opts.Hurry:
		return true
	default:
		return false
	}
}

// pause waits before a restart. It says false when there is to be none.
func (k *keeper) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-k.stop:
	case <-k.opts.Hurry:
	}
	return false
}
