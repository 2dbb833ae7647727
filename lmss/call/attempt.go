package call

import (
	"slices"
	"time"

	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/nodelink"
	"github.com/mss-federation/mss/pkg/sipheader"
	"github.com/mss-federation/mss/pkg/siptransport"
	"github.com/mss-federation/mss/pkg/siptx"
)

// Bounds of the search for a way to another site (sip-rules §3, §4).
const (
	// maxHubs is how many hubs are tried while the other site has not been heard.
	maxHubs = 2
	// searchTime is how long.
	searchTime = 8 * time.Second
	// hubPatience is how long a hub may say nothing, not even 100, before the other one gets a copy.
	hubPatience = 1500 * time.Millisecond
	// cancelPatience is how long the other site may say nothing to a CANCEL, whose way may be broken behind the hub: long
	// enough for that hub to have noticed, so that a BYE takes another way.
	cancelPatience = 2500 * time.Millisecond
	// maxCopies bounds the copies of one INVITE, however many hubs die while the other site rings.
	maxCopies = 4
	// hublessTime is how long ringing outlives the last hub: a copy may come through another one.
	hublessTime = 5 * time.Second
	// maxForks bounds the early dialogs of one leg.
	maxForks = 4
)

// attempt is a copy of an uplink leg's first INVITE, on its way through one hub. All copies are one request: same
// Call-ID, From tag and CSeq. The called site rings once and answers all alike, so whichever is answered
// counts, and none is given up alone.
type attempt struct {
	leg    *Leg
	node   federation.NodeID
	flow   siptransport.Flow
	tx     *siptx.ClientTx
	branch siptx.Branch
	sent   []byte // for the note's CANCEL
	heard  bool   // something was answered, if only 100
	rang   bool   // 101–199
	over   bool   // its final answer came, or never will
	lost   bool   // its hub answers no more
}

// attempt sends the leg's INVITE through the hub that the leg is at.
func (l *Leg) attempt() {
	c, up := l.call, l.hubs()
	if len(up.attempts) == 0 {
		up.askedAt, up.uri = c.env.Now(), l.target
	}
	a := &attempt{leg: l, node: l.node, flow: l.flow, branch: c.env.NewBranch()}
	first := *l // as it was before any answer
	first.remoteTag, first.routes, first.target = "", nil, up.uri
	a.sent = first.appendRequest(make([]byte, 0, 1400), "INVITE", l.outSeq, a.branch, c.maxForward)
	a.sent = appendFields(a.sent, c.passOn)
	a.sent = sipheader.Body(a.sent, "application/sdp", l.relayed(c.offer))
	up.attempts = append(up.attempts, a)
	a.tx = c.env.SendRequest(l.flow, "INVITE", a.branch, a.sent, a)
	l.out = a.tx
	up.stopWaiting()
	up.timer = c.env.After(hubPatience, func() { a.silent() })
}

// silent ends the patience with a hub: another one gets a copy, and this one, which stays open, a little longer.
func (a *attempt) silent() {
	l := a.leg
	if a.heard || a.over || !l.inviteOpen() || l.anotherHub() {
		return
	}
	l.up.timer = l.call.env.After(max(l.call.cfg.Silent-hubPatience, 0), func() {
		if l.inviteOpen() && !slices.ContainsFunc(l.up.attempts, func(a *attempt) bool { return a.heard && !a.over }) {
			l.unreached("the hub does not answer")
		}
	})
}

// OnResponse takes what comes back through this hub.
func (a *attempt) OnResponse(_ *siptx.ClientTx, res *siptx.Response) {
	l := a.leg
	a.heard = true
	switch status := res.Head.Status; {
	case status == 100:
	case status < 200:
		a.rang = true
		l.heardThrough(a.node, a.flow)
		l.progress(res)
	case status < 300:
		a.over = true
		l.heardThrough(a.node, a.flow)
		l.answered(res)
	default:
		a.over = true
		a.refused(res)
	}
}

// heardThrough puts a dialog that is being made on the hub that brought its answer.
func (l *Leg) heardThrough(node federation.NodeID, flow siptransport.Flow) {
	if l.inviteOpen() {
		l.node, l.flow, l.stale = node, flow, false
	}
}

// refused takes a final failure. A 503 is the hub's own, and so is a 480 that says who gave up: both leave the
// other hub to be tried.
func (a *attempt) refused(res *siptx.Response) {
	l, status := a.leg, res.Head.Status
	if !l.inviteOpen() {
		if l.state == legCancelled {
			l.refused(status, siptx.Reason(status))
		}
		return
	}
	own := status == 503 || status == 480 && sipheader.First(res.Raw, res.Head, byNode) != ""
	switch {
	case status == 482 && a.openBefore(), l.awaits(own, a.rang), own && l.anotherHub():
	case own:
		l.unreached("no way to the other site")
	case status == 488 && l.refusedVoiceless(res):
		l.call.failure.explain(status, noWayForVoice, l.state == legEarly)
		l.refused(status, siptx.Reason(status))
	case status == 488 && refusedFamily(res):
		l.call.failure.explain(status, noFamily, l.state == legEarly)
		l.refused(status, siptx.Reason(status))
	default:
		l.refused(status, siptx.Reason(status))
	}
}

// openBefore says whether an earlier copy is open: a 482 to a later one only says that the two met.
func (a *attempt) openBefore() bool {
	for _, b := range a.leg.up.attempts {
		if b == a {
			return false
		}
		if !b.over {
			return true
		}
	}
	return false
}

// awaits says whether another copy that is open outweighs a failure: any does when the failure is the hub's own,
// and one that rings does when this one did not.
func (l *Leg) awaits(own, rang bool) bool {
	return slices.ContainsFunc(l.up.attempts, func(b *attempt) bool {
		return !b.over && !b.lost && (own || b.rang && !rang)
	})
}

// OnTimeout: it rang, or said nothing, beyond what SIP allows.
func (a *attempt) OnTimeout(*siptx.ClientTx) {
	a.over = true
	switch l := a.leg; {
	case l.state == legCancelled:
		l.refused(480, "Temporarily Unavailable")
	case !l.inviteOpen() || l.live():
	case l.state == legEarly:
		l.refused(480, "Temporarily Unavailable")
	default:
		l.unreached("the hub does not answer")
	}
}

// OnSendError: the connection to the hub is lost.
func (a *attempt) OnSendError(*siptx.ClientTx, error) {
	a.over, a.lost = true, true
	a.leg.hubLost()
}

// live says whether a copy is open at a hub that answers.
func (l *Leg) live() bool {
	return slices.ContainsFunc(l.up.attempts, func(a *attempt) bool { return !a.over && !a.lost })
}

// open says whether a final answer can still come.
func (l *Leg) open() bool {
	return slices.ContainsFunc(l.up.attempts, func(a *attempt) bool { return !a.over })
}

// hubLost goes on without a hub that one of the copies went through.
func (l *Leg) hubLost() {
	switch {
	case l.live():
	case l.state == legCancelled:
		l.cancelElsewhere()
	case !l.inviteOpen() || l.anotherHub() || l.open():
	case l.state == legCalling:
		l.unreached("the connection to the hub is lost")
	default: // the other site rings on for a while
		l.up.stopWaiting()
		l.up.timer = l.call.env.After(hublessTime, func() {
			if l.inviteOpen() && !l.open() {
				l.unreached("the connection to the hub is lost")
			}
		})
	}
}

// anotherHub sends a copy of the INVITE through the next hub. Before the other site was heard that is a search,
// which has an end; later it keeps a call that rings.
func (l *Leg) anotherHub() bool {
	c, up := l.call, l.hubs()
	limit := maxCopies
	if l.state == legCalling {
		limit = maxHubs
	}
	late := l.state == legCalling && c.env.Now().Sub(up.askedAt) >= searchTime
	if !l.inviteOpen() || c.phase != Setup || late || len(up.attempts) >= limit {
		return false
	}
	for node, flow := range c.env.Ways("") {
		if !up.used(node, flow, l.state == legCalling) {
			l.node, l.flow, l.stale = node, flow, false
			l.attempt()
			c.note()
			return true
		}
	}
	return false
}

// used says whether a hub has had a copy that it can still answer, or has refused it. A hub that came back over
// another connection has not, except in a search.
func (u *uplinked) used(node federation.NodeID, flow siptransport.Flow, search bool) bool {
	return slices.ContainsFunc(u.attempts, func(a *attempt) bool {
		return a.node == node && (search || !a.lost || !a.over || a.flow.ID == flow.ID)
	})
}

// searchEnds lets go of what only an open INVITE needs. Late answers still find their attempts.
func (l *Leg) searchEnds() {
	if l.up != nil {
		l.up.stopWaiting()
		l.up.attempts, l.up.forks = nil, nil
	}
}

// cancelAttempts ends all copies: nobody cancels one alone.
func (l *Leg) cancelAttempts(extra []byte) {
	for _, a := range l.hubs().attempts {
		if !a.over {
			a.lost = a.lost || l.call.env.Hub(a.node) != nodelink.Alive
			a.tx.Cancel(extra)
		}
	}
}

// cancelElsewhere ends the ringing of the other site when no CANCEL reaches it, or seems to: a CANCEL belongs to the
// transactions of its hubs, but a BYE in the early dialog goes through any (RFC 3261 §15 allows it to the caller).
func (l *Leg) cancelElsewhere() {
	if l.remoteTag == "" {
		if !l.open() {
			l.gone()
		}
		return
	}
	for _, d := range l.up.forks {
		fork := &Leg{call: l.call, node: l.node, state: legConfirmed, dialog: d}
		fork.sendBye("")
	}
	l.up.forks = nil
	l.sendBye("")
}

// rememberFork keeps the early dialog that a provisional of another one replaces, for its BYE.
func (l *Leg) rememberFork(res *siptx.Response) {
	if l.remoteTag == "" || l.remoteTag == string(res.Head.ToTag.Of(res.Raw)) || len(l.hubs().forks) == maxForks {
		return
	}
	l.up.forks = append(l.up.forks, l.dialog)
}
