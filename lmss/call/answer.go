package call

import (
	"slices"

	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/sipheader"
	"github.com/mss-federation/mss/pkg/siptx"
)

// completedElsewhere is the Reason (RFC 3326 §3.1) that lets the other phones show no missed call.
const completedElsewhere = `SIP;cause=200;text="Call completed elsewhere"`

// answered takes a 2xx of a callee to its first INVITE.
func (l *Leg) answered(res *siptx.Response) {
	c := l.call
	tag := string(res.Head.ToTag.Of(res.Raw))
	if l == c.winner && tag == l.remoteTag {
		l.answeredAgain(res.Head.CSeq)
		return
	}
	if c.phase != Setup || l == c.winner || l.state == legCancelled {
		// A CANCEL may cross a 200 (RFC 3261 §9.1), and a fork downstream may bring a second one
		// (§13.2.2.4): the answer that nobody wants is ACKed and ended.
		l.dismiss(res)
		return
	}
	l.outOver = true
	l.adoptResponse(res)
	l.state = legConfirmed
	c.winner, c.phase = l, Answering
	c.stop(timerNoAnswer)
	c.stop(timerNextGroup)
	c.stop(timerRepeat)
	l.inviteSent = nil
	l.searchEnds()
	for other := range c.ringing {
		other.cancel(completedElsewhere)
	}
	if !c.voiceAnswered(res) {
		return
	}
	c.cdr.AnswerAt = c.env.Now()
	c.cdr.Callee = string(l.user)
	c.cdr.Destination = peer(l.flow)
	c.cdr.Status = 200
	// The caller's 200 is part of the record: after a crash it can be sent again, byte for byte.
	c.a.answeredAt = c.env.Now()
	c.a.inviteWire = c.a.response(c.a.invite, 200, "OK", nil, c.a.media.local)
	c.timers[timerPersist] = c.env.After(c.cfg.PersistWait, c.persistLate)
	c.save(true)
}

// answeredAgain takes a retransmission of a 2xx to an INVITE of ours: the ACK was lost, or has not been sent
// yet because the store has the call or the answer is to come. Another INVITE may have gone out since: its
// CSeq is not that of this ACK.
func (l *Leg) answeredAgain(seq uint32) {
	switch {
	case seq != l.outSeq:
		first := *l
		first.outSeq, first.ackBody = seq, nil
		first.sendAck()
	case l.acked:
		l.sendAck()
	}
}

// voiceAnswered reads the callee's SDP: the answer to the caller's offer, or the offer itself.
func (c *Call) voiceAnswered(res *siptx.Response) bool {
	l := c.winner
	answer, err := parseSDP(contentType(res.Head.ContentType.Of(res.Raw)), res.Body())
	if err == nil && answer == nil {
		// An answer that came before the 200 stands, if unreliably (RFC 6337 §3.1.1); else there is none.
		if answer = l.media.answer; answer == nil {
			err = errNoSDP
		}
	}
	if err != nil {
		l.sendAck()
		c.fail(488, "Not Acceptable Here", federation.Failed, "callee answered without usable SDP")
		return false
	}
	if l.voiceless() {
		l.sendAck()
		c.refuseVoiceless()
		return false
	}
	if !l.reaches(answer) {
		l.sendAck()
		c.refuseFamily()
		return false
	}
	l.media.answer = nil
	l.described(answer)
	l.aim()
	c.join(c.a, l)
	switch {
	case c.a.media.local == nil:
		c.a.relayed(answer)
	case c.misfit(answer):
		c.realigning = answer
	}
	c.offer, c.passOn, c.display, c.lastFields = nil, nil, "", nil // not needed any more: a call that is up stays small
	return true
}

// persistLate lets a 200 go after PersistWait although the store has not confirmed: people do not wait
// for a disk. The call says of itself that it is unprotected.
func (c *Call) persistLate() {
	if c.phase == Answering {
		c.cdr.Unprotected = true
		c.connect()
	}
}

// persisted tells that the record is safe, or that it is not.
func (c *Call) persisted(err error) {
	if err != nil {
		c.cdr.Unprotected = true
	}
	if c.phase == Answering {
		c.connect()
	}
}

// connect answers the caller and ACKs the callee.
func (c *Call) connect() {
	c.stop(timerPersist)
	c.phase = Up
	if !c.a.offerless {
		c.winner.sendAck()
	}
	c.a.accept()
}

// accept sends the 2xx in inviteWire to the INVITE of the leg's peer and waits for the ACK.
func (l *Leg) accept() {
	l.state = legConfirmed
	l.awaitACK, l.heard = true, false
	l.invite.OnNoAck(l.noAck)
	l.invite.Send(200, l.inviteWire)
	l.answerCopies(200, "OK", nil, l.media.local)
}

// noAck ends a call whose 2xx was never acknowledged (RFC 3261 §13.3.1.4).
func (l *Leg) noAck() {
	if !l.awaitACK {
		return
	}
	l.confirmAck()
	switch {
	case l.farewell != farewellNone:
		l.sayFarewell()
	case !l.heard:
		l.call.hangUp(federation.Termination{Class: federation.Lost, Reason: "no ACK", By: federation.BySystem})
	}
}

// sendAck acknowledges the last 2xx of the peer. With an offer in that 2xx the ACK carries the answer.
func (l *Leg) sendAck() {
	l.acked = true
	if l.name != nil {
		l.onWay(l.writeAck)
		return
	}
	if l.node != "" {
		l.moveHub()
		l.hubs().ack = lastAck{node: l.node, at: l.call.env.Now()}
	}
	l.writeAck()
}

func (l *Leg) writeAck() {
	msg := l.appendRequest(make([]byte, 0, 800), "ACK", l.outSeq, l.call.env.NewBranch(), maxForwards)
	msg = sipheader.Body(msg, "application/sdp", l.ackBody)
	l.call.env.SendRaw(l.flow, msg)
}

// dismiss ACKs a 2xx that nobody wants and ends its dialog, without touching the leg's own. A repetition
// of it is only ACKed.
func (l *Leg) dismiss(res *siptx.Response) {
	ghost := &Leg{call: l.call, node: l.node, dialog: l.dialog, state: legConfirmed, outSeq: res.Head.CSeq}
	ghost.adoptResponse(res)
	ghost.localSeq = res.Head.CSeq
	ghost.sendAck()
	if !slices.Contains(l.dismissed, ghost.remoteTag) {
		l.dismissed = append(l.dismissed, ghost.remoteTag)
		reason := ""
		if w := l.call.winner; w != nil && w != l {
			reason = completedElsewhere
		}
		ghost.sendBye(reason)
	}
	if l.state == legCancelled {
		l.outOver = true
		l.gone()
	}
}

// onAck takes the ACK to our 2xx.
func (l *Leg) onAck(req *siptx.Request) {
	if req.Head.CSeq != l.inviteSeq {
		return
	}
	if !l.awaitACK {
		l.ackCopies()
		return
	}
	l.confirmAck()
	if l.farewell != farewellNone {
		l.sayFarewell()
		return
	}
	far := l.call.other(l)
	if far == nil || !l.offerless {
		l.call.realign()
		return
	}
	// The ACK answers the offer of our 2xx, which was the far side's: its own ACK has waited for this.
	l.offerless = false
	answer, err := parseSDP(contentType(req.Head.ContentType.Of(req.Raw)), req.Body())
	if err != nil || answer == nil {
		l.call.hangUp(federation.Termination{Class: federation.Failed, Reason: "no SDP answer in ACK", By: federation.BySystem})
		return
	}
	if !l.reaches(answer) {
		l.call.hangUp(federation.Termination{Class: federation.Failed, Reason: noFamily, By: federation.BySystem})
		return
	}
	l.described(answer)
	l.aim()
	far.ackBody = far.relayed(answer)
	far.sendAck()
	l.call.join(l, far)
	l.call.save(false)
}

// confirmAck ends the wait for an ACK.
func (l *Leg) confirmAck() {
	l.awaitACK, l.met = false, true
	l.inviteWire = nil
	l.ackCopies()
	if l.invite != nil {
		l.invite.Acked()
		l.invite, l.asking = nil, nil
	}
	if l.resending != nil {
		l.resending.Stop()
		l.resending = nil
	}
}
