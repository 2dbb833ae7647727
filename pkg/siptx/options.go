package siptx

import (
	"errors"
	"log/slog"
	"runtime"
	"time"

	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/siptransport"
)

// Sender puts messages on the wire. *siptransport.Endpoint is one.
type Sender interface {
	// Send never blocks and does not keep msg. A UDP error is returned; a stream's error, also that of a
	// connection that could not be opened, comes through failed, from another goroutine.
	Send(flow siptransport.Flow, msg []byte, failed func(error)) error
}

// Options says how a Stack runs. Sender and NewHandler are required.
type Options struct {
	// Workers is the number of goroutines that own calls. Zero means GOMAXPROCS; at most 127.
	Workers int
	// Queue is how many messages may wait for one worker. Zero means 8192. A quarter of it is kept for
	// responses, ACK, CANCEL, BYE and requests with a To tag.
	Queue int
	// MaxWait refuses new requests while the oldest waiting message is older and more than 64 wait, so that
	// what is accepted is answered before its sender repeats it. What the reserved quarter is for is not
	// refused. Zero means 250 ms, half of T1.
	MaxWait time.Duration
	// Posts is how many functions may wait for one worker. Zero means 65536.
	Posts int
	// Transactions bounds the transactions of one worker. Zero means 200 000. A quarter of it is kept
	// for requests with a To tag and for requests that this process sends.
	Transactions int
	// Timers are the clocks of RFC 3261. Zero fields mean the RFC's values.
	Timers Timers
	// Sender carries what the workers send.
	Sender Sender
	// Logger receives what goes wrong. Nil discards it.
	Logger *slog.Logger
	// NewHandler makes the user of one worker. It is called once per worker, by New.
	NewHandler func(w *Worker) Handler
	// Unparsed leaves Request.Request and Response.Response nil, for users that work on bytes alone: nothing is
	// parsed beyond what the gate found.
	Unparsed bool
	// Tap sees every message that worker w read (out false) or sent, on the worker's goroutine. It must
	// copy what it keeps. Refusals sent by readers while a queue is full do not pass it. May be nil.
	Tap func(w int, out bool, flow siptransport.Flow, msg []byte)
}

// maxWorkers is what the worker's part of a [Branch] can name.
const maxWorkers = 127

// EnsureDefaults fills in zero fields.
func (o *Options) EnsureDefaults() {
	if o.Workers == 0 {
		o.Workers = min(runtime.GOMAXPROCS(0), maxWorkers)
	}
	if o.Queue == 0 {
		o.Queue = 8192
	}
	if o.MaxWait == 0 {
		o.MaxWait = 250 * time.Millisecond
	}
	if o.Posts == 0 {
		o.Posts = 65536
	}
	if o.Transactions == 0 {
		o.Transactions = 200_000
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.Timers.EnsureDefaults()
}

// Validate says what is wrong with options that have their defaults.
func (o *Options) Validate() error {
	var problem string
	switch {
	case o.Workers < 1 || o.Workers > maxWorkers:
		problem = "Workers must be 1 to 127"
	case o.Queue < 4:
		problem = "Queue must be at least 4"
	case o.Posts < 1:
		problem = "Posts must be at least 1"
	case o.Transactions < 4:
		problem = "Transactions must be at least 4"
	case o.Sender == nil:
		problem = "Sender is missing"
	case o.NewHandler == nil:
		problem = "NewHandler is missing"
	default:
		return nil
	}
	return &fault.Error{Op: "start transactions", Kind: fault.Invalid, Err: errors.New(problem)}
}

// Timers are the clocks of transactions. Zero fields mean the values of RFC 3261, table 4.
type Timers struct {
	// T1 estimates the round trip: 500 ms. 64 times T1 is how long an unanswered request lives.
	T1 time.Duration
	// T2 bounds the interval between repeated non-INVITE requests and INVITE responses: 4 s.
	T2 time.Duration
	// T4 is how long a message stays in the network: 5 s.
	T4 time.Duration
	// D is how long an INVITE's failure is acknowledged again over UDP: 32 s.
	D time.Duration
	// C bounds an INVITE that was answered provisionally; each 101–199 restarts it: 180 s.
	C time.Duration
	// Trying is when an INVITE without an answer gets a 100 of our own: 200 ms.
	Trying time.Duration
}

// EnsureDefaults fills in zero fields.
func (t *Timers) EnsureDefaults() {
	for _, f := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&t.T1, 500 * time.Millisecond},
		{&t.T2, 4 * time.Second},
		{&t.T4, 5 * time.Second},
		{&t.D, 32 * time.Second},
		{&t.C, 180 * time.Second},
		{&t.Trying, 200 * time.Millisecond},
	} {
		if *f.field == 0 {
			*f.field = f.value
		}
	}
}

// life is 64*T1: timers B, F, H, J, L and M.
func (t *Timers) life() time.Duration { return 64 * t.T1 }
