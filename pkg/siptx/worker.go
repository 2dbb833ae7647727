package siptx

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/emiago/sipgo/sip"

	"github.com/mss-federation/mss/pkg/sipgate"
	"github.com/mss-federation/mss/pkg/siptransport"
)

// batch is how many entries a worker takes before it looks at its timers again.
const batch = 64

// Worker owns the calls whose Call-IDs are at home with it. All its methods but Post and Index belong to its
// own goroutine; before Run they may be called by whoever made the stack.
type Worker struct {
	stack   *Stack
	index   int
	log     *slog.Logger
	queue   *queue
	recent  recent // INVITEs that readers gave to this worker
	handler Handler
	random  *rand.Rand
	now     time.Time
	wheel   *wheel
	timers  Timers
	metrics workerMetrics

	servers map[string]*ServerTx
	clients map[uint64]*ClientTx
	// flows are the client transactions that still wait for their final response on a stream.
	flows map[flowKey]*ClientTx
	// failed are those whose user is to hear of a send error once the code that sent has returned.
	failed []failure

	// Scratch of the message in work.
	parser  *sip.Parser
	head    sipgate.Head
	scanned []byte // what head's positions mean
	key     []byte
	out     []byte
	req     Request
	res     Response
	inWork  inWork

	complained time.Time // of a malformed message; zero: never
	complaints int       // malformed messages since then

	sendFailed func(error) // made once
}

func newWorker(s *Stack, index int, now time.Time) *Worker {
	w := &Worker{
		stack:   s,
		index:   index,
		log:     s.log.With("worker", index),
		queue:   newQueue(),
		recent:  recent{seed: s.seed},
		random:  newRandom(),
		now:     now,
		wheel:   newWheel(now),
		timers:  s.options.Timers,
		servers: make(map[string]*ServerTx),
		clients: make(map[uint64]*ClientTx),
		flows:   make(map[flowKey]*ClientTx),
		parser:  newParser(),
	}
	w.sendFailed = func(error) { w.metrics.unsent.Add(1) }
	return w
}

// Index is the worker's number, from 0.
func (w *Worker) Index() int { return w.index }

// Now is the time, read once per batch of messages.
func (w *Worker) Now() time.Time { return w.now }

// Post runs fn on the worker, behind what waits there already. It never blocks and may be called from any
// goroutine. It fails with [ErrStopped] after the end and with [ErrBusy] when too much waits.
func (w *Worker) Post(fn func()) error { return w.queue.post(fn, w.stack.options.Posts) }

// After calls fn on the worker after d, up to 100 ms late; timers of 30 s and more up to 1.1 s late.
func (w *Worker) After(d time.Duration, fn func()) *Timer {
	return w.AfterUser(d, timerFunc(fn), 0)
}

type timerFunc func()

func (f timerFunc) OnTimer(int) { f() }

// AfterUser is After without a closure: u.OnTimer(id) is called.
func (w *Worker) AfterUser(d time.Duration, u TimerUser, id int) *Timer {
	t := new(Timer)
	w.Start(t, d, u, id)
	return t
}

// Start is AfterUser for a timer that is part of the user's own struct. A running t starts anew.
func (w *Worker) Start(t *Timer, d time.Duration, u TimerUser, id int) {
	w.wheel.start(t, w.now, d, u, id)
}

// SendRaw sends what has no transaction, such as the ACK to a 2xx. A failure is counted; a peer that misses
// the message asks again.
func (w *Worker) SendRaw(flow siptransport.Flow, msg []byte) {
	if err := w.send(flow, msg, w.sendFailed); err != nil {
		w.sendFailed(err)
	}
}

func (w *Worker) send(flow siptransport.Flow, msg []byte, failed func(error)) error {
	w.metrics.sent.Add(1)
	if tap := w.stack.options.Tap; tap != nil {
		tap(w.index, true, flow, msg)
	}
	return w.stack.options.Sender.Send(flow, msg, failed)
}

// run is the worker's goroutine.
func (w *Worker) run(ctx context.Context) {
	defer w.stop()
	alarm := time.NewTimer(0)
	defer alarm.Stop()
	var armed time.Time
	entries := make([]entry, 0, batch)
	for {
		w.now = time.Now()
		entries = w.work(w.queue.take(entries[:0]))
		w.wheel.advance(w.now, w.fire)
		w.flushFailures()
		w.measure()
		if len(entries) == batch && ctx.Err() == nil {
			continue
		}
		if at, ok := w.wheel.wake(); ok && !at.Equal(armed) {
			armed = at
			alarm.Reset(time.Until(at))
		}
		select {
		case <-ctx.Done():
			return
		case <-w.queue.wake:
		case <-alarm.C:
			armed = time.Time{}
		}
	}
}

// work handles a batch and clears it.
func (w *Worker) work(entries []entry) []entry {
	for i, e := range entries {
		entries[i] = entry{}
		switch {
		case e.in == nil:
			w.call(e.fn)
		case !w.message(e):
			e.in.Release()
		}
	}
	return entries
}

// stop ends the worker: posts that were accepted still run, messages are dropped.
func (w *Worker) stop() {
	w.queue.close()
	entries := make([]entry, 0, batch)
	for {
		entries = w.queue.take(entries[:0])
		if len(entries) == 0 {
			return
		}
		for _, e := range entries {
			if e.in != nil {
				e.in.Release()
			} else {
				w.call(e.fn)
			}
		}
	}
}

// call runs a posted function behind the recover boundary.
func (w *Worker) call(fn func()) {
	defer w.contain()
	fn()
}

// fire runs an ended timer behind the recover boundary.
func (w *Worker) fire(t *Timer) {
	defer w.contain()
	w.inWork.user = t.user
	t.user.OnTimer(t.id)
}

// newParser parses what users ask of nearly every message. The rest, Via and CSeq too, whose positions the
// Head has, stays generic; the library parses it when its accessor is called.
func newParser() *sip.Parser {
	all := sip.DefaultHeadersParser()
	slim := make(map[string]sip.HeaderParser)
	for _, name := range []string{
		"from", "f", "to", "t", "call-id", "i", "contact", "m", "route", "record-route", "content-length", "l",
	} {
		slim[name] = all[name]
	}
	return sip.NewParser(sip.WithHeadersParsers(slim))
}
