package siptx

import (
	"bytes"
	"time"

	"github.com/emiago/sipgo/sip"

	"github.com/mss-federation/mss/pkg/sipgate"
	"github.com/mss-federation/mss/pkg/siptransport"
)

// message handles one message: gate, parser, transaction, user. It says whether the message was passed on to
// another worker, which then owns it.
func (w *Worker) message(e entry) (passed bool) {
	defer w.contain()
	in := e.in
	msg := sipgate.Normalise(in.Data)
	in.Data = msg // what is passed on must fit the positions found here
	w.scanned = msg
	refusal := sipgate.Scan(msg, &w.head)
	w.metrics.received.Add(1)
	switch {
	case refusal != nil:
		w.tapIn(in.Flow, msg)
		w.refuse(in.Flow, msg, refusal)
	case w.head.Request:
		return w.request(e, msg)
	default:
		return w.response(e, msg)
	}
	return false
}

func (w *Worker) tapIn(flow siptransport.Flow, msg []byte) {
	if tap := w.stack.options.Tap; tap != nil {
		tap(w.index, false, flow, msg)
	}
}

// refuse answers what the gate refused, once and without state, if it may be answered.
func (w *Worker) refuse(flow siptransport.Flow, msg []byte, r *sipgate.Refusal) {
	w.complain(flow, r)
	if !r.Usable {
		w.metrics.unusable.Add(1)
		return
	}
	w.metrics.refused.Add(1)
	w.answer(flow, msg, r.Status, r.Reason)
}

// complaintPace is how often a worker tells of malformed messages: anybody can send as many as he likes.
const complaintPace = 10 * time.Second

// complain tells an operator of a malformed message, never with its bytes: who sent it is not known.
func (w *Worker) complain(flow siptransport.Flow, r *sipgate.Refusal) {
	w.complaints++
	if !w.complained.IsZero() && w.now.Sub(w.complained) < complaintPace {
		return
	}
	w.log.Warn("malformed message refused", "source", flow.Remote.String(), "why", r.Reason, "answered", r.Usable, "since_last", w.complaints,
		"next", "look at it with mssctl call trace and its Call-ID, and mend or block what sends it")
	w.complained, w.complaints = w.now, 0
}

// answer sends a response of our own that no transaction remembers.
func (w *Worker) answer(flow siptransport.Flow, msg []byte, status int, reason string) {
	w.out = w.stack.appendStateless(w.out[:0], msg, &w.head, flow, status, reason)
	w.out = append(w.out, noBody...)
	w.SendRaw(replyFlow(msg, &w.head, flow), w.out)
}

// request finds out what a request is to its transaction. A repetition is answered without being parsed.
func (w *Worker) request(e entry, msg []byte) (passed bool) {
	in, h := e.in, &w.head
	method := h.Method
	if method == "ACK" {
		method = "INVITE"
	}
	w.key = appendKey(w.key[:0], msg, h, in.Flow, method)
	if tx := w.servers[string(w.key)]; tx != nil {
		w.tapIn(in.Flow, msg)
		w.again(tx, in.Flow, msg)
		return false
	}
	if h.Method == "CANCEL" {
		return w.cancel(e, msg)
	}
	if w.pass(e) {
		return true
	}
	w.tapIn(in.Flow, msg)
	if h.Method == "ACK" {
		w.ack(in.Flow, msg)
		return false
	}
	if len(w.servers) >= w.room(h.ToTag.Present()) {
		w.metrics.tableFull.Add(1)
		w.out = w.stack.appendBusy(w.out[:0], msg, h, in.Flow)
		w.SendRaw(replyFlow(msg, h, in.Flow), w.out)
		return false
	}
	w.newRequest(in.Flow, msg)
	return false
}

// room is how many transactions may stand before one more.
func (w *Worker) room(inDialog bool) int {
	all := w.stack.options.Transactions
	if inDialog {
		return all
	}
	return all - all/4
}

// again is a request, or an ACK, that belongs to a server transaction.
func (w *Worker) again(tx *ServerTx, flow siptransport.Flow, msg []byte) {
	w.inWork.server = tx
	if w.head.Method != "ACK" {
		w.metrics.repeated.Add(1)
		tx.step(evRequest)
		return
	}
	if do := tx.step(evAck); do.has(doDeliver) {
		w.ack(flow, msg)
	}
}

func (w *Worker) ack(flow siptransport.Flow, msg []byte) {
	if req := w.parseRequest(flow, msg); req != nil {
		w.handler.Ack(req)
	}
}

func (w *Worker) newRequest(flow siptransport.Flow, msg []byte) {
	req := w.parseRequest(flow, msg)
	if req == nil {
		w.metrics.refused.Add(1)
		w.answer(flow, msg, 400, "")
		return
	}
	tx := w.newServerTx(flow, msg)
	w.inWork.server = tx
	w.handler.Request(tx, req)
}

// cancel answers a CANCEL and tells the user of the INVITE that it names (RFC 3261 §9.2). The 200 has the To
// tag that the INVITE's responses have.
func (w *Worker) cancel(e entry, msg []byte) (passed bool) {
	in := e.in
	w.key = appendKey(w.key[:0], msg, &w.head, in.Flow, "INVITE")
	invite := w.servers[string(w.key)]
	if invite == nil && w.pass(e) {
		return true
	}
	w.tapIn(in.Flow, msg)
	if invite == nil {
		w.answer(in.Flow, msg, 481, "")
		return false
	}
	w.key = appendKey(w.key[:0], msg, &w.head, in.Flow, "CANCEL")
	tx := w.newServerTx(in.Flow, msg)
	tx.toTag = invite.ToTag()
	tx.reply(200)
	if !invite.Pending() {
		return false
	}
	w.inWork.server, w.inWork.user = invite, invite.user
	if req := w.parseRequest(in.Flow, msg); req != nil {
		w.handler.Cancel(invite, req)
	}
	return false
}

// response finds the client transaction of a response by the branch of its top Via (RFC 3261 §17.1.3).
func (w *Worker) response(e entry, msg []byte) (passed bool) {
	in, h := e.in, &w.head
	branch, ok := ParseBranch(h.Branch.Of(msg))
	if !ok {
		w.tapIn(in.Flow, msg)
		w.metrics.stray.Add(1)
		return false
	}
	if to := branch.worker() % len(w.stack.workers); to != w.index && e.route&routeBranch == 0 {
		return w.hand(e, to, routeBranch)
	}
	tx := w.clients[branch.key(h.Method)]
	if tx == nil && w.pass(e) {
		return true
	}
	w.tapIn(in.Flow, msg)
	switch {
	case tx != nil && tx.method == h.Method:
		tx.receive(in.Flow, msg)
	case tx == nil && h.Method == "INVITE" && h.Status >= 200:
		w.stray(in.Flow, msg)
	default:
		w.metrics.stray.Add(1)
	}
	return false
}

func (w *Worker) stray(flow siptransport.Flow, msg []byte) {
	if res := w.parseResponse(flow, msg); res != nil {
		w.handler.Stray(res)
	}
}

// pass hands the message to the worker that adopted its Call-ID, if there is another.
func (w *Worker) pass(e entry) bool {
	to, ok := w.stack.adopted.find(w.head.CallID.Of(e.in.Data))
	if !ok || to == w.index || e.route&routeAdopted != 0 {
		return false
	}
	return w.hand(e, to, routeAdopted)
}

// hand gives the message to another worker. If that one is full it is lost, and the peer sends it again.
func (w *Worker) hand(e entry, to int, by route) bool {
	e.route |= by
	if !w.stack.workers[to].queue.offer(e, w.stack.options.Queue, ageless) {
		w.metrics.lost.Add(1)
		e.in.Release()
	}
	return true
}

// parseRequest parses what passed the gate; nil if the library cannot.
func (w *Worker) parseRequest(flow siptransport.Flow, msg []byte) *Request {
	raw := cut(msg, &w.head)
	if w.stack.options.Unparsed {
		w.req = Request{Head: &w.head, Raw: raw, Flow: flow}
		w.inWork.msg, w.inWork.callID = raw, ""
		return &w.req
	}
	parsed, err := w.parser.ParseSIP(raw)
	req, ok := parsed.(*sip.Request)
	if err != nil || !ok {
		w.log.Debug("request not readable", "flow", flow, "err", err)
		return nil
	}
	w.req = Request{Request: req, Head: &w.head, Raw: raw, Flow: flow}
	w.inWork.msg, w.inWork.callID = raw, callIDOf(req)
	return &w.req
}

// parseResponse is parseRequest for responses.
func (w *Worker) parseResponse(flow siptransport.Flow, msg []byte) *Response {
	raw := cut(msg, &w.head)
	if w.stack.options.Unparsed {
		w.res = Response{Head: &w.head, Raw: raw, Flow: flow}
		w.inWork.msg, w.inWork.callID = raw, ""
		return &w.res
	}
	parsed, err := w.parser.ParseSIP(raw)
	res, ok := parsed.(*sip.Response)
	if err != nil || !ok {
		w.log.Debug("response not readable", "flow", flow, "err", err)
		return nil
	}
	w.res = Response{Response: res, Head: &w.head, Raw: raw, Flow: flow}
	w.inWork.msg, w.inWork.callID = raw, callIDOf(res)
	return &w.res
}

func callIDOf(msg sip.Message) string {
	if id := msg.CallID(); id != nil {
		return string(*id)
	}
	return ""
}

// cut leaves off what follows the body: bytes behind Content-Length (RFC 3261 §18.3).
func cut(msg []byte, h *sipgate.Head) []byte {
	if h.Body.Present() {
		return msg[:h.Body.To]
	}
	if i := bytes.Index(msg, []byte("\r\n\r\n")); i >= 0 {
		return msg[:i+4]
	}
	return msg
}
