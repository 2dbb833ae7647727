package siptx

import (
	"time"

	"github.com/mss-federation/mss/pkg/siptransport"
)

// ServerTx is a request that waits for its response, or whose response may have to be repeated. It belongs to
// its worker's goroutine. After the final response only its key and the response's bytes stay.
type ServerTx struct {
	w      *Worker
	key    string
	in     siptransport.Flow // where the request came from
	back   siptransport.Flow // where its responses go
	method string
	head   []byte // Via, From, Call-ID, CSeq and To lines of every response; nil after the final one
	stamp  []byte // the Timestamp line for our 100
	toTag  string
	last   []byte // the last response
	user   any
	noAck  func()

	repeat, expire Timer
	interval       time.Duration
	state          state
	status         int
	tagged         bool // the request has a To tag
}

const (
	timerRepeat = iota
	timerExpire
	timerLimit
)

// serverTimers keeps OnTimer out of ServerTx's methods.
type serverTimers ServerTx

func (t *serverTimers) OnTimer(id int) {
	tx := (*ServerTx)(t)
	tx.w.inWork.server, tx.w.inWork.user = tx, tx.user
	if id == timerRepeat {
		tx.step(evRepeat)
	} else {
		tx.step(evExpire)
	}
}

// newServerTx enters the request in w.head under w.key.
func (w *Worker) newServerTx(flow siptransport.Flow, msg []byte) *ServerTx {
	tx := &ServerTx{
		w:      w,
		key:    string(w.key),
		in:     flow,
		back:   replyFlow(msg, &w.head, flow),
		method: w.head.Method,
		tagged: w.head.ToTag.Present(),
	}
	w.out = appendHead(w.out[:0], msg, &w.head, flow)
	tx.head = append(make([]byte, 0, len(w.out)), w.out...)
	w.servers[tx.key] = tx
	if tx.method == "INVITE" {
		tx.state = stateProceeding
		tx.stamp = append([]byte(nil), timestamp(msg)...)
		tx.start(&tx.repeat, w.timers.Trying, timerRepeat)
	} else {
		tx.state = stateTrying
		tx.start(&tx.expire, w.timers.life(), timerExpire)
	}
	return tx
}

// Flow is where the request came from.
func (tx *ServerTx) Flow() siptransport.Flow { return tx.in }

// Method is the request's.
func (tx *ServerTx) Method() string { return tx.method }

// Pending says that no final response was sent yet.
func (tx *ServerTx) Pending() bool { return tx.state == stateTrying || tx.state == stateProceeding }

// SetUser keeps something, such as the call, with the transaction. It is let go when a failure was sent or a
// 2xx to INVITE acknowledged.
func (tx *ServerTx) SetUser(user any) { tx.user = user }

// User is what SetUser kept.
func (tx *ServerTx) User() any { return tx.user }

// ToTag is the tag of our responses: the one that AppendResponse was given first, or else one that is made
// now. It is empty if the request came with a To tag.
func (tx *ServerTx) ToTag() string {
	if tx.toTag == "" && !tx.tagged {
		tx.toTag = tx.w.NewTag()
	}
	return tx.toTag
}

// AppendResponse appends the start line and the lines that a response copies from its request: Via with
// received and rport, From, Call-ID, CSeq, To. The caller appends other headers, Content-Length, the blank
// line and a body. An empty reason means the usual phrase. toTag becomes the To tag unless the request had
// one; when empty, it is [ServerTx.ToTag], and none in a 100. After the final response nothing is left to
// copy and dst comes back as it is.
func (tx *ServerTx) AppendResponse(dst []byte, status int, reason, toTag string) []byte {
	if tx.head == nil {
		return dst
	}
	if tx.toTag == "" {
		tx.toTag = toTag
	}
	if toTag == "" && status != 100 {
		toTag = tx.ToTag()
	}
	dst = appendStatus(dst, status, reason)
	dst = append(dst, tx.head...)
	return endHead(dst, toTag, tx.tagged)
}

// Send sends a response, which the transaction copies and repeats as RFC 3261 §17.2 says; a 2xx to INVITE is
// repeated until Acked (§13.3.1.4). status is msg's. After the final response further ones are dropped.
func (tx *ServerTx) Send(status int, msg []byte) {
	if !tx.Pending() {
		tx.w.log.Debug("response after the final one dropped", "status", status, "method", tx.method)
		return
	}
	tx.status = status
	switch {
	case status >= 200 && tx.method != "INVITE" && tx.in.Transport.Stream():
		tx.last = msg // sent once, then forgotten
	case status >= 200:
		// The response that is kept for long gets no more room than it needs.
		tx.last = append(make([]byte, 0, len(msg)), msg...)
	default:
		tx.last = append(tx.last[:0], msg...)
	}
	tx.step(eventOf(status))
}

// Forward is Send for a proxy: a 2xx to INVITE is not repeated here, since the user agent that made it does
// that, and more of them may follow, from it and from other forks (RFC 6026 §7.1).
func (tx *ServerTx) Forward(status int, msg []byte) {
	if tx.method != "INVITE" || status/100 != 2 {
		tx.Send(status, msg)
		return
	}
	if !tx.Pending() && tx.state != stateAcked {
		return
	}
	tx.status, tx.last = status, msg
	tx.step(evForwarded)
	tx.last = nil
}

// SendStateless sends a final response once and forgets the transaction: a copy of the request is a new one.
// It is for requests whose sender is not known, such as those that get a 401.
func (tx *ServerTx) SendStateless(status int, msg []byte) {
	if !tx.Pending() {
		return
	}
	tx.status, tx.last = status, msg
	tx.step(evForget)
}

// Trying sends a 100 to an INVITE now, if nothing was sent yet, instead of after [Timers].Trying. Other
// methods get none.
func (tx *ServerTx) Trying() {
	if tx.state == stateProceeding && tx.status == 0 {
		tx.repeat.Stop()
		tx.step(evRepeat)
	}
}

// Acked stops the repetition of a 2xx to INVITE: the user has matched the ACK to its dialog.
func (tx *ServerTx) Acked() {
	if tx.state != stateAccepted {
		return
	}
	tx.step(evAcked)
	tx.last, tx.user, tx.noAck = nil, nil, nil
}

// OnNoAck says what to call when 64*T1 passed after a 2xx to INVITE without Acked.
func (tx *ServerTx) OnNoAck(fn func()) { tx.noAck = fn }

// reply sends a response without headers of its own.
func (tx *ServerTx) reply(status int) {
	msg := append(tx.AppendResponse(nil, status, "", ""), noBody...)
	tx.Send(status, msg)
}

// step drives the machine and does what it says.
func (tx *ServerTx) step(e event) action {
	var do action
	before := tx.state
	if tx.method == "INVITE" {
		tx.state, do = stepInviteServer(before, e, tx.in.Transport.Stream())
	} else {
		tx.state, do = stepPlainServer(before, e, tx.in.Transport.Stream())
	}
	if do.has(doStopRepeat) {
		tx.repeat.Stop()
	}
	if do.has(doArmRepeat) {
		tx.armRepeat(before != tx.state)
	}
	if do.has(doArmExpire) {
		tx.start(&tx.expire, tx.expiry(), timerExpire)
	}
	switch {
	case do.has(doSendTrying), do.has(doSend) && tx.last == nil:
		tx.sendTrying()
	case do.has(doSend):
		tx.transmit(e)
	}
	if before != tx.state {
		tx.entered()
	}
	if do.has(doTimeout) && tx.noAck != nil {
		tx.w.metrics.timeouts.Add(1)
		tx.noAck()
	}
	return do
}

// entered lets go of what the new state does not need.
func (tx *ServerTx) entered() {
	switch tx.state {
	case stateCompleted:
		tx.head, tx.stamp, tx.user = nil, nil, nil
	case stateAccepted, stateAcked:
		tx.head, tx.stamp = nil, nil
	case stateConfirmed:
		tx.last = nil
	case stateTerminated:
		tx.destroy()
	default: // not answered yet
	}
}

// destroy removes the transaction from its worker.
func (tx *ServerTx) destroy() {
	tx.state = stateTerminated
	tx.repeat.Stop()
	tx.expire.Stop()
	tx.head, tx.stamp, tx.last, tx.user = nil, nil, nil, nil
	if tx.w.servers[tx.key] == tx {
		delete(tx.w.servers, tx.key)
	}
}

// armRepeat starts the timer of the next repetition: T1, doubled up to T2 (timer G, and §13.3.1.4).
func (tx *ServerTx) armRepeat(first bool) {
	t := &tx.w.timers
	if first {
		tx.interval = t.T1
	} else {
		tx.interval = min(2*tx.interval, t.T2)
	}
	tx.start(&tx.repeat, tx.interval, timerRepeat)
}

func (tx *ServerTx) expiry() time.Duration {
	if tx.state == stateConfirmed {
		return tx.w.timers.T4 // I
	}
	return tx.w.timers.life() // H, J, L
}

func (tx *ServerTx) start(t *Timer, d time.Duration, id int) {
	tx.w.Start(t, d, (*serverTimers)(tx), id)
}

func (tx *ServerTx) sendTrying() {
	if tx.status != 0 || tx.head == nil {
		return
	}
	tx.status = 100
	msg := tx.AppendResponse(nil, 100, "", "")
	if len(tx.stamp) > 0 {
		msg = append(append(msg, tx.stamp...), "\r\n"...)
	}
	tx.last = append(msg, noBody...)
	tx.w.SendRaw(tx.back, tx.last)
}

func (tx *ServerTx) transmit(e event) {
	if e == evRepeat || e == evRequest {
		tx.w.metrics.repeats.Add(1)
		if tx.status >= 200 {
			tx.w.metrics.finals.Add(1)
		}
	}
	tx.w.SendRaw(tx.back, tx.last)
}

// eventOf is what a response is to a machine.
func eventOf(status int) event {
	switch {
	case status == 100:
		return evTrying
	case status < 200:
		return evProvisional
	case status < 300:
		return evSuccess
	}
	return evFailure
}
