package exchange

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/mss-federation/mss/pkg/fault"
	exchangev1 "github.com/mss-federation/mss/proto/mss/exchange/v1"
)

// Stream is either end of the gRPC stream. Recv must fail once the stream's context ends.
type Stream interface {
	Send(*exchangev1.Frame) error
	Recv() (*exchangev1.Frame, error)
}

// Host is told what a session brings, serially, from Run's goroutine. It must not block for long: the
// neighbour's hold time runs meanwhile.
type Host interface {
	// Deliver applies what the neighbour told.
	Deliver(deltas []Delta)
	// Tell gets every other action but Send and End.
	Tell(Action)
}

// Runner carries one session over one stream.
type Runner struct {
	session *Session
	host    Host
	inbox   inbox
	posts   chan Event
	changed chan struct{}
	stats   atomic.Pointer[Stats]
}

// postRoom is how many events may wait for the session.
const postRoom = 16

// NewRunner makes a runner for a session that has not begun.
func NewRunner(session *Session, host Host) *Runner {
	return &Runner{
		session: session, host: host, posts: make(chan Event, postRoom), changed: make(chan struct{}, 1),
		inbox: inbox{limit: session.config.Window + inboxSlack, ready: make(chan struct{}, 1)},
	}
}

// Stats counts what happened so far. It may be called from anywhere, at any time.
func (r *Runner) Stats() Stats {
	if s := r.stats.Load(); s != nil {
		return *s
	}
	return Stats{}
}

// Notify says that the source has changed. It never blocks and may come from anywhere, at any time.
func (r *Runner) Notify() {
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

// Post hands an event to the session. False: ctx ended first, as it does when Run has returned.
func (r *Runner) Post(ctx context.Context, e Event) bool {
	select {
	case r.posts <- e:
		return true
	case <-ctx.Done():
		return false
	}
}

// stopPatience is how long the last frames may take when the owner ends a session.
const stopPatience = time.Second

// Run carries the session until it ends or ctx does; then it says Cease (shutdown). The error is never nil
// and tells why the session is over. The last frames have then left or had a second to. The caller must
// end the stream now, by returning from the handler or by cancelling its context, which is not to be ctx:
// that ends the goroutines which read and write it.
func (r *Runner) Run(ctx context.Context, stream Stream) error {
	go r.inbox.fill(stream)
	w := newWriter(stream, r.session.config.Hold)
	err := r.loop(ctx, w)
	w.finish(stopPatience)
	return err
}

func (r *Runner) loop(ctx context.Context, w *writer) error {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	if end := r.handle(Start{}, w); end != nil {
		return end
	}
	for {
		timer.Reset(time.Until(r.session.Deadline()))
		var event Event
		select {
		case <-ctx.Done():
			event = Stop{Code: exchangev1.CeaseCode_CEASE_CODE_SHUTDOWN, Text: "the node stops", Graceful: true, Restart: r.session.config.Restart}
		case <-r.inbox.ready:
		case <-r.changed:
			event = Changed{}
		case event = <-r.posts:
		case <-timer.C:
			event = Tick{}
		case err := <-w.failed:
			return fault.New("exchange", fault.Unavailable, "write", err.Error())
		}
		// What has arrived counts before a deadline that has passed: a busy table is no silence.
		if err := r.drain(w); err != nil {
			return err
		}
		if event != nil {
			if err := r.handle(event, w); err != nil {
				return err
			}
		}
	}
}

// drain handles every frame that has arrived.
func (r *Runner) drain(w *writer) error {
	frames, readErr := r.inbox.take()
	for _, f := range frames {
		if err := r.handle(Received{Frame: f}, w); err != nil {
			return err
		}
	}
	if readErr != nil {
		return &fault.Error{Op: "exchange", Kind: fault.Unavailable, Subject: "read", Err: readErr}
	}
	return nil
}

// handle carries one event's actions out. An error is the session's end.
func (r *Runner) handle(e Event, w *writer) error {
	var ended error
	for _, action := range r.session.Handle(e, time.Now()) {
		switch a := action.(type) {
		case Send:
			w.send(a.Frame)
		case Deliver:
			r.host.Deliver(a.Deltas)
		case End:
			ended = a.Err()
			r.host.Tell(a)
		default:
			r.host.Tell(a)
		}
	}
	if now := r.session.Stats(); now != r.Stats() {
		r.stats.Store(&now)
	}
	return ended
}
