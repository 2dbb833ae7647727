package call

import (
	"bytes"

	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/siptx"
)

// firstInvite receives what comes of a B leg's first INVITE.
type firstInvite Leg

// OnResponse takes each provisional once and every 2xx, also late and repeated ones.
func (f *firstInvite) OnResponse(_ *siptx.ClientTx, res *siptx.Response) {
	l := (*Leg)(f)
	switch status := res.Head.Status; {
	case status == 100:
	case status < 200:
		l.progress(res)
	case status < 300:
		l.answered(res)
	default:
		l.refused(status, siptx.Reason(status))
	}
}

// OnTimeout: the phone sent nothing, or rang beyond Timer C.
func (f *firstInvite) OnTimeout(*siptx.ClientTx) {
	l := (*Leg)(f)
	if l.state == legEarly {
		l.refused(480, "Temporarily Unavailable")
		return
	}
	l.refused(408, "Request Timeout")
}

// OnSendError: the phone's connection is gone or was refused.
func (f *firstInvite) OnSendError(_ *siptx.ClientTx, _ error) {
	(*Leg)(f).refused(480, "Temporarily Unavailable")
}

// progress passes a 101–199 of a callee on.
func (l *Leg) progress(res *siptx.Response) {
	c := l.call
	if c.phase != Setup || l.state == legCancelled {
		return
	}
	if l.state == legCalling {
		l.state = legEarly
	}
	if res.Head.ToTag.Present() {
		if l.node != "" {
			l.rememberFork(res)
		}
		l.adoptResponse(res)
	}
	if c.cdr.RingAt.IsZero() {
		c.cdr.RingAt = c.env.Now()
	}
	alone := c.trying() == 1
	c.earlyVoice(l, res, alone)
	status := res.Head.Status
	if status == 183 && !alone {
		// Several ring: nobody's early media is played, so a bare 183 tells the caller nothing.
		return
	}
	c.progressToCaller(status, siptx.Reason(status), passed(res.Raw, res.Head, passResponse))
}

// earlyVoice connects early media while one callee alone is tried. The first answer that the caller
// was shown stays (one To tag, one SDP answer).
func (c *Call) earlyVoice(l *Leg, res *siptx.Response, alone bool) {
	if !alone || c.offer == nil || l.voiceless() {
		return
	}
	answer, err := parseSDP(contentType(res.Head.ContentType.Of(res.Raw)), res.Body())
	if err != nil || answer == nil || !l.reaches(answer) {
		return
	}
	l.described(answer)
	l.media.answer = answer
	l.aim()
	c.join(c.a, l)
	if c.a.media.local == nil {
		c.a.relayed(answer)
	}
}

// progressToCaller sends an 18x with the answer that was already shown, if any, and repeats it each
// minute while the call rings.
func (c *Call) progressToCaller(status int, reason string, fields []field) {
	c.lastStatus, c.lastFields = status, fields
	c.lastWire = bytes.Clone(c.a.respond(c.a.invite, status, reason, fields, c.a.media.local))
	c.stop(timerRepeat)
	c.timers[timerRepeat] = c.env.After(c.cfg.RepeatProgress, c.repeatProgress)
}

func (c *Call) repeatProgress() {
	if c.phase != Setup {
		return
	}
	c.a.invite.Send(c.lastStatus, c.lastWire)
	c.a.answerCopies(c.lastStatus, siptx.Reason(c.lastStatus), c.lastFields, c.a.media.local)
	c.timers[timerRepeat] = c.env.After(c.cfg.RepeatProgress, c.repeatProgress)
}

// failure is the best refusal so far.
type failure struct {
	rank   int
	status int
	reason string
	why    string // what the status alone does not say; empty for nothing
}

// consider keeps the answer that tells the caller most: a callee who declined or is busy, then one who
// rang, then anything else (facts: sip-rules §4; RFC 3261 §16.7 for the classes that are never relayed).
func (f *failure) consider(status int, reason string, rang bool) {
	rank := 1
	switch {
	case status >= 600:
		rank = 4
	case status == 486 || status == 600:
		rank = 3
	case rang:
		rank = 2
	}
	if rank > f.rank {
		f.rank, f.status, f.reason, f.why = rank, status, reason, ""
	}
}

// refused takes the final failure of a callee.
func (l *Leg) refused(status int, reason string) {
	c := l.call
	rang := l.state == legEarly
	wasCancelled := l.state == legCancelled
	l.outOver = true
	if l.up != nil && !wasCancelled {
		l.cancelAttempts(nil) // those that are open get the same answer
	}
	l.gone()
	l.closeMedia()
	if c.phase == Setup && !wasCancelled {
		c.unavailable(status, reason, rang)
	}
}

// unavailable takes a callee's failure into account and goes on. One who declines for all ends the rest.
func (c *Call) unavailable(status int, reason string, rang bool) {
	c.failure.consider(status, reason, rang)
	if status >= 600 {
		for other := range c.ringing {
			other.cancel("")
		}
		c.groups = nil
	}
	c.goOn()
}

// goOn tries the next group when nobody rings any more; after the last the caller is refused.
func (c *Call) goOn() {
	switch {
	case c.trying() > 0:
	case len(c.groups) > 0:
		c.stop(timerNextGroup)
		c.nextGroup()
	case c.failure.status == 0:
		c.fail(503, "Service Unavailable", federation.Failed, "no voice relay")
	default:
		c.refuse()
	}
}

// refuse gives the caller the best failure. Codes that speak of the hop between us and the phone
// mean nothing to the caller: 503 becomes 500 (nobody relays a 503), a challenge or redirect 480.
func (c *Call) refuse() {
	status, reason := c.failure.status, c.failure.reason
	class := federation.Rejected
	switch {
	case status == 503:
		status, reason, class = 500, "Server Internal Error", federation.Failed
	case status < 400, status == 401, status == 407, status == 408, status == 481, status == 482:
		status, reason, class = 480, "Temporarily Unavailable", federation.Unreachable
	case status == 486, status >= 600:
		class = federation.Busy
	case status == 480, status == 488 && c.failure.why != "":
		class = federation.Unreachable
	case status >= 500:
		class = federation.Failed
	}
	c.reject(status, reason, class, c.failure.why)
}

// noAnswer ends a call that rang too long.
func (c *Call) noAnswer() {
	if c.phase == Setup {
		c.fail(480, "Temporarily Unavailable", federation.Unanswered, "no answer")
	}
}
