// Package siptx runs SIP transactions on workers. Every Call-ID belongs to one worker, a goroutine that
// handles its messages in the order in which they were read, so that a call needs no lock. Transactions
// are small structs on the worker's timing wheel: no goroutine, channel or time.Timer each.
//
// It owns the way from a reader to the user of a message (dispatch, gate, parser, matching, repetition,
// responses of its own such as 100 and 481) and the four machines of RFC 3261 §17 with RFC 6026. It does not
// own sockets (see siptransport), dialogs, the ACK to a 2xx, or any decision about a request.
//
// Start at [New] and [Handler]; a request comes as a [ServerTx], one is sent by [Worker.SendRequest].
package siptx

import (
	"context"
	"errors"
	"hash/maphash"
	"log/slog"
	"sync"
	"time"

	"github.com/mss-federation/mss/pkg/sipgate"
	"github.com/mss-federation/mss/pkg/siptransport"
)

var (
	// ErrStopped is what a post gets after the worker has ended.
	ErrStopped = errors.New("worker has stopped")
	// ErrBusy is what a post gets when [Options].Posts functions wait already.
	ErrBusy = errors.New("worker has too much waiting")
	// ErrFlowClosed ends a request whose connection ended before the final response.
	ErrFlowClosed = errors.New("connection closed before the final response")
	// ErrTableFull ends a request that found no room in the worker's table of transactions.
	ErrTableFull = errors.New("too many transactions")
)

var _ siptransport.Receiver = (*Stack)(nil)

// Stack is the workers of one process. It is the receiver of siptransport's messages.
type Stack struct {
	options Options
	log     *slog.Logger
	seed    maphash.Seed
	workers []*Worker
	adopted adoptions
	metrics readerMetrics
}

// New makes a stack; nothing runs yet, but posts and messages may come already.
func New(o Options) (*Stack, error) {
	o.EnsureDefaults()
	if err := o.Validate(); err != nil {
		return nil, err
	}
	s := &Stack{options: o, log: o.Logger, seed: maphash.MakeSeed()}
	s.adopted.init(s.seed)
	now := time.Now()
	for i := range o.Workers {
		s.workers = append(s.workers, newWorker(s, i, now))
	}
	for _, w := range s.workers {
		w.handler = o.NewHandler(w)
	}
	return s, nil
}

// Run runs the workers until ctx ends. Then posts that were accepted still run, messages that wait are
// dropped, and later posts fail with [ErrStopped]. A stack runs once.
func (s *Stack) Run(ctx context.Context) error {
	var all sync.WaitGroup
	for _, w := range s.workers {
		all.Go(func() { w.run(ctx) })
	}
	all.Wait()
	return nil
}

// Workers is the number of workers.
func (s *Stack) Workers() int { return len(s.workers) }

// Worker is the worker of that index, from 0.
func (s *Stack) Worker(i int) *Worker { return s.workers[i] }

// Home is the worker to which a Call-ID's messages go first. It is stable while the process lives; another
// process spreads foreign Call-IDs in another way.
func (s *Stack) Home(callID string) int { return s.home([]byte(callID)) }

// Adopt gives a Call-ID to a worker that is not its home: a call that was restored, or joined with one that
// lives there. The home passes on what does not belong to its own transactions. Adopting again moves it.
// It may be called from any goroutine.
func (s *Stack) Adopt(callID string, worker int) {
	if s.Home(callID) == worker {
		s.adopted.remove(callID)
		return
	}
	s.adopted.set(callID, worker)
}

// Release ends an adoption. Releasing an unknown Call-ID is nothing.
func (s *Stack) Release(callID string) { s.adopted.remove(callID) }

// FlowClosed tells every worker that a stream connection ended, behind all that was read from it.
func (s *Stack) FlowClosed(flow siptransport.Flow, cause error) {
	for _, w := range s.workers {
		// Connections are bounded by their owner, so this cannot fill the queue; only a stopped
		// worker refuses it, and that one has no use for it.
		_ = w.queue.post(func() { w.flowClosed(flow, cause) }, unlimited)
	}
}

// Refused counts what the transport could not frame, and answers it where the head allows an answer: the
// transport still sends that before it closes the connection.
func (s *Stack) Refused(flow siptransport.Flow, msg []byte, reason string) {
	defer s.guard()
	s.metrics.unframed.Add(1)
	s.log.Debug("stream refused", "flow", flow, "reason", reason)
	h := heads.Get().(*sipgate.Head)
	defer heads.Put(h)
	r := sipgate.Scan(msg, h)
	switch {
	case r == nil && h.Request && h.Method != "ACK":
		// It would do as a datagram: what it lacks is what a stream is cut by, its one Content-Length.
		r = &sipgate.Refusal{Status: 400, Reason: reason}
	case r == nil || !r.Usable:
		return
	}
	out := s.appendStateless(nil, msg, h, flow, r.Status, r.Reason)
	if err := s.options.Sender.Send(flow, append(out, noBody...), s.sendFailed); err != nil {
		s.sendFailed(err)
	}
}
