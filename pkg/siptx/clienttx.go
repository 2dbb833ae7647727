package siptx

import (
	"fmt"
	"time"

	"github.com/mss-federation/mss/pkg/siptransport"
)

// ClientTx is a request that this process sent. It belongs to its worker's goroutine.
type ClientTx struct {
	w      *Worker
	key    uint64
	flow   siptransport.Flow
	method string
	msg    []byte // the request, for repetition, CANCEL and ACK; after a failure of an INVITE its ACK
	extra  []byte // header lines for the CANCEL
	user   ClientUser

	repeat, expire Timer
	limit          Timer
	interval       time.Duration
	state          state

	flowPrev, flowNext *ClientTx // those that wait on the same stream
}

type clientTimers ClientTx

func (t *clientTimers) OnTimer(id int) {
	tx := (*ClientTx)(t)
	tx.enter()
	switch id {
	case timerRepeat:
		tx.step(evRepeat, nil)
	case timerExpire:
		tx.step(evExpire, nil)
	case timerLimit:
		tx.step(evGiveUp, nil)
	}
}

// enter names the transaction as what a panic would end.
func (tx *ClientTx) enter() { tx.w.inWork.client, tx.w.inWork.user = tx, tx.user }

// key is the transaction's in the worker's table: a CANCEL shares the branch of its INVITE.
func (b Branch) key(method string) uint64 {
	if method == "CANCEL" {
		return uint64(b) | cancelMark
	}
	return uint64(b)
}

// SendRequest sends a request and starts its transaction. msg is complete, with a Via of our own on top that has
// the branch; it is copied. The ACK to a 2xx goes through [Worker.SendRaw]. user may be nil when nobody
// cares. A request that cannot be sent is told to user after SendRequest has returned.
func (w *Worker) SendRequest(flow siptransport.Flow, method string, branch Branch, msg []byte, user ClientUser) *ClientTx {
	tx := &ClientTx{w: w, key: branch.key(method), flow: flow, method: method, user: user, state: stateTrying}
	if method == "INVITE" {
		tx.state = stateCalling
	}
	if len(w.clients) >= w.room(true) {
		w.metrics.tableFull.Add(1)
		w.failed = append(w.failed, failure{tx, ErrTableFull})
		return tx
	}
	if method == "INVITE" || !flow.Transport.Stream() {
		tx.msg = append(make([]byte, 0, len(msg)), msg...)
	}
	w.clients[tx.key] = tx
	w.link(tx)
	if !flow.Transport.Stream() {
		tx.interval = w.timers.T1
		tx.start(&tx.repeat, tx.interval, timerRepeat)
	}
	tx.start(&tx.expire, w.timers.life(), timerExpire)
	tx.transmit(msg)
	return tx
}

// Method is the request's.
func (tx *ClientTx) Method() string { return tx.method }

// Flow is where the request went.
func (tx *ClientTx) Flow() siptransport.Flow { return tx.flow }

// Settle gives an INVITE that has its 2xx another user, for what may still come: its repetitions, and 2xx from other
// branches of a fork. Before and after that it does nothing.
func (tx *ClientTx) Settle(user ClientUser) {
	if tx.state == stateAccepted {
		tx.user = user
	}
}

// Pending says that the final response is still to come.
func (tx *ClientTx) Pending() bool { return tx.state.open() }

// SetTimeout ends the wait earlier: OnTimeout comes when nothing, not even a provisional response, has come
// within d from now. Zero or less takes the limit away; 64*T1 holds all the same. An INVITE given up so
// is still cancelled when a provisional response comes late, and a late 2xx goes to Handler.Stray.
func (tx *ClientTx) SetTimeout(d time.Duration) {
	switch {
	case d <= 0:
		tx.limit.Stop()
	case tx.state == stateCalling, tx.state == stateTrying, tx.state == stateCallingCancel:
		tx.start(&tx.limit, d, timerLimit)
	}
}

// Cancel ends an INVITE that has no final response: a CANCEL is sent as soon as a provisional response
// allows it (RFC 3261 §9.1). extra is header lines for it, such as Reason, each with CRLF. The final response
// still comes, a 487 or a 2xx that crossed; none within 64*T1 after the CANCEL is OnTimeout. Other methods
// and second calls are nothing.
func (tx *ClientTx) Cancel(extra []byte) {
	if tx.method != "INVITE" || !tx.Pending() || tx.state == stateCallingCancel || tx.state == stateCancelling {
		return
	}
	tx.extra = append([]byte(nil), extra...)
	tx.step(evCancel, nil)
}

// receive is a response from the wire.
func (tx *ClientTx) receive(flow siptransport.Flow, msg []byte) {
	tx.enter()
	var res *Response
	if e := eventOf(tx.w.head.Status); tx.wants(e) {
		if res = tx.w.parseResponse(flow, msg); res == nil {
			tx.w.metrics.stray.Add(1)
			return
		}
	}
	tx.step(eventOf(tx.w.head.Status), res)
}

// wants says whether the user will see the response, so that others need not be parsed.
func (tx *ClientTx) wants(e event) bool {
	_, do := tx.next(e)
	return do.has(doStray) || do.has(doDeliver) && tx.user != nil
}

func (tx *ClientTx) next(e event) (state, action) {
	if tx.method == "INVITE" {
		return stepInviteClient(tx.state, e, tx.flow.Transport.Stream())
	}
	return stepPlainClient(tx.state, e, tx.flow.Transport.Stream())
}

// step drives the machine and does what it says. res is the response that e stands for, nil for other events.
func (tx *ClientTx) step(e event, res *Response) {
	w := tx.w
	before := tx.state
	next, do := tx.next(e)
	tx.state = next
	if do.has(doStopRepeat) {
		tx.repeat.Stop()
	}
	if do.has(doArmRepeat) {
		tx.armRepeat()
	}
	if do.has(doArmExpire) {
		tx.start(&tx.expire, tx.expiry(), timerExpire)
	}
	if do.has(doSend) {
		w.metrics.repeats.Add(1)
		tx.transmit(tx.msg)
	}
	if do.has(doAck) {
		tx.acknowledge(before)
	}
	if do.has(doCancel) {
		tx.sendCancel()
	}
	user := tx.user
	if before != next {
		tx.entered()
	}
	switch {
	case do.has(doStray) && res != nil:
		w.handler.Stray(res)
	case user == nil:
	case do.has(doDeliver) && res != nil:
		user.OnResponse(tx, res)
	case do.has(doTimeout):
		w.metrics.timeouts.Add(1)
		user.OnTimeout(tx)
	}
}

// entered lets go of what the new state does not need.
func (tx *ClientTx) entered() {
	switch tx.state {
	case stateCalling, stateTrying:
		return
	case stateAccepted:
		tx.msg = nil
	case stateCompleted:
		tx.user = nil
		if tx.method != "INVITE" {
			tx.msg = nil
		}
	case stateDeserted, stateDesertedAlone:
		tx.user = nil
	case stateTerminated:
		tx.destroy()
	default: // Proceeding and what leads to CANCEL keep all
	}
	tx.limit.Stop()
	if !tx.state.open() {
		tx.extra = nil
		tx.w.unlink(tx)
	}
}

// destroy removes the transaction from its worker.
func (tx *ClientTx) destroy() {
	tx.state = stateTerminated
	tx.repeat.Stop()
	tx.expire.Stop()
	tx.limit.Stop()
	tx.msg, tx.user = nil, nil
	tx.w.unlink(tx)
	if tx.w.clients[tx.key] == tx {
		delete(tx.w.clients, tx.key)
	}
}

// armRepeat starts the timer of the next repetition: timer A doubles, timer E doubles up to T2 and is T2 from
// the first provisional response on.
func (tx *ClientTx) armRepeat() {
	t := &tx.w.timers
	switch {
	case tx.method == "INVITE":
		tx.interval *= 2
	case tx.state == stateProceeding:
		tx.interval = t.T2
	default:
		tx.interval = min(2*tx.interval, t.T2)
	}
	tx.start(&tx.repeat, tx.interval, timerRepeat)
}

// expiry is the long timer of the state that was entered.
func (tx *ClientTx) expiry() time.Duration {
	t := &tx.w.timers
	switch {
	case tx.state == stateCompleted && tx.method == "INVITE":
		return t.D
	case tx.state == stateCompleted:
		return t.T4 // K
	case tx.state == stateProceeding:
		return t.C
	}
	return t.life() // B, F, M, and 64*T1 after a CANCEL
}

func (tx *ClientTx) start(t *Timer, d time.Duration, id int) {
	tx.w.Start(t, d, (*clientTimers)(tx), id)
}

// acknowledge sends the ACK to a failure: made from the INVITE the first time, the same again later.
func (tx *ClientTx) acknowledge(before state) {
	w := tx.w
	if before != stateCompleted {
		tx.msg = appendDerived(nil, tx.msg, "ACK", w.head.To.Of(w.scanned), nil)
	}
	w.SendRaw(tx.flow, tx.msg)
}

// sendCancel sends the CANCEL in a transaction of its own, whose end interests nobody.
func (tx *ClientTx) sendCancel() {
	w := tx.w
	w.out = appendDerived(w.out[:0], tx.msg, "CANCEL", nil, tx.extra)
	w.SendRequest(tx.flow, "CANCEL", Branch(tx.key), w.out, nil)
}

// transmit sends the request; what goes wrong is told later.
func (tx *ClientTx) transmit(msg []byte) {
	var failed func(error)
	if tx.flow.Transport.Stream() {
		failed = func(err error) {
			// Only a stopped or overfull worker refuses this; then the transaction's own timer ends it.
			_ = tx.w.Post(func() { tx.fail(err) })
		}
	}
	if err := tx.w.send(tx.flow, msg, failed); err != nil {
		tx.w.failed = append(tx.w.failed, failure{tx, err})
	}
}

// fail ends the transaction because its request could not be sent or its connection ended.
func (tx *ClientTx) fail(err error) {
	tx.enter()
	user := tx.user
	_, do := tx.next(evError)
	tx.step(evError, nil)
	if do.has(doError) && user != nil {
		user.OnSendError(tx, fmt.Errorf("send %s: %w", tx.method, err))
	}
}
