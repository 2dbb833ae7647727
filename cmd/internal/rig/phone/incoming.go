package phone

import (
	"context"
	"slices"

	"github.com/mss-federation/mss/cmd/internal/rig/sipmsg"
)

// receiveINVITE begins a call to this phone, or hands a re-INVITE to its call.
func (p *Phone) receiveINVITE(tx *serverTx) {
	c := p.calls[tx.req.Get("call-id")]
	_, inside := sipmsg.Param(tx.req.Get("to"), "tag")
	switch {
	case inside && c != nil && c.inDialog(tx.req):
		c.receive(tx)
	case inside:
		p.journal.violation(RuleUnknown, "re-INVITE in no dialog of ours (Call-ID %s)", tx.req.Get("call-id"))
		tx.respond(tx.response(481, "Call/Transaction Does Not Exist", ""))
	case c != nil:
		p.journal.violation(RuleUnknown, "a second INVITE with Call-ID %s", c.id)
		tx.respond(tx.response(482, "Loop Detected", newTag()))
	default:
		p.begin(tx)
	}
}

func (p *Phone) begin(tx *serverTx) {
	req := tx.req
	c, err := p.newCall(req.Get("call-id"), false)
	if err != nil {
		p.journal.violation(RuleNetwork, "%v", err)
		tx.respond(tx.response(500, "Server Internal Error", newTag()))
		return
	}
	c.server = tx
	c.dialog.remoteTag, _ = sipmsg.Param(req.Get("from"), "tag")
	c.dialog.local, c.dialog.remote = "<"+sipmsg.URI(req.Get("to"))+">", "<"+sipmsg.URI(req.Get("from"))+">"
	c.dialog.remoteSeq, _ = req.CSeq()
	c.dialog.routes = req.All("record-route")
	c.setTarget(req)
	if req.URI != p.contact && p.registration.active {
		p.journal.violation(RuleTarget, "INVITE to %s, our Contact is %s", req.URI, p.contact)
	}
	tx.respond(tx.response(100, "Trying", ""))
	if !p.opt.AutoAnswer {
		select {
		case p.incoming <- c:
		default:
			c.refuse(486, "Busy Here")
		}
		return
	}
	c.ring(180, "Ringing", nil)
	if p.opt.AnswerAfter <= 0 {
		c.answer()
		return
	}
	p.after(p.opt.AnswerAfter, c.answer)
}

// Ring sends 180.
func (c *Call) Ring() error {
	return c.p.do(func() { c.ring(180, "Ringing", nil) })
}

// Progress sends 183 with the SDP answer and begins to send early media.
func (c *Call) Progress() error {
	return c.p.do(func() { c.ring(183, "Session Progress", c.answerTo(c.server.req)) })
}

// Answer sends 200.
func (c *Call) Answer() error {
	return c.p.do(c.answer)
}

// Reject sends a final refusal, such as 486.
func (c *Call) Reject(status int, reason string) error {
	return c.p.do(func() { c.refuse(status, reason) })
}

func (c *Call) pending() bool { return !c.over && !c.up && c.server != nil && c.server.status < 200 }

func (c *Call) ring(status int, reason string, body []byte) {
	if !c.pending() {
		return
	}
	res := c.server.response(status, reason, c.dialog.localTag)
	res.Add("Contact", "<"+c.p.contact+">")
	if body != nil {
		c.setBody(res, body)
	}
	c.server.respond(res)
	c.rang()
}

func (c *Call) refuse(status int, reason string) {
	if !c.pending() {
		return
	}
	c.server.respond(c.server.response(status, reason, c.dialog.localTag))
	c.finish(status, reason, false)
}

// answer sends the 200: with the answer to an offer (the one of an earlier 183 again), or with our offer.
func (c *Call) answer() {
	if !c.pending() {
		return
	}
	var body []byte
	switch {
	case len(c.server.req.Body) == 0:
		c.waitsSDP, body = true, c.offer()
	case c.answerBody != "":
		body = []byte(c.answerBody)
	default:
		if body = c.answerTo(c.server.req); body == nil {
			c.refuse(488, "Not Acceptable Here")
			return
		}
	}
	c.accept(body)
	c.establish()
}

// accept sends a 200 to the INVITE that is open.
func (c *Call) accept(body []byte) {
	res := c.server.response(200, "OK", c.dialog.localTag)
	res.Add("Contact", "<"+c.p.contact+">")
	res.Add("Allow", allow)
	c.setBody(res, body)
	c.server.respond(res)
}

// receiveCANCEL ends a call that rings (RFC 3261 §9.2).
func (p *Phone) receiveCANCEL(tx *serverTx) {
	via := tx.req.All("via")[0]
	branch, _ := sipmsg.ViaParam(via, "branch")
	invite := p.servers[branch+" "+sipmsg.SentBy(via)+" INVITE"]
	if invite == nil {
		p.journal.violation(RuleUnknown, "CANCEL for no INVITE that came (branch %s)", branch)
		tx.respond(tx.response(481, "Call/Transaction Does Not Exist", newTag()))
		return
	}
	c := p.calls[invite.req.Get("call-id")]
	tag := newTag()
	if c != nil {
		tag = c.dialog.localTag
	}
	tx.respond(tx.response(200, "OK", tag))
	if c != nil && c.server == invite && c.pending() {
		invite.respond(invite.response(487, "Request Terminated", tag))
		c.finish(487, "cancelled", true)
	}
}

// receiveACK ends the repetition of the final response that it acknowledges.
func (p *Phone) receiveACK(ack *sipmsg.Message, tx *serverTx) {
	if tx != nil && tx.status >= 300 {
		tx.acked = true
		return
	}
	c := p.calls[ack.Get("call-id")]
	if c == nil || c.server == nil || !c.inDialog(ack) {
		p.journal.violation(RuleUnknown, "ACK for no INVITE that came (Call-ID %s)", ack.Get("call-id"))
		return
	}
	seq, _ := ack.CSeq()
	if want, _ := c.server.req.CSeq(); seq != want {
		if seq > want {
			p.journal.violation(RuleCSeq, "ACK with CSeq %d, the INVITE has %d", seq, want)
		}
		return
	}
	if ack.URI != p.contact {
		p.journal.violation(RuleTarget, "ACK to %s, our Contact is %s", ack.URI, p.contact)
	}
	first := !c.server.acked
	c.server.acked = true
	if !first || c.over {
		return
	}
	switch {
	case c.waitsSDP && len(ack.Body) == 0:
		p.journal.violation(RuleAnswer, "ACK without the answer to our offer")
	case c.waitsSDP:
		c.waitsSDP, c.answerBody = false, ""
		c.takeAnswer(ack)
	case len(ack.Body) > 0:
		p.journal.violation(RuleAnswer, "ACK with SDP that nobody asked for")
	}
}

// Calls are the phone's calls that are not over.
func (p *Phone) Calls() []*Call {
	var out []*Call
	if err := p.do(func() {
		for _, c := range p.calls {
			if !c.over {
				out = append(out, c)
			}
		}
	}); err != nil {
		return nil
	}
	slices.SortFunc(out, func(a, b *Call) int { return a.Times().Started.Compare(b.Times().Started) })
	return out
}

// WaitIncoming gives the next call.
func (p *Phone) WaitIncoming(ctx context.Context) (*Call, error) {
	select {
	case c := <-p.incoming:
		return c, nil
	case <-ctx.Done():
		return nil, &StatusError{Op: p.opt.Name + " waits for a call"}
	}
}
