package call

import (
	"slices"
	"time"

	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/nodelink"
	"github.com/mss-federation/mss/pkg/sipheader"
	"github.com/mss-federation/mss/pkg/siptx"
)

// notBelieved are the failures that a hub's own word does not make final inside a dialog, since most of them
// would end the call (RFC 5057 §5.1): another hub is asked first (sip-rules §3).
var notBelieved = []int{404, 408, 410, 480, 481, 482, 484, 502, 503, 504}

// viaHub is a request inside a dialog on its way through a hub. What the hub says of its own, its silence, and
// the end of its connection do not end it: it goes through the next one, with the same CSeq, which the far end
// answers once (sip-rules §3).
type viaHub struct {
	leg    *Leg
	method string
	seq    uint32
	write  func(seq uint32, branch siptx.Branch) []byte
	user   siptx.ClientUser
	tx     *siptx.ClientTx   // the latest copy's
	node   federation.NodeID // that it went through
	tried  []federation.NodeID
	since  time.Time // when no hub had a way to the other site at first
	waited bool
	over   bool // user knows how it ended
}

// send sends it over the leg's connection of the moment.
func (v *viaHub) send() {
	l := v.leg
	env := l.call.env
	branch := env.NewBranch()
	v.node = l.node
	v.tx = env.SendRequest(l.flow, v.method, branch, v.write(v.seq, branch), v)
	if up := l.hubs(); !slices.Contains(up.pending, v) {
		up.pending = append(up.pending, v)
	}
	if keeper, ok := v.user.(interface{ sent(*siptx.ClientTx) }); ok {
		keeper.sent(v.tx)
	}
}

// done says that nothing more is to be sent.
func (v *viaHub) done() {
	v.over = true
	up := v.leg.hubs()
	if i := slices.Index(up.pending, v); i >= 0 {
		up.pending = slices.Delete(up.pending, i, i+1)
	}
}

// OnResponse believes a failure that the hub itself gives only when no other hub is left. Of several copies the
// first that is answered counts; a 2xx to an INVITE may be repeated by each.
func (v *viaHub) OnResponse(tx *siptx.ClientTx, res *siptx.Response) {
	status := res.Head.Status
	own := slices.Contains(notBelieved, status) && sipheader.First(res.Raw, res.Head, byNode) != ""
	switch {
	case v.over && (v.method != "INVITE" || status/100 != 2):
		return
	case own && (tx != v.tx || v.answering() && v.again() || status == 503 && v.later() || v.again()):
		return
	case status >= 200 && !v.over:
		v.done()
	}
	v.user.OnResponse(tx, res)
}

// OnTimeout is the far end's silence.
func (v *viaHub) OnTimeout(tx *siptx.ClientTx) {
	if v.over || tx != v.tx {
		return
	}
	v.done()
	v.user.OnTimeout(tx)
}

// OnSendError takes another hub, or waits once for any to come back.
func (v *viaHub) OnSendError(tx *siptx.ClientTx, err error) {
	l := v.leg
	switch {
	case v.over || tx != v.tx || v.again():
		return
	case v.waited:
		v.done()
		v.user.OnSendError(tx, err)
		return
	}
	v.waited, v.tried, l.stale = true, nil, true
	l.waiting = append(l.waiting, v.send)
	l.waitForPeer()
}

// answering says whether another hub that was not tried answers. One that does not could swallow the request until its
// connection is closed: the hub that had no way this time is asked again before.
func (v *viaHub) answering() bool {
	for node := range v.leg.call.env.Ways("") {
		if node != v.node && !slices.Contains(v.tried, node) && v.leg.call.env.Hub(node) == nodelink.Alive {
			return true
		}
	}
	return false
}

func (v *viaHub) again() bool {
	v.tried = append(v.tried, v.node)
	if !v.leg.moveHub(v.tried...) {
		return false
	}
	v.send()
	return true
}

// later asks all hubs again in a moment, since none of them has a way to the other site: its server may just be
// starting again. A call whose end does not get there would stay up at the other end. It gives up after
// Config.Reconnect, like the wait for a phone, and when the call is over and this would not end it.
func (v *viaHub) later() bool {
	c := v.leg.call
	now := c.env.Now()
	if v.since.IsZero() {
		v.since = now
	}
	if now.Sub(v.since) >= c.cfg.Reconnect || c.phase == Over && v.method != "BYE" {
		return false
	}
	v.tried = nil
	c.env.After(reconnectStep, func() {
		if v.over || v.leg.state == legGone {
			return
		}
		v.leg.moveHub()
		v.send()
	})
	return true
}

// lastAck is the last ACK to a 2xx that went through a hub.
type lastAck struct {
	node federation.NodeID
	at   time.Time
	lost bool // that hub is, and none answered since
}

// ackAgain sends an ACK of the last 32 s once more when its hub is lost: nobody else repeats it. An INVITE that
// has left since counts for the peer as that ACK (sip-rules §3).
func (l *Leg) ackAgain(lost federation.NodeID) {
	switch {
	case l.state == legGone, !l.acked, l.out != nil && !l.outOver, l.call.env.Now().Sub(l.up.ack.at) >= timeout64T1:
	case l.elsewhere(lost):
		l.sendAck()
	default:
		l.up.ack.lost = true
	}
}
