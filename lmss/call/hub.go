package call

import (
	"iter"
	"slices"

	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/sipheader"
	"github.com/mss-federation/mss/pkg/siptransport"
	"github.com/mss-federation/mss/pkg/siptx"
)

// Uplink leads to other sites through hubs; *uplink.Uplink is one. A leg towards another site belongs to no
// connection: the next hop is a hub, any hub can carry what is said inside a dialog, and the route set stays
// as it is (sip-rules §1, §3).
type Uplink interface {
	// Ways are the hubs that can be reached now and the connection to each, in the order of use: prefer
	// first, if it is as good as the others. It is quick and may be called from any goroutine.
	Ways(prefer federation.NodeID) iter.Seq2[federation.NodeID, siptransport.Flow]
	// Node says which hub a flow leads to.
	Node(flow siptransport.Flow) (federation.NodeID, bool)
}

// maxHubs is how many hubs an attempt to call another site goes through.
const maxHubs = 2

// byNode names the node that answered of its own; between our own nodes only.
const byNode = "x-mss-by"

// Node is the hub through which the leg's peer was last heard, empty for a phone.
func (l *Leg) Node() federation.NodeID { return l.node }

// moveHub puts an uplink leg on the best connection to a hub, of those that were not tried. Its own hub stays
// while it answers.
func (l *Leg) moveHub(tried ...federation.NodeID) bool {
	for node, flow := range l.call.env.Ways(l.node) {
		gone := l.stale && flow.ID != 0 && flow.ID == l.flow.ID // its end may not have come round yet
		if !gone && !slices.Contains(tried, node) {
			l.node, l.flow, l.stale = node, flow, false
			return true
		}
	}
	return false
}

// sameHub finds the leg's own hub again: what answers a request belongs to that hub's transaction.
func (l *Leg) sameHub() bool {
	flow, ok := l.call.env.Find(l.phone())
	if ok {
		l.flow, l.stale = flow, false
	}
	return ok
}

// anotherHub sends the INVITE of a leg again through the next hub: same Call-ID, tag and CSeq, another branch.
// It does so only while the other site cannot have heard of it: what rang there is final.
func (l *Leg) anotherHub() bool {
	if l.node == "" || l.state != legCalling || l.call.phase != Setup {
		return false
	}
	l.tried = append(l.tried, l.node)
	if len(l.tried) >= maxHubs || !l.moveHub(l.tried...) {
		return false
	}
	l.sendInvite()
	l.call.note()
	return true
}

// refusedByHub takes the final failure of an uplink leg's INVITE. A 503 is the hub's own, and so is a 480 that
// says who gave up: both leave the other hub to be tried.
func (l *Leg) refusedByHub(res *siptx.Response) {
	status := res.Head.Status
	own := status == 503 || status == 480 && sipheader.First(res.Raw, res.Head, byNode) != ""
	switch {
	case own && l.anotherHub():
	case own:
		l.unreached("no way to the other site")
	default:
		l.refused(status, siptx.Reason(status))
	}
}

// unreached ends an uplink leg that found nobody, and says why.
func (l *Leg) unreached(why string) {
	l.call.failure.explain(why, l.state == legEarly)
	l.refused(480, "Temporarily Unavailable")
}

// explain considers a 480 of our own that has a reason.
func (f *failure) explain(why string, rang bool) {
	before := f.rank
	if f.consider(480, "Temporarily Unavailable", rang); f.rank > before {
		f.why = why
	}
}

// reasonOf is the Reason (RFC 3326) that tells a caller why, nothing without one.
func reasonOf(why string) []field {
	if why == "" {
		return nil
	}
	return []field{{"Reason", `SIP;cause=480;text="` + why + `"`}}
}

// viaHub is a request inside a dialog on its way through a hub. What the hub says of its own, and the end of its
// connection, do not end it: it goes through the next one, with the same CSeq, which the far end answers once
// (sip-rules §3).
type viaHub struct {
	leg    *Leg
	method string
	seq    uint32
	write  func(seq uint32, branch siptx.Branch) []byte
	user   siptx.ClientUser
	tried  []federation.NodeID
	waited bool
}

// send sends it over the leg's connection of the moment.
func (v *viaHub) send() {
	env := v.leg.call.env
	branch := env.NewBranch()
	tx := env.SendRequest(v.leg.flow, v.method, branch, v.write(v.seq, branch), v)
	if keeper, ok := v.user.(interface{ sent(*siptx.ClientTx) }); ok {
		keeper.sent(tx)
	}
}

// OnResponse believes a failure that the hub itself gives only when no other hub is left.
func (v *viaHub) OnResponse(tx *siptx.ClientTx, res *siptx.Response) {
	own := res.Head.Status >= 300 && sipheader.First(res.Raw, res.Head, byNode) != ""
	if own && v.again() {
		return
	}
	v.user.OnResponse(tx, res)
}

// OnTimeout is the far end's silence.
func (v *viaHub) OnTimeout(tx *siptx.ClientTx) { v.user.OnTimeout(tx) }

// OnSendError takes another hub, or waits once for any to come back.
func (v *viaHub) OnSendError(tx *siptx.ClientTx, err error) {
	l := v.leg
	if v.again() {
		return
	}
	if v.waited {
		v.user.OnSendError(tx, err)
		return
	}
	v.waited, v.tried, l.stale = true, nil, true
	l.waiting = append(l.waiting, v.send)
	l.waitForPeer()
}

func (v *viaHub) again() bool {
	v.tried = append(v.tried, v.leg.node)
	if !v.leg.moveHub(v.tried...) {
		return false
	}
	v.send()
	return true
}

// Ways are the hubs of the uplink.
func (r *Runner) Ways(prefer federation.NodeID) iter.Seq2[federation.NodeID, siptransport.Flow] {
	if r.deps.Uplink == nil {
		return func(func(federation.NodeID, siptransport.Flow) bool) {}
	}
	return r.deps.Uplink.Ways(prefer)
}

// hubOf is the hub at the other end of a flow, empty for phones.
func (r *Runner) hubOf(flow siptransport.Flow) federation.NodeID {
	if r.deps.Uplink == nil {
		return ""
	}
	node, _ := r.deps.Uplink.Node(flow)
	return node
}
