package call

import (
	"bytes"
	"slices"
	"strings"

	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/sdpedit"
	"github.com/mss-federation/mss/pkg/sipheader"
	"github.com/mss-federation/mss/pkg/siptx"
)

// misfit says whether the winner speaks a codec that the caller was not told: an earlier callee's early
// answer stands (one SDP answer per call), and the winner's may differ. Without our relay in between the
// caller must know the winner's address too.
func (c *Call) misfit(answer *sdpedit.Session) bool {
	if c.a.media.endpoint == 0 {
		return !bytes.Equal(answer.AppendRelayed(nil, c.a.rewrite(answer)), c.a.media.local)
	}
	shown, err := sdpedit.Parse(c.a.media.local)
	if err != nil {
		return false
	}
	ours, theirs := firstVoice(shown), firstVoice(answer)
	if ours == nil || theirs == nil || len(ours.Formats) == 0 {
		return false
	}
	first := ours.Formats[0]
	return !slices.ContainsFunc(theirs.Formats, func(f sdpedit.Format) bool {
		return f.PT == first.PT && f.Rate == first.Rate && strings.EqualFold(f.Encoding, first.Encoding)
	})
}

// realign offers the caller what the winner answered, by a re-INVITE after the caller's ACK.
func (c *Call) realign() {
	answer := c.realigning
	c.realigning = nil
	if answer == nil || c.phase != Up || c.a.invite != nil {
		return
	}
	a := c.a
	a.outOver = false
	sdp := a.relayed(answer)
	a.request("INVITE", func(seq uint32, branch siptx.Branch) []byte {
		a.outSeq, a.acked = seq, false
		msg := a.appendRequest(make([]byte, 0, 1400), "INVITE", seq, branch, maxForwards)
		return sipheader.Body(msg, "application/sdp", sdp)
	}, &realignment{leg: a})
}

// realignment is our own re-INVITE to the caller.
type realignment struct {
	leg      *Leg
	answered bool // with a 2xx
}

func (r *realignment) sent(tx *siptx.ClientTx) { r.leg.out = tx }

// OnResponse takes the caller's answer. A refusal leaves the call as it is: one that hears nothing hangs up.
func (r *realignment) OnResponse(_ *siptx.ClientTx, res *siptx.Response) {
	a := r.leg
	switch status := res.Head.Status; {
	case status < 200:
	case r.answered:
		a.answeredAgain(res.Head.CSeq)
	case status < 300:
		r.answered = true
		a.outOver, a.out = true, nil
		if sdp, err := parseSDP(contentType(res.Head.ContentType.Of(res.Raw)), res.Body()); err == nil && sdp != nil {
			a.described(sdp)
			a.aim()
		}
		a.sendAck()
		a.call.save(false)
	case status == 408, status == 481:
		r.lost() // RFC 5057: these end the dialog, not only the request
	default:
		r.over()
	}
}

// OnTimeout: the caller does not answer inside the call any more.
func (r *realignment) OnTimeout(*siptx.ClientTx) { r.lost() }

// OnSendError: there is no way to the caller.
func (r *realignment) OnSendError(*siptx.ClientTx, error) { r.lost() }

// over marks our INVITE as ended by a failure, whose ACK was the transaction's.
func (r *realignment) over() { r.leg.outOver, r.leg.out, r.leg.acked = true, nil, true }

func (r *realignment) lost() {
	r.over()
	r.leg.call.hangUp(federation.Termination{Class: federation.Lost, Reason: "no answer to re-INVITE", By: federation.BySystem})
}
