package call

import (
	"errors"

	"github.com/mss-federation/mss/lmss/cdr"
	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/sdpedit"
	"github.com/mss-federation/mss/pkg/sipheader"
	"github.com/mss-federation/mss/pkg/siptarget"
	"github.com/mss-federation/mss/pkg/siptransport"
	"github.com/mss-federation/mss/pkg/siptx"
)

// newCall makes the call of an INVITE that ingress let through. It does nothing yet; begin does.
func newCall(env Env, cfg *Config, id string, session federation.SessionID, tx *siptx.ServerTx, req *siptx.Request, plan Plan) *Call {
	c := &Call{env: env, cfg: cfg, id: id, session: session, groups: plan.Groups}
	c.maxForward = req.Head.MaxForwards - 1
	if req.Head.MaxForwards < 0 {
		c.maxForward = maxForwards
	}
	a := &Leg{
		call: c, caller: true, state: legEarly, user: plan.Caller.User, instance: plan.Caller.Instance, nat: plan.Caller.NAT, node: plan.Caller.Node,
		invite: tx, inviteSeq: req.Head.CSeq,
	}
	a.dialog = dialog{
		callID: string(req.Head.CallID.Of(req.Raw)), localTag: env.NewTag(), remoteTag: string(req.Head.FromTag.Of(req.Raw)),
		local: string(req.Head.To.Of(req.Raw)), remote: sipheader.WithoutTag(string(req.Head.From.Of(req.Raw))),
		remoteSeq: req.Head.CSeq, recorded: recordRoutes(req.Raw, req.Head), target: Contact(req),
		flow: req.Flow,
	}
	a.routes = append([]string(nil), a.recorded...)
	a.hearVoice(req.Raw, req.Head)
	c.a = a
	c.passOn = passed(req.Raw, req.Head, passRequest)
	c.cdr = cdr.Record{
		ID: cdr.ID(id), SessionID: session, CallID: a.callID, Caller: string(plan.Caller.User), Called: string(plan.Called),
		Source: peer(req.Flow), SetupAt: env.Now(),
	}
	tx.SetUser(a)
	env.Track(a)
	return c
}

// begin starts the call: the caller's offer is read, then the first group's endpoints are opened.
func (c *Call) begin(req *siptx.Request, caller Caller, called federation.Number) {
	offer, err := offerOf(req)
	switch {
	case errors.Is(err, sdpedit.ErrNoSDP):
		c.rejectWith(415, "Unsupported Media Type", federation.Rejected, "a body that is not SDP", acceptSDP)
		return
	case err != nil:
		c.reject(488, "Not Acceptable Here", federation.Rejected, "unusable SDP")
		return
	case !takesSDP(req):
		c.reject(406, "Not Acceptable", federation.Rejected, "the caller takes no SDP")
		return
	case !c.a.reaches(offer):
		c.rejectWith(488, "Not Acceptable Here", federation.Rejected, noFamily, c.familyWarning())
		return
	}
	c.offer = offer
	c.a.offerless = offer == nil
	c.a.described(offer)
	if c.maxForward < 0 {
		c.reject(483, "Too Many Hops", federation.Rejected, "too many hops")
		return
	}
	if c.a.voiceless() {
		c.refuseVoiceless()
		return
	}
	c.a.invite.Trying()
	c.a.openMedia(offer)
	c.a.aim()
	c.timers[timerNoAnswer] = c.env.After(c.cfg.NoAnswer, c.noAnswer)
	from := nameAddr(caller.Display, string(caller.User), c.cfg.Domain)
	to := nameAddr("", string(called), c.cfg.Domain)
	c.from, c.to, c.display = from, to, caller.Display
	c.nextGroup()
}

// nextGroup tries the next targets, and arranges that those after them join when these have rung for a while.
func (c *Call) nextGroup() {
	if c.phase != Setup || len(c.groups) == 0 {
		return
	}
	group := c.groups[0]
	c.groups = c.groups[1:]
	before := len(c.b)
	for i := range group {
		c.prepare(&group[i])
	}
	if len(c.b) == before {
		c.goOn() // nobody in it can be reached
		return
	}
	if len(c.groups) > 0 {
		c.timers[timerNextGroup] = c.env.After(c.cfg.NextGroup, c.nextGroup)
	}
	c.ready()
}

// prepare makes the leg towards one target and opens its endpoint.
func (c *Call) prepare(t *Target) {
	l := &Leg{call: c, user: t.User, instance: t.Instance, nat: t.NAT}
	l.dialog = dialog{
		callID: c.env.NewCallID(), localTag: c.env.NewTag(), local: c.from, remote: c.to,
		localSeq: 1, target: t.URI, routes: t.Routes, flow: t.Flow,
	}
	if t.Uplink {
		l.local = nameAddr(c.display, c.cdr.Caller, c.cfg.Federation)
		l.remote = nameAddr("", string(t.User), c.cfg.Federation)
		if !l.moveHub() {
			c.failure.explain(480, "no uplink to other sites", false)
			return
		}
	}
	c.b = append(c.b, l)
	if len(c.cdr.LegCallIDs) < maxLegs {
		c.cdr.LegCallIDs = append(c.cdr.LegCallIDs, l.callID)
	}
	c.env.Track(l)
	if t.Name != (siptarget.Query{}) {
		l.lookUp(t.Name)
		return
	}
	l.openMedia(nil)
}

// maxLegs bounds how many Call-IDs a CDR lists.
const maxLegs = 16

// opened tells that the media process has opened a leg's endpoint, or why not.
func (l *Leg) opened(port int, err error) {
	c := l.call
	c.opening--
	switch {
	case l.state != legNew && !l.caller || c.phase == Over:
		l.closeMedia() // nobody waits for it any more
	case err == nil:
		l.media.port, l.media.open = port, true
	case l.caller:
		c.fail(503, "Service Unavailable", federation.Failed, "no voice relay")
	default:
		l.unheard()
	}
	c.ready()
}

// unheard drops a callee for whom the relay has no room, before its phone rings: those who ring do so on.
func (l *Leg) unheard() {
	l.cancel("")
	if l.call.phase == Setup {
		l.call.goOn()
	}
}

// ready sends the INVITEs that wait for nothing any more.
func (c *Call) ready() {
	if c.opening > 0 || c.phase != Setup {
		return
	}
	sent := false
	for _, l := range c.b {
		if l.state == legNew {
			l.sendInvite()
			sent = true
		}
	}
	if sent && c.phase == Setup {
		c.note()
	}
}

// sendInvite sends the first INVITE of a B leg. The INVITE's own target and routes belong to its
// CANCEL and its note too.
func (l *Leg) sendInvite() {
	c := l.call
	l.state = legCalling
	l.outSeq = l.localSeq
	if l.node != "" {
		l.attempt()
		return
	}
	if l.name != nil {
		l.inviteNamed()
		return
	}
	l.branch = c.env.NewBranch()
	l.inviteSent = l.invitation()
	l.out = c.env.SendRequest(l.flow, "INVITE", l.branch, l.inviteSent, (*firstInvite)(l))
	l.out.SetTimeout(c.cfg.Silent)
}

// invitation writes the first INVITE of a B leg for the flow of the moment.
func (l *Leg) invitation() []byte {
	c := l.call
	msg := l.appendRequest(make([]byte, 0, 1400), "INVITE", l.outSeq, l.branch, c.maxForward)
	msg = appendFields(msg, c.passOn)
	return sipheader.Body(msg, "application/sdp", l.relayed(c.offer))
}

func contentType(value []byte) string {
	if len(value) == 0 {
		return ""
	}
	return string(value)
}

// peer is a flow's far end in the words of the CDR: "udp 192.0.2.7:5060".
func peer(f siptransport.Flow) string { return f.Transport.Param() + " " + f.Remote.String() }
