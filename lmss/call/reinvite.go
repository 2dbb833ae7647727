package call

import (
	"errors"

	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/sdpedit"
	"github.com/mss-federation/mss/pkg/sipheader"
	"github.com/mss-federation/mss/pkg/siptx"
)

// held says whether the leg's peer has put the call on hold.
func held(l *Leg) bool { return l.media.known && l.media.held }

// onReinvite passes a re-INVITE of the peer to the other leg. One re-INVITE is under way in a call at a
// time: who comes second gets 491 and tries again (RFC 3261 §14.1), also when the two come from the two ends.
func (l *Leg) onReinvite(tx *siptx.ServerTx, req *siptx.Request) {
	c := l.call
	far := c.other(l)
	switch {
	case c.phase == Over || far == nil:
		l.respond(tx, 481, "Call/Transaction Does Not Exist", nil, nil)
		return
	case l.invite != nil && !l.awaitACK:
		l.respond(tx, 500, "Server Internal Error", []field{{"Retry-After", "1"}}, nil) // §14.2: one at a time
		return
	case c.phase != Up || l.awaitACK || l.out != nil && !l.outOver || far.invite != nil || far.out != nil && !far.outOver || far.state != legConfirmed:
		l.respond(tx, 491, "Request Pending", nil, nil)
		return
	}
	offer, err := offerOf(req)
	switch {
	case errors.Is(err, sdpedit.ErrNoSDP):
		l.respond(tx, 415, "Unsupported Media Type", acceptSDP, nil)
		return
	case err != nil:
		l.respond(tx, 488, "Not Acceptable Here", nil, nil)
		return
	}
	if !l.reaches(offer) {
		l.respond(tx, 488, "Not Acceptable Here", c.familyWarning(), nil)
		return
	}
	l.refreshTarget(contactURI(req.Raw, req.Head))
	l.invite, l.inviteSeq, l.offerless = tx, req.Head.CSeq, offer == nil
	tx.SetUser(l)
	before := l.media.wish
	l.hearVoice(req.Raw, req.Head)
	l.described(offer)
	fields := passed(req.Raw, req.Head, passRequest)
	r := &reinvite{from: l, to: far, before: before}
	l.asking = r
	// What other leg shows is written now: the offer may not outlive this message.
	var sdp []byte
	if offer != nil {
		sdp = far.relayed(offer)
	}
	far.outOver = false
	far.request("INVITE", func(seq uint32, branch siptx.Branch) []byte {
		far.outSeq, far.acked = seq, false
		msg := far.appendRequest(make([]byte, 0, 1400), "INVITE", seq, branch, maxForwards)
		msg = appendFields(msg, fields)
		return sipheader.Body(msg, "application/sdp", sdp)
	}, r)
}

// reinvite is a re-INVITE on its way through the call.
type reinvite struct {
	from, to  *Leg
	answered  bool // with a 2xx
	cancelled bool // by the asker
	before    wish // what the asker had described until then, restored on refusal
}

// sent keeps the transaction for a CANCEL.
func (r *reinvite) sent(tx *siptx.ClientTx) {
	r.to.out = tx
	if r.cancelled {
		tx.Cancel(nil)
	}
}

// OnResponse takes what the other end says to it.
func (r *reinvite) OnResponse(_ *siptx.ClientTx, res *siptx.Response) {
	c := r.from.call
	switch status := res.Head.Status; {
	case status < 200:
	case status < 300:
		if r.answered {
			r.to.answeredAgain(res.Head.CSeq)
			return
		}
		r.answered = true
		r.to.outOver, r.to.out = true, nil
		r.accepted(res)
	default:
		r.over()
		r.refused(status, siptx.Reason(status), passed(res.Raw, res.Head, passResponse))
		if status == 408 || status == 481 {
			// RFC 5057: these end the dialog, not only the request.
			c.hangUp(federation.Termination{Class: federation.Lost, Reason: sipReason(status, "to re-INVITE"), By: federation.BySystem})
		}
	}
}

// OnTimeout: the other phone does not answer inside the call any more.
func (r *reinvite) OnTimeout(*siptx.ClientTx) { r.lost("no answer to re-INVITE") }

// OnSendError: there is no way to the other phone.
func (r *reinvite) OnSendError(*siptx.ClientTx, error) { r.lost("phone not reachable for re-INVITE") }

func (r *reinvite) lost(why string) {
	r.over()
	r.refused(408, "Request Timeout", nil)
	r.from.call.hangUp(federation.Termination{Class: federation.Lost, Reason: why, By: federation.BySystem})
}

// over marks our INVITE as ended by a failure, whose ACK was the transaction's.
func (r *reinvite) over() { r.to.outOver, r.to.out, r.to.acked = true, nil, true }

// accepted passes the 2xx on: with the answer, or with the offer of the other end when the asker sent none.
func (r *reinvite) accepted(res *siptx.Response) {
	c, from, to := r.from.call, r.from, r.to
	to.refreshTarget(contactURI(res.Raw, res.Head))
	sdp, err := parseSDP(contentType(res.Head.ContentType.Of(res.Raw)), res.Body())
	if c.phase != Up || from.invite == nil || err != nil || sdp == nil || !to.reaches(sdp) {
		to.ackBody = nil
		to.sendAck()
		if c.phase == Up && from.invite != nil {
			r.refused(488, "Not Acceptable Here", nil)
		}
		return
	}
	to.hearVoice(res.Raw, res.Head)
	to.described(sdp)
	to.ackBody = nil
	if !from.offerless {
		to.sendAck()
		from.aim()
	}
	to.aim()
	c.join(from, to)
	from.answeredAt = c.env.Now()
	from.inviteWire = from.response(from.invite, 200, "OK", nil, from.relayed(sdp))
	from.accept()
	c.save(false)
}

// beyond is what a failure inside a call means to the other end: what speaks of the hop between us and the
// phone stays there. A challenge is ours to answer, a new address is not the asker's to call.
func beyond(status int, reason string) (int, string) {
	switch {
	case status < 400:
		return 488, "Not Acceptable Here"
	case status == 401, status == 407:
		return 403, "Forbidden"
	case status == 503:
		return 500, "Server Internal Error"
	}
	return status, reason
}

// refused tells the asker; the voice stays as it was.
func (r *reinvite) refused(status int, reason string, fields []field) {
	from := r.from
	if from.invite == nil {
		return
	}
	from.media.wish = r.before
	status, reason = beyond(status, reason)
	from.respond(from.invite, status, reason, fields, nil)
	from.invite, from.asking, from.inviteSeq = nil, nil, 0 // a copy of it is asked again
}

// cancelReinvite takes a CANCEL of a re-INVITE of the leg's peer. The other end decides what comes of it: its
// 200 may have crossed the CANCEL, and a 487 here would leave the two of different minds about their voice.
func (l *Leg) cancelReinvite() {
	if r := l.asking; r != nil && l.invite != nil && !l.awaitACK {
		r.cancelled = true
		if out := r.to.out; out != nil {
			out.Cancel(nil)
		}
	}
}
