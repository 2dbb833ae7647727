package siptx

import (
	"runtime/debug"

	"github.com/mss-federation/mss/pkg/sipgate"
)

// inWork is what the worker is busy with, so that a panic ends that alone.
type inWork struct {
	server *ServerTx
	client *ClientTx
	user   any // whose method runs
	msg    []byte
	callID string // set when the message was given to a user
}

// panicked is what a [TimerUser], a [ClientUser] or the user of a [ServerTx] may implement: it is told
// that a call to it panicked.
type panicked interface{ Panicked(v any) }

// panicHandler is what a [Handler] may implement.
type panicHandler interface {
	Panicked(callID string, msg []byte, v any)
}

// contain is the recover boundary around each message, timer and post: it ends what was in work, and the
// worker goes on. It must be deferred directly.
func (w *Worker) contain() {
	work := w.inWork
	w.inWork = inWork{}
	v := recover()
	if v == nil {
		return
	}
	w.metrics.panics.Add(1)
	if id, ok := sipgate.CallID(work.msg); ok && work.callID == "" {
		work.callID = string(id)
	}
	w.log.Error("handling panicked", "panic", v, "call_id", work.callID, "stack", string(debug.Stack()))
	w.tell(func() { work.end() })
	if u, ok := work.user.(panicked); ok {
		w.tell(func() { u.Panicked(v) })
	}
	if h, ok := w.handler.(panicHandler); ok {
		w.tell(func() { h.Panicked(work.callID, work.msg, v) })
	}
}

// guard is the recover boundary of readers, who look into messages too, though not far. It must be deferred
// directly.
func (s *Stack) guard() {
	if v := recover(); v != nil {
		s.metrics.panics.Add(1)
		s.log.Error("reading panicked", "panic", v, "stack", string(debug.Stack()))
	}
}

// tell calls fn; a panic in it is counted and logged, no more.
func (w *Worker) tell(fn func()) {
	defer func() {
		if v := recover(); v != nil {
			w.metrics.panics.Add(1)
			w.log.Error("handling a panic panicked", "panic", v, "stack", string(debug.Stack()))
		}
	}()
	fn()
}

// end ends the transactions in work: a request that is still open gets a 500.
func (i *inWork) end() {
	if tx := i.server; tx != nil {
		if tx.Pending() {
			tx.reply(500)
		} else {
			tx.destroy()
		}
	}
	if tx := i.client; tx != nil {
		tx.destroy()
	}
}
