package call

import (
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/nodelink"
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
	// VoiceReachable says whether other sites can send voice to this one before it has sent any to them. It is quick
	// and may be called from any goroutine.
	VoiceReachable() bool
	// State says whether a hub answers.
	State(hub federation.NodeID) nodelink.State
}

// uplinked is what only a leg that hubs carry has.
type uplinked struct {
	attempts []*attempt // B: the copies of its first INVITE
	askedAt  time.Time  // when the first left
	timer    Timer      // bounds the wait for a hub's first word, or for a hub
	uri      string     // Request-URI of the INVITE: the dialog's target changes with its answers
	forks    []dialog   // early dialogs other than the leg's own
	copies   []arrived  // A: further copies of the peer's INVITE
	pending  []*viaHub  // requests inside the dialog that have no answer
	ack      lastAck
	info     *passing // the last INFO, for its copies
}

// hubs is the leg's uplinked.
func (l *Leg) hubs() *uplinked {
	if l.up == nil {
		l.up = &uplinked{}
	}
	return l.up
}

// stopWaiting stops the timer.
func (u *uplinked) stopWaiting() {
	if u.timer != nil {
		u.timer.Stop()
		u.timer = nil
	}
}

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

// unreached ends an uplink leg that found nobody, and says why.
func (l *Leg) unreached(why string) {
	l.call.failure.explain(480, why, l.state == legEarly)
	l.refused(480, "Temporarily Unavailable")
}

// explain considers a failure of our own that has a reason.
func (f *failure) explain(status int, why string, rang bool) {
	before := f.rank
	if f.consider(status, siptx.Reason(status), rang); f.rank > before {
		f.why = why
	}
}

// reasonOf is the Reason (RFC 3326) that tells a caller why, nothing without one; a 488 has a Warning too
// (RFC 3261 §21.4.26), which phones show.
func (c *Call) reasonOf() []field {
	why, status := c.failure.why, c.failure.status
	if why == "" {
		return nil
	}
	fields := []field{{"Reason", fmt.Sprintf("SIP;cause=%d;text=%q", status, why)}}
	if status == 488 {
		fields = append(fields, field{"Warning", fmt.Sprintf("399 %s %q", c.cfg.Domain, why)})
	}
	return fields
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

// Hub says whether a hub answers.
func (r *Runner) Hub(hub federation.NodeID) nodelink.State {
	if r.deps.Uplink == nil {
		return nodelink.Down
	}
	return r.deps.Uplink.State(hub)
}
