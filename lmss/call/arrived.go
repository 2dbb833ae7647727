package call

import (
	"time"

	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/nodelink"
	"github.com/mss-federation/mss/pkg/siptx"
)

// arrived is a further copy of an INVITE that came over the uplink: the caller's site, or a hub, sent it through
// another hub. It is the same call: it rings once, and all copies get the same answers with the same To tag,
// each with its own Via and Record-Route.
type arrived struct {
	tx       *siptx.ServerTx
	node     federation.NodeID
	recorded []string
}

// Copy takes an INVITE of a hub if it is a copy of one that is handled, or was until 32 s ago, and says so.
func (r *Runner) Copy(tx *siptx.ServerTx, req *siptx.Request, node federation.NodeID) bool {
	for l := r.legs[string(req.Head.CallID.Of(req.Raw))]; l != nil; l = l.next {
		if l.caller && l.node != "" && req.Head.CSeq <= l.remoteSeq && l.remoteTag == string(req.Head.FromTag.Of(req.Raw)) {
			l.arrived(arrived{tx, node, recordRoutes(req.Raw, req.Head)})
			return true
		}
	}
	end, ok := r.endings[endingKey(string(req.Head.CallID.Of(req.Raw)), string(req.Head.FromTag.Of(req.Raw)))]
	if !ok || req.Head.CSeq > end.seq {
		return false
	}
	c := &Call{env: r, cfg: r.deps.Config, session: end.session}
	l := &Leg{call: c, dialog: dialog{localTag: end.tag, flow: req.Flow}}
	l.respond(tx, end.status, siptx.Reason(end.status), nil, nil)
	return true
}

// arrived answers a copy as the first was answered.
func (l *Leg) arrived(a arrived) {
	c := l.call
	if len(l.hubs().copies) >= maxCopies {
		l.answerCopy(a, 482, "Loop Detected", nil, nil)
		return
	}
	c.stop(timerDeserted)
	a.tx.SetUser(l)
	l.up.copies = append(l.up.copies, a)
	switch c.phase {
	case Setup, Answering:
		a.tx.Trying()
		if c.lastStatus != 0 {
			l.answerCopy(a, c.lastStatus, siptx.Reason(c.lastStatus), c.lastFields, l.media.local)
		}
	default:
		l.answerCopy(a, 200, "OK", nil, l.media.local)
	}
}

func (l *Leg) answerCopy(a arrived, status int, reason string, fields []field, sdp []byte) {
	a.tx.Send(status, l.responseTo(a.tx, a.recorded, status, reason, fields, sdp))
}

// answerCopies gives all further copies of the open INVITE its answer.
func (l *Leg) answerCopies(status int, reason string, fields []field, sdp []byte) {
	if l.up == nil {
		return
	}
	for _, a := range l.up.copies {
		l.answerCopy(a, status, reason, fields, sdp)
	}
	if status >= 300 {
		l.up.copies = nil
	}
}

// ackCopies stops the repetition of the 2xx to the copies: one ACK serves all.
func (l *Leg) ackCopies() {
	if l.up == nil {
		return
	}
	for _, a := range l.up.copies {
		a.tx.Acked()
	}
	l.up.copies = nil
}

// isInvite says whether tx is the INVITE that the leg's peer waits for, or a copy of it.
func (l *Leg) isInvite(tx *siptx.ServerTx) bool {
	if l.invite == tx {
		return true
	}
	if l.up != nil {
		for _, a := range l.up.copies {
			if a.tx == tx {
				return true
			}
		}
	}
	return false
}

// deserted ends ringing for which no hub is left: neither an answer nor a CANCEL could pass any more.
func (c *Call) deserted() {
	if c.phase != Setup || c.a.node == "" || c.a.reachable() || c.timers[timerDeserted] != nil {
		return
	}
	c.timers[timerDeserted] = c.env.After(hublessTime, func() {
		c.timers[timerDeserted] = nil
		if c.phase == Setup && !c.a.reachable() {
			c.fail(480, "Temporarily Unavailable", federation.Lost, "all hubs of the caller are lost")
		}
	})
}

// reachable says whether a hub is left that brought a copy of the INVITE.
func (l *Leg) reachable() bool {
	up := func(node federation.NodeID) bool { return l.call.env.Hub(node) != nodelink.Down }
	if up(l.node) {
		return true
	}
	if l.up != nil {
		for _, a := range l.up.copies {
			if up(a.node) {
				return true
			}
		}
	}
	return false
}

// ending is how a call from another site ended, for copies that come late.
type ending struct {
	status  int
	seq     uint32
	tag     string
	session federation.SessionID
}

// maxEndings bounds the memory of calls that ended.
const maxEndings = 65536

func endingKey(callID, tag string) string { return callID + " " + tag }

// rememberEnd keeps the end of a caller's leg for 32 s, so that a copy that comes late does not ring again.
func (r *Runner) rememberEnd(l *Leg) {
	if !l.caller || l.node == "" || len(r.endings) >= maxEndings {
		return
	}
	status := l.call.cdr.Status
	if status < 300 {
		status = 480 // it was answered, and is over
	}
	key := endingKey(l.callID, l.remoteTag)
	r.endings[key] = ending{status: status, seq: l.remoteSeq, tag: l.localTag, session: l.call.session}
	r.After(endingLife, func() { delete(r.endings, key) })
}

// endingLife is 64*T1.
const endingLife = 32 * time.Second
