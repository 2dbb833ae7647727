package call

import (
	"errors"
	"time"

	"github.com/mss-federation/mss/lmss/cdr"
	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/sipheader"
	"github.com/mss-federation/mss/pkg/siptx"
)

var errNoSDP = errors.New("no SDP")

func (c *Call) stop(kind timerKind) {
	if t := c.timers[kind]; t != nil {
		t.Stop()
		c.timers[kind] = nil
	}
}

// fail ends a call that was not answered: callees stop ringing, the caller gets a final answer.
func (c *Call) fail(status int, reason string, class federation.TerminationClass, why string) {
	c.reject(status, reason, class, why)
}

// reject answers the caller's first INVITE with a failure and ends the call. An empty why means the
// status itself.
func (c *Call) reject(status int, reason string, class federation.TerminationClass, why string) {
	c.rejectWith(status, reason, class, why, c.reasonOf())
}

// rejectWith is reject with the headers that the answer has beside the usual ones.
func (c *Call) rejectWith(status int, reason string, class federation.TerminationClass, why string, fields []field) {
	if c.phase == Over {
		return
	}
	if c.phase == Up {
		c.hangUp(federation.Termination{Class: class, Reason: why, By: federation.BySystem})
		return
	}
	if why == "" {
		why = sipReason(status, reason)
	}
	c.cdr.Status = status
	by := federation.BySystem
	if class == federation.Busy || class == federation.Rejected && c.failure.status == status {
		by = federation.ByCallee
	}
	c.a.respond(c.a.invite, status, reason, fields, nil)
	c.a.invite = nil
	c.end(federation.Termination{Class: class, Reason: why, By: by}, "")
}

// cancelled takes the caller's CANCEL of its first INVITE. reason is its Reason header, passed on.
func (c *Call) cancelled(reason string) {
	if c.phase != Setup && c.phase != Answering {
		return // our 200 crossed the CANCEL: the caller hangs up with BYE (RFC 3261 §9.1)
	}
	c.cdr.Status = 487
	c.a.respond(c.a.invite, 487, "Request Terminated", nil, nil)
	c.a.invite = nil
	c.end(federation.Termination{Class: federation.Cancelled, Reason: "caller gave up", By: federation.ByCaller}, reason)
}

// hangUp ends an answered call from our side: BYE to both.
func (c *Call) hangUp(term federation.Termination) {
	if c.phase == Over {
		return
	}
	c.noteEnd(term)
	c.end(term, "")
}

// end closes every leg, the voice and the CDR. What the peers still answer finds its leg until then.
func (c *Call) end(term federation.Termination, reason string) {
	c.term = term
	answered := c.phase == Up
	c.phase = Over
	for kind := range timerKinds {
		c.stop(kind)
	}
	c.cdr.EndAt, c.cdr.Termination = c.env.Now(), term
	if !c.endedAt.IsZero() {
		c.cdr.EndAt = c.endedAt
	}
	if !answered {
		c.cdr.AnswerAt = zeroTime
	}
	for _, l := range c.b {
		l.close(reason)
	}
	c.a.close("")
	if c.reports == 0 {
		c.finish()
	} else {
		c.timers[timerReport] = c.env.After(reportWait, c.finish)
	}
	c.checkOver()
}

// reportWait bounds how long a CDR waits for what the relay counted.
const reportWait = 250 * time.Millisecond

// reported takes the last count of a leg's endpoint into the CDR.
func (l *Leg) reported(v cdr.Voice) {
	c := l.call
	c.reports--
	switch l {
	case c.a:
		c.cdr.CallerVoice = v
	case c.winner:
		c.cdr.CalleeVoice = v
	}
	if c.phase == Over && c.reports == 0 {
		c.finish()
	}
}

// finish hands the CDR to the store, once.
func (c *Call) finish() {
	c.stop(timerReport)
	if !c.finished {
		c.finished = true
		c.env.Finish(c, c.cdr)
	}
}

// close ends one leg in whatever state it is.
func (l *Leg) close(reason string) {
	if l.farewell == farewellMute || l.unmet() {
		l.stay(farewellBye)
		l.closeMedia()
		return
	}
	l.answerOpenInvite()
	switch {
	case l.state == legConfirmed:
		l.lastAck()
		l.sendBye("")
	case l.caller:
		l.gone()
	case l.inviteOpen():
		l.cancel(reason)
	}
	l.closeMedia()
}

// unmet says whether the caller may not know yet that it was answered. The callee's side must not send BYE
// before the ACK or the end of the wait for it (RFC 3261 §15), and a caller whose 2xx was lost, and is not
// repeated, hears of no final answer at all.
func (l *Leg) unmet() bool {
	return l.caller && l.state == legConfirmed && l.awaitACK && l.invite != nil && !l.met
}

// stay keeps the leg of an unmet caller until the ACK. A caller who has hung up needs no BYE.
func (l *Leg) stay(f farewell) {
	l.state, l.farewell = legEnding, max(l.farewell, f)
}

// sayFarewell does what has waited for the ACK.
func (l *Leg) sayFarewell() {
	f := l.farewell
	l.farewell = farewellNone
	if f == farewellMute {
		l.gone()
		return
	}
	l.sendBye("")
}

// lastAck sends the ACK that the peer still waits for: a BYE must not overtake it, nor spare it.
func (l *Leg) lastAck() {
	if l.outSeq != 0 && l.outOver && !l.acked {
		l.sendAck()
	}
}

// answerOpenInvite ends a re-INVITE of the peer that is still open: the dialog is going away.
func (l *Leg) answerOpenInvite() {
	if l.invite == nil {
		return
	}
	if l.awaitACK {
		l.confirmAck()
		return
	}
	l.respond(l.invite, 487, "Request Terminated", nil, nil)
	l.invite, l.asking = nil, nil
}

// cancel stops a callee that has not answered.
func (l *Leg) cancel(reason string) {
	if l.state == legNew {
		l.gone()
		l.closeMedia()
		return
	}
	l.state = legCancelled
	var extra []byte
	if reason != "" {
		extra = sipheader.Line(nil, "Reason", reason)
	}
	l.closeMedia()
	if l.up == nil {
		l.out.Cancel(extra)
		return
	}
	l.up.stopWaiting()
	l.cancelAttempts(extra)
	if !l.live() {
		l.cancelElsewhere()
		return
	}
	l.up.timer = l.call.env.After(cancelPatience, func() {
		if l.state == legCancelled {
			l.cancelElsewhere()
		}
	})
}

// sendBye ends the dialog from our side.
func (l *Leg) sendBye(reason string) {
	l.state = legEnding
	l.request("BYE", func(seq uint32, branch siptx.Branch) []byte {
		msg := l.appendRequest(make([]byte, 0, 700), "BYE", seq, branch, maxForwards)
		if reason != "" {
			msg = sipheader.Line(msg, "Reason", reason)
		}
		return sipheader.Body(msg, "", nil)
	}, (*byeSent)(l))
}

// byeSent waits for the end of a BYE.
type byeSent Leg

func (b *byeSent) OnResponse(_ *siptx.ClientTx, res *siptx.Response) {
	if res.Head.Status >= 200 {
		(*Leg)(b).gone()
	}
}

func (b *byeSent) OnTimeout(*siptx.ClientTx)          { (*Leg)(b).gone() }
func (b *byeSent) OnSendError(*siptx.ClientTx, error) { (*Leg)(b).gone() }

// gone forgets the leg: nothing more is expected of its peer.
func (l *Leg) gone() {
	if l.state == legGone {
		return
	}
	l.state, l.farewell, l.inviteSent = legGone, farewellNone, nil
	if l.awaitACK {
		l.confirmAck()
	}
	l.searchEnds()
	l.ackCopies()
	l.call.env.Forget(l)
	l.call.checkOver()
}

// checkOver lets the call go when all its legs are gone.
func (c *Call) checkOver() {
	if c.phase != Over || c.a.state != legGone {
		return
	}
	for _, l := range c.b {
		if l.state != legGone {
			return
		}
	}
	c.settle()
	c.env.Ended(c)
}

// onBye ends the call because the peer of l hung up. The other side's BYE leaves before the 200, so
// that a crash between the two makes the peer repeat its BYE rather than leave the other phone up.
func (l *Leg) onBye(tx *siptx.ServerTx) {
	c := l.call
	by := federation.ByCallee
	if l.caller {
		by = federation.ByCaller
	}
	switch {
	case c.phase == Over:
	case c.phase == Up:
		term := federation.Termination{Class: federation.Completed, Reason: "hang-up", By: by}
		c.noteEnd(term)
		if l.unmet() {
			l.stay(farewellMute)
		} else {
			l.peerLeft()
		}
		c.end(term, "")
	case l.caller:
		l.cancelByBye()
	case l == c.winner:
		l.peerLeft()
		c.fail(480, "Temporarily Unavailable", federation.Completed, "callee hung up at once")
	default:
		l.respond(tx, 200, "OK", nil, nil)
		l.quit()
		return
	}
	l.respond(tx, 200, "OK", nil, nil)
	if l.farewell != farewellNone {
		l.stay(farewellMute)
		return
	}
	l.gone()
}

// quit ends the ringing of a callee who sent BYE, which a callee may not in an early dialog (RFC 3261 §15):
// its INVITE is cancelled, and it counts as one that is not available.
func (l *Leg) quit() {
	c := l.call
	if !l.inviteOpen() {
		return // cancelled already: its final answer is to come
	}
	rang := l.state == legEarly
	l.cancel("")
	if c.phase == Setup {
		c.unavailable(480, "Temporarily Unavailable", rang)
	}
}

// cancelByBye: the caller may end an early dialog with BYE (RFC 3261 §15).
func (l *Leg) cancelByBye() { l.call.cancelled("") }

// peerLeft marks a leg whose peer sent the BYE: none goes back.
func (l *Leg) peerLeft() {
	l.answerOpenInvite()
	l.lastAck()
	l.state = legEnding
}
