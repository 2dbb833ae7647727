package phone

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/mss-federation/mss/cmd/internal/rig/sipmsg"
	"github.com/mss-federation/mss/cmd/internal/rig/voice"
)

// ErrNotUp is what a call that is not answered, or over, says to what needs it up.
var ErrNotUp = errors.New("call is not up")

// receive takes a request inside the dialog.
func (c *Call) receive(tx *serverTx) {
	req := tx.req
	seq, _ := req.CSeq()
	if seq <= c.dialog.remoteSeq {
		c.p.journal.violation(RuleCSeq, "%s with CSeq %d after %d", req.Line(), seq, c.dialog.remoteSeq)
		tx.respond(tx.response(500, "Server Internal Error", ""))
		return
	}
	c.dialog.remoteSeq = seq
	if req.URI != c.p.contact {
		c.p.journal.violation(RuleTarget, "%s, our Contact is %s", req.Line(), c.p.contact)
	}
	switch {
	case req.Method == "BYE":
		c.receiveBYE(tx)
	case c.over:
		tx.respond(tx.response(481, "Call/Transaction Does Not Exist", ""))
	case req.Method == "INVITE":
		c.receiveReINVITE(tx)
	case req.Method == "OPTIONS":
		res := tx.response(200, "OK", "")
		res.Add("Allow", allow)
		tx.respond(res)
	case req.Method == "INFO":
		c.mu.Lock()
		c.mu.infos = append(c.mu.infos, string(req.Body))
		c.mu.Unlock()
		tx.respond(tx.response(200, "OK", ""))
	default:
		res := tx.response(405, "Method Not Allowed", "")
		res.Add("Allow", allow)
		tx.respond(res)
	}
}

func (c *Call) receiveBYE(tx *serverTx) {
	if c.over && !c.byeSent {
		c.p.journal.violation(RuleAfterEnd, "BYE for a call that is over")
		tx.respond(tx.response(481, "Call/Transaction Does Not Exist", ""))
		return
	}
	tx.respond(tx.response(200, "OK", ""))
	if c.pending() {
		c.server.respond(c.server.response(487, "Request Terminated", c.dialog.localTag))
	}
	c.finish(200, "the far side hung up", true)
}

// receiveReINVITE answers a new offer, or makes one when there is none (RFC 3261 §14.2).
func (c *Call) receiveReINVITE(tx *serverTx) {
	if c.invite != nil && c.invite.final == nil || c.server != nil && c.server.status < 200 {
		tx.respond(tx.response(491, "Request Pending", ""))
		return
	}
	c.server = tx
	c.setTarget(tx.req)
	if len(tx.req.Body) == 0 {
		c.waitsSDP = true
		c.accept(c.offer())
		return
	}
	c.answerBody = ""
	body := c.answerTo(tx.req)
	if body == nil {
		tx.respond(tx.response(488, "Not Acceptable Here", ""))
		return
	}
	c.accept(body)
}

// Hangup ends the call: BYE when it is up, CANCEL or a refusal before. It returns when the far side agreed.
func (c *Call) Hangup(ctx context.Context) error {
	return c.wait(ctx, func(result chan<- error) {
		switch {
		case c.over:
			result <- nil
		case c.up:
			c.bye(func(err error) { result <- err })
		case c.outgoing:
			c.cancelling = true
			if c.invite.provisional {
				c.cancelIfAsked()
			}
			result <- nil
		default:
			c.refuse(603, "Decline")
			result <- nil
		}
	})
}

// bye sends BYE once; the call is over with its answer.
func (c *Call) bye(done func(error)) {
	if c.byeSent {
		done(nil)
		return
	}
	c.byeSent = true
	c.p.authenticated(c.newRequest("BYE"), c.hop(), c.nextSeq, func(*clientTx) {}, func(res *sipmsg.Message) {
		if res != nil && res.Status < 200 {
			return
		}
		c.finish(0, "hung up", false)
		done(statusError("BYE", res))
	})
}

// statusError is nil for a 2xx.
func statusError(op string, res *sipmsg.Message) error {
	if res != nil && res.Status < 300 {
		return nil
	}
	return &StatusError{Op: op, Response: res}
}

// Hold asks the far side to send nothing, in the phone's way of holding, and returns when it agreed.
func (c *Call) Hold(ctx context.Context) error {
	return c.reinvite(ctx, func() { c.own = direction(c.p.opt.Hold) })
}

// Resume ends Hold.
func (c *Call) Resume(ctx context.Context) error {
	return c.reinvite(ctx, func() { c.own = sendRecv })
}

// Reinvite offers one codec alone, and keeps to it.
func (c *Call) Reinvite(ctx context.Context, codec voice.Codec) error {
	return c.reinvite(ctx, func() { c.codecs = []voice.Codec{codec} })
}

// Refresh sends a re-INVITE whose SDP did not change.
func (c *Call) Refresh(ctx context.Context) error {
	return c.reinvite(ctx, func() {})
}

func (c *Call) reinvite(ctx context.Context, change func()) error {
	return c.wait(ctx, func(result chan<- error) {
		if !c.up || c.over {
			result <- ErrNotUp
			return
		}
		change()
		req := c.newRequest("INVITE")
		req.Add("Contact", "<"+c.p.contact+">")
		req.Add("Allow", allow)
		c.setBody(req, c.offer())
		c.sendINVITE(req, c.hop(), func(res *sipmsg.Message) { c.reinvited(res, result) })
	})
}

func (c *Call) reinvited(res *sipmsg.Message, result chan<- error) {
	if res != nil && res.Status < 200 {
		return
	}
	if err := statusError("re-INVITE", res); err != nil {
		result <- err
		return
	}
	c.setTarget(res)
	if len(res.Body) == 0 {
		c.p.journal.violation(RuleAnswer, "%s without SDP", res.Line())
	} else {
		c.takeAnswer(res)
	}
	c.acknowledge(c.invite, nil)
	result <- nil
}

// SendInfo sends a digit by INFO (application/dtmf-relay).
func (c *Call) SendInfo(ctx context.Context, digit rune) error {
	return c.simple(ctx, "INFO", "application/dtmf-relay", fmt.Sprintf("Signal=%c\r\nDuration=100\r\n", digit))
}

// SendOptions sends OPTIONS inside the dialog.
func (c *Call) SendOptions(ctx context.Context) error {
	return c.simple(ctx, "OPTIONS", "", "")
}

func (c *Call) simple(ctx context.Context, method, contentType, body string) error {
	return c.wait(ctx, func(result chan<- error) {
		if !c.up || c.over {
			result <- ErrNotUp
			return
		}
		req := c.newRequest(method)
		if body != "" {
			req.Add("Content-Type", contentType)
			req.Body = []byte(body)
		}
		c.p.authenticated(req, c.hop(), c.nextSeq, func(*clientTx) {}, func(res *sipmsg.Message) {
			if res == nil || res.Status >= 200 {
				result <- statusError(method, res)
			}
		})
	})
}

// waitEnd waits for the end of the call.
func (c *Call) waitEnd(ctx context.Context) error {
	select {
	case <-c.ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("call %s of %s does not end: %w", c.id, c.p.opt.Name, ctx.Err())
	}
}

// WaitEnded waits for the end of the call.
func (c *Call) WaitEnded(ctx context.Context) error { return c.waitEnd(ctx) }

// WaitRinging waits for ringing; an end before is an error that names the status.
func (c *Call) WaitRinging(ctx context.Context) error { return c.waitFor(ctx, c.ringing, "ring") }

// WaitAnswered waits for the answer; an end before is an error that names the status.
func (c *Call) WaitAnswered(ctx context.Context) error {
	return c.waitFor(ctx, c.answered, "be answered")
}

func (c *Call) waitFor(ctx context.Context, event <-chan struct{}, what string) error {
	select {
	case <-event:
		return nil
	case <-c.ended:
	case <-ctx.Done():
		return fmt.Errorf("call of %s did not %s: %w", c.p.opt.Name, what, ctx.Err())
	}
	select {
	case <-event:
		return nil
	default:
	}
	status, reason := c.Status()
	return fmt.Errorf("call of %s did not %s: %d %s", c.p.opt.Name, what, status, strings.TrimSpace(reason))
}
