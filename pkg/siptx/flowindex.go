package siptx

import (
	"fmt"
	"net/netip"

	"github.com/mss-federation/mss/pkg/siptransport"
)

// flowKey groups the requests that wait on one stream peer. The connection's id is compared one by one: it
// is not known yet to requests that asked for "a connection to Remote".
type flowKey struct {
	transport siptransport.Transport
	remote    netip.AddrPort
}

// failure is a send error that is still to be told.
type failure struct {
	tx  *ClientTx
	err error
}

// link enters a transaction on a stream among those that end with their connection.
func (w *Worker) link(tx *ClientTx) {
	if !tx.flow.Transport.Stream() {
		return
	}
	key := flowKey{tx.flow.Transport, tx.flow.Remote}
	first := w.flows[key]
	tx.flowNext = first
	if first != nil {
		first.flowPrev = tx
	}
	w.flows[key] = tx
}

// unlink takes it out; doing so again is nothing.
func (w *Worker) unlink(tx *ClientTx) {
	if !tx.flow.Transport.Stream() {
		return
	}
	key := flowKey{tx.flow.Transport, tx.flow.Remote}
	switch {
	case tx.flowPrev != nil:
		tx.flowPrev.flowNext = tx.flowNext
	case w.flows[key] != tx:
		return
	case tx.flowNext == nil:
		delete(w.flows, key)
	default:
		w.flows[key] = tx.flowNext
	}
	if tx.flowNext != nil {
		tx.flowNext.flowPrev = tx.flowPrev
	}
	tx.flowPrev, tx.flowNext = nil, nil
}

// flowClosed ends the requests that wait for a response on a connection, then tells the user.
func (w *Worker) flowClosed(flow siptransport.Flow, cause error) {
	err := ErrFlowClosed
	if cause != nil {
		err = fmt.Errorf("%w: %w", ErrFlowClosed, cause)
	}
	for tx := w.flows[flowKey{flow.Transport, flow.Remote}]; tx != nil; tx = tx.flowNext {
		if tx.flow.ID == 0 || tx.flow.ID == flow.ID {
			w.failed = append(w.failed, failure{tx, err})
		}
	}
	w.flushFailures()
	w.handler.FlowClosed(flow, cause)
}

// flushFailures tells the users of requests that could not be sent, one recover boundary each. What they send
// in turn may fail too, and is told in the same go.
func (w *Worker) flushFailures() {
	for i := 0; i < len(w.failed); i++ {
		f := w.failed[i]
		w.call(func() { f.tx.fail(f.err) })
	}
	clear(w.failed)
	w.failed = w.failed[:0]
}
