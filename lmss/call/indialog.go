package call

import (
	"strconv"
	"strings"
	"time"

	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/sipheader"
	"github.com/mss-federation/mss/pkg/siptx"
)

// zeroTime marks what did not happen.
var zeroTime time.Time

// inDialog takes a request of the peer inside the dialog, ACK and CANCEL apart.
func (l *Leg) inDialog(tx *siptx.ServerTx, req *siptx.Request) {
	l.flowSeen(req)
	// An equal CSeq is a copy: sent again over a new connection, or through another node. It is never an
	// error (sip-rules §3).
	old := req.Head.CSeq < l.remoteSeq
	switch {
	case req.Head.CSeq == l.remoteSeq && req.Head.Method == "INVITE" && l.acceptAgain(tx, req):
		return
	case old && req.Head.Method == "BYE":
		// Who hangs up has gone, whatever its CSeq says: a 500 would leave the other phone up alone.
		l.onBye(tx)
		return
	case old:
		// RFC 3261 §12.2.2: lower than the last one is out of order.
		l.respond(tx, 500, "CSeq Out Of Order", nil, nil)
		return
	}
	later := req.Head.CSeq > l.remoteSeq
	l.remoteSeq = req.Head.CSeq
	if later && l.awaitACK && l.call.phase == Up {
		l.hear(req.Head.Method)
	}
	switch req.Head.Method {
	case "BYE":
		l.onBye(tx)
	case "INVITE":
		l.onReinvite(tx, req)
	case "INFO":
		if later || !l.infoAgain(tx, req.Head.CSeq) {
			l.passInfo(tx, req)
		}
	case "OPTIONS":
		l.respond(tx, 200, "OK", capabilities, nil)
	default:
		l.respond(tx, 405, "Method Not Allowed", []field{{"Allow", Allow}}, nil)
	}
}

// hear takes a later request for the ACK that a peer whose hub died may have lost (sip-rules §3). It may as
// well have crossed a 2xx that was lost, so that is repeated until its time is over. Only who waits for no 2xx
// any more sends an INVITE: another site does so whose server started again before it could acknowledge.
func (l *Leg) hear(method string) {
	switch {
	case l.offerless: // the answer is still to come
	case l.invite == nil:
		l.confirmAck() // an earlier process sent the 2xx, its transaction ended with that
	case method == "INVITE":
		if l.node != "" {
			l.confirmAck()
		}
	default:
		l.heard = true
	}
}

// acceptAgain answers a copy of the last INVITE as that one was answered.
func (l *Leg) acceptAgain(tx *siptx.ServerTx, req *siptx.Request) bool {
	if l.call.phase != Up || l.inviteSeq != req.Head.CSeq || l.media.local == nil {
		return false
	}
	if l.invite != nil && !l.awaitACK {
		l.pendingAgain(tx)
		return true
	}
	if l.awaitACK {
		l.confirmAck()
	}
	l.invite = tx
	tx.SetUser(l)
	l.answeredAt = l.call.env.Now()
	l.inviteWire = l.response(tx, 200, "OK", nil, l.media.local)
	l.accept()
	return true
}

// pendingAgain takes a copy of an INVITE that is on its way to the other leg: over another hub it is the same
// one, and gets the same answer (sip-rules §3).
func (l *Leg) pendingAgain(tx *siptx.ServerTx) {
	if l.node == "" || len(l.hubs().copies) >= maxCopies {
		l.respond(tx, 491, "Request Pending", nil, nil)
		return
	}
	tx.Trying()
	tx.SetUser(l)
	l.up.copies = append(l.up.copies, arrived{tx: tx, node: l.node})
}

// capabilities answer an OPTIONS inside a dialog (RFC 3261 §11.2).
var capabilities = []field{{"Allow", Allow}, {"Accept", "application/sdp"}}

// flowSeen follows the peer to a new connection or source, which ingress has authenticated.
func (l *Leg) flowSeen(req *siptx.Request) {
	if l.name != nil {
		return // what goes there follows route set and remote target
	}
	if l.flow != req.Flow {
		l.flow = req.Flow
		l.call.env.Moved(l)
	}
	if l.stale {
		l.back()
	}
}

// passInfo passes an INFO to the other leg and its answer back.
func (l *Leg) passInfo(tx *siptx.ServerTx, req *siptx.Request) {
	far := l.call.other(l)
	switch {
	case l.call.phase == Over:
		l.respond(tx, 481, "Call/Transaction Does Not Exist", nil, nil)
		return
	case l.call.phase != Up || far == nil:
		// Nobody there yet. A 481 would end the caller's attempt (RFC 5057 §5.1).
		l.respond(tx, 488, "Not Acceptable Here", nil, nil)
		return
	}
	fields := passed(req.Raw, req.Head, passRequest)
	kind := strings.Clone(contentType(req.Head.ContentType.Of(req.Raw)))
	body := append([]byte(nil), req.Body()...)
	hops := req.Head.MaxForwards - 1
	if req.Head.MaxForwards < 0 {
		hops = maxForwards
	}
	if hops < 0 {
		l.respond(tx, 483, "Too Many Hops", nil, nil)
		return
	}
	p := &passing{from: l, tx: tx, seq: req.Head.CSeq}
	if l.node != "" {
		l.hubs().info = p
	}
	far.request("INFO", func(seq uint32, branch siptx.Branch) []byte {
		msg := far.appendRequest(make([]byte, 0, 800+len(body)), "INFO", seq, branch, hops)
		msg = appendFields(msg, fields)
		return sipheader.Body(msg, kind, body)
	}, p)
}

// infoAgain answers a copy of the last INFO, which came through another hub, as that one was or will be: what it
// says reaches the other phone once (sip-rules §3).
func (l *Leg) infoAgain(tx *siptx.ServerTx, seq uint32) bool {
	if l.up == nil || l.up.info == nil || l.up.info.seq != seq {
		return false
	}
	p := l.up.info
	switch {
	case p.status != 0:
		l.respond(tx, p.status, siptx.Reason(p.status), nil, nil)
	case len(p.copies) < maxCopies:
		p.copies = append(p.copies, tx)
	}
	return true
}

// passing carries the answer to a passed-on request back to who asked.
type passing struct {
	from   *Leg
	tx     *siptx.ServerTx
	copies []*siptx.ServerTx // of the request, through other hubs
	seq    uint32
	status int // of the answer, zero until then
}

// answer answers the request and its copies.
func (p *passing) answer(status int, reason string, fields []field) {
	p.from.respond(p.tx, status, reason, fields, nil)
	for _, tx := range p.copies {
		p.from.respond(tx, status, reason, fields, nil)
	}
	p.tx, p.copies, p.status = nil, nil, status
}

func (p *passing) OnResponse(_ *siptx.ClientTx, res *siptx.Response) {
	status := res.Head.Status
	switch {
	case status < 200:
		return
	case status < 300:
		p.answer(status, siptx.Reason(status), passed(res.Raw, res.Head, passResponse))
		return
	}
	fields := passed(res.Raw, res.Head, passResponse)
	shown, reason := beyond(status, siptx.Reason(status))
	p.answer(shown, reason, fields)
	if status == 408 || status == 481 {
		// RFC 5057: the far phone knows nothing of the call any more.
		p.from.call.hangUp(federation.Termination{Class: federation.Lost, Reason: sipReason(status, "to INFO"), By: federation.BySystem})
	}
}

// OnTimeout: a 408 to a non-INVITE helps nobody (RFC 4320 §4.2); the asker's own timer ends it.
func (p *passing) OnTimeout(*siptx.ClientTx) {}

func (p *passing) OnSendError(*siptx.ClientTx, error) {
	p.answer(480, "Temporarily Unavailable", nil)
}

// request sends a request in the leg's dialog with the next CSeq, or keeps it until the phone, whose
// connection is gone, is back.
func (l *Leg) request(method string, write func(seq uint32, branch siptx.Branch) []byte, user siptx.ClientUser) {
	send := func() {
		l.localSeq++
		if l.node != "" {
			v := &viaHub{leg: l, method: method, seq: l.localSeq, write: write, user: user}
			l.moveHub()
			v.send()
			return
		}
		if l.name != nil {
			(&byName{leg: l, method: method, seq: l.localSeq, write: write, user: user}).begin()
			return
		}
		branch := l.call.env.NewBranch()
		tx := l.call.env.SendRequest(l.flow, method, branch, write(l.localSeq, branch), user)
		if keeper, ok := user.(interface{ sent(*siptx.ClientTx) }); ok {
			keeper.sent(tx)
		}
	}
	if !l.stale || l.node != "" && l.moveHub() {
		send()
		return
	}
	l.waiting = append(l.waiting, send)
	l.waitForPeer()
}

// flowClosed tells that a connection ended; requests towards its phone now wait for the phone.
func (l *Leg) flowClosed() {
	l.stale = true
	if l.node == "" && l.state == legEnding && l.waiting == nil && l.farewell == farewellNone {
		l.gone() // the BYE's answer cannot come any more; the phone knows or is off
	}
}

// reconnectStep is how often the registrar, or the uplink, is asked for a new connection.
const reconnectStep = 250 * time.Millisecond

// waitForPeer looks for a new connection until Config.Reconnect is over, then dials the phone's Contact. A
// hub is not dialled from here.
func (l *Leg) waitForPeer() {
	c := l.call
	deadline := c.env.Now().Add(c.cfg.Reconnect)
	var look func()
	look = func() {
		if l.found() {
			l.back()
			return
		}
		if !c.env.Now().Before(deadline) {
			l.flow.ID = 0
			l.back()
			return
		}
		l.looking = c.env.After(reconnectStep, look)
	}
	if l.looking == nil {
		look()
	}
}

// found takes the peer's new connection, if there is one.
func (l *Leg) found() bool {
	if l.node != "" {
		return l.moveHub()
	}
	flow, ok := l.call.env.Find(l.phone())
	if ok {
		l.flow = flow
		l.call.env.Moved(l)
	}
	return ok
}

// back sends what waited for the phone.
func (l *Leg) back() {
	l.stale = false
	if l.looking != nil {
		l.looking.Stop()
		l.looking = nil
	}
	for _, send := range l.waiting {
		send()
	}
	l.waiting = nil
}

// sipReason is a refusal in the words of the CDR: "486 Busy Here".
func sipReason(status int, reason string) string {
	return strconv.Itoa(status) + " " + reason
}

// voiceSilent tells that a leg's endpoint heard neither RTP nor RTCP for the timeout; it is told again
// after each further one. A call whose two sides are both silent is over, unless one of them holds.
func (l *Leg) voiceSilent() {
	c := l.call
	now := c.env.Now()
	l.media.silentAt = now
	far := c.other(l)
	if c.phase != Up || far == nil || held(l) || held(far) {
		return
	}
	if since := now.Sub(far.media.silentAt); far.media.silentAt.IsZero() || since > c.cfg.MediaTimeout+c.cfg.MediaTimeout/2 {
		return
	}
	c.hangUp(federation.Termination{Class: federation.Lost, Reason: "media timeout", By: federation.BySystem})
}
