package call

import (
	"net/netip"
	"slices"
	"time"

	"github.com/mss-federation/mss/pkg/siptarget"
	"github.com/mss-federation/mss/pkg/siptransport"
	"github.com/mss-federation/mss/pkg/siptx"
)

// Way is one way to a peer that is known by its name.
type Way struct {
	Flow siptransport.Flow
	// TCP is a connection instead of Flow, which is UDP, for what is too large for one datagram (RFC 3261
	// §18.1.1). Zero: none is to be tried.
	TCP siptransport.Flow
}

// Names finds the ways to a name and remembers which of them failed.
type Names interface {
	// Find calls done once, from any goroutine, with at least one way, the one to try first first, or an error.
	Find(q siptarget.Query, done func([]Way, error))
	// Tried says what came of a way: nothing or a refusal of its own (false), or an answer.
	Tried(flow siptransport.Flow, answered bool)
	// NoTCP says that a peer takes no TCP for what is large.
	NoTCP(flow siptransport.Flow)
}

const (
	// addressPatience is how long an address may say nothing, not even 100, while there is another one.
	addressPatience = 1500 * time.Millisecond
	// tcpPatience is the same of a connection that is tried only because a request is large.
	tcpPatience = 500 * time.Millisecond
	// maxDatagram is the largest request that is sent over UDP where there is a choice, in bytes (RFC 3261 §18.1.1).
	maxDatagram = 1300
	// hopLife is how long the ways inside a dialog are believed; then the name is looked up again.
	hopLife = 30 * time.Second
	// maxPeerAddrs bounds the addresses that are remembered of a peer: each new Contact that it shows brings some.
	maxPeerAddrs = 64
)

// named is what only a leg has whose peer is known by its name. Its INVITE goes to one address after the other
// (RFC 3263 §4.3), and what follows inside the dialog goes where route set or remote target say.
type named struct {
	host  string
	left  []Way             // for the INVITE, not tried yet
	udp   siptransport.Flow // the INVITE goes over TCP because it is large; if that fails it goes here
	addrs []netip.Addr      // of the peer, as far as they were looked up: messages may come from each

	hop     string // the next hop inside the dialog that ways lead to
	ways    []Way
	at      time.Time // when they were found
	waiting []func()  // for them
}

// lookUp begins a leg whose target has a name: its endpoint is opened once it is clear which interface leads there.
func (l *Leg) lookUp(q siptarget.Query) {
	l.name = &named{host: q.Host}
	l.call.opening++
	l.call.env.FindWays(q, l.waysFound)
}

// waysFound takes the ways of the first INVITE.
func (l *Leg) waysFound(ways []Way, err error) {
	c := l.call
	c.opening--
	switch {
	case l.state != legNew || c.phase != Setup: // nobody waits for it any more
	case err != nil:
		c.failure.explain(480, "the address of "+l.name.host+" cannot be found", false)
		l.gone()
		c.goOn()
	default:
		l.name.learn(ways)
		l.flow, l.name.left = ways[0].Flow, ways
		l.openMedia(nil)
	}
	c.ready()
}

// learn remembers the peer's addresses, the latest ones.
func (n *named) learn(ways []Way) {
	for _, w := range ways {
		if addr := w.Flow.Remote.Addr(); !slices.Contains(n.addrs, addr) {
			n.addrs = append(n.addrs, addr)
		}
	}
	if more := len(n.addrs) - maxPeerAddrs; more > 0 {
		n.addrs = slices.Delete(n.addrs, 0, more)
	}
}

// From says whether a message that came over a flow may be the peer's: from where the leg's own go, or from an
// address of the name that it was called by.
func (l *Leg) From(flow siptransport.Flow) bool {
	return l.flow == flow || l.name != nil && slices.Contains(l.name.addrs, flow.Remote.Addr())
}

// inviteNamed sends the first INVITE to the address of the moment, over TCP if it is too large for a datagram.
func (l *Leg) inviteNamed() {
	n := l.name
	if len(n.left) > 0 && n.left[0].Flow == l.flow {
		way := n.left[0]
		if n.left = n.left[1:]; way.TCP != (siptransport.Flow{}) && len(l.invitation()) > maxDatagram {
			n.udp, l.flow = l.flow, way.TCP
		}
	}
	l.branch = l.call.env.NewBranch()
	l.inviteSent = l.invitation()
	l.out = l.call.env.SendRequest(l.flow, "INVITE", l.branch, l.inviteSent, &namedInvite{leg: l, flow: l.flow})
	switch {
	case n.udp != (siptransport.Flow{}):
		l.out.SetTimeout(tcpPatience)
	case len(n.left) > 0:
		l.out.SetTimeout(addressPatience)
	default:
		l.out.SetTimeout(l.call.cfg.Silent)
	}
}

// namedInvite is one copy of the INVITE, to one address.
type namedInvite struct {
	leg  *Leg
	flow siptransport.Flow
}

// OnResponse: a 503 is the address's own, and leaves the others; anything else is the peer's answer.
func (n *namedInvite) OnResponse(tx *siptx.ClientTx, res *siptx.Response) {
	l := n.leg
	l.call.env.Tried(n.flow, res.Head.Status != 503)
	if l.name.udp = (siptransport.Flow{}); res.Head.Status == 503 && l.nextAddress() {
		return
	}
	(*firstInvite)(l).OnResponse(tx, res)
}

// OnTimeout: silence, or it rang beyond Timer C.
func (n *namedInvite) OnTimeout(tx *siptx.ClientTx) {
	if !n.failed(tx) {
		n.explain()
		(*firstInvite)(n.leg).OnTimeout(tx)
	}
}

// OnSendError: no connection, or it ended.
func (n *namedInvite) OnSendError(tx *siptx.ClientTx, err error) {
	if !n.failed(tx) {
		n.explain()
		(*firstInvite)(n.leg).OnSendError(tx, err)
	}
}

// explain says what the caller's 480 is about.
func (n *namedInvite) explain() {
	if l := n.leg; l.state == legCalling && l.call.phase == Setup {
		l.call.failure.explain(480, "no address of "+l.name.host+" answers", false)
	}
}

// failed says whether the INVITE goes on elsewhere.
func (n *namedInvite) failed(tx *siptx.ClientTx) bool {
	l := n.leg
	if l.state != legCalling || l.out != tx {
		return false
	}
	if udp := l.name.udp; udp != (siptransport.Flow{}) {
		l.call.env.NoTCP(udp)
		l.flow, l.name.udp = udp, siptransport.Flow{}
		return l.inviteAgain()
	}
	l.call.env.Tried(n.flow, false)
	return l.nextAddress()
}

// nextAddress sends the INVITE to the next address. Where that is reached over another interface, voice moves there
// first.
func (l *Leg) nextAddress() bool {
	if l.state != legCalling || l.call.phase != Setup || len(l.name.left) == 0 {
		return false
	}
	l.flow = l.name.left[0].Flow
	bind, shown := l.call.env.VoiceAddr(l.flow, netip.Addr{})
	if !l.call.cfg.Anchor || bind == l.media.bind && shown == l.media.shown {
		return l.inviteAgain()
	}
	l.closeMedia()
	l.media, l.state = side{}, legNew
	l.openMedia(nil)
	l.call.ready()
	return true
}

func (l *Leg) inviteAgain() bool {
	l.inviteNamed()
	l.call.note()
	return true
}

// FindWays looks a name up; what comes of it comes to the worker.
func (r *Runner) FindWays(q siptarget.Query, done func([]Way, error)) {
	if r.deps.Names == nil {
		r.post(func() { done(nil, errNoWay) })
		return
	}
	r.deps.Names.Find(q, func(ways []Way, err error) {
		if err != nil {
			r.deps.Logger.Warn("name not resolved", "host", q.Host, "err", err)
		}
		r.post(func() { done(ways, err) })
	})
}

// Tried tells what came of a way.
func (r *Runner) Tried(flow siptransport.Flow, answered bool) {
	if r.deps.Names != nil {
		r.deps.Names.Tried(flow, answered)
	}
}

// NoTCP tells that a peer takes no TCP.
func (r *Runner) NoTCP(flow siptransport.Flow) {
	if r.deps.Names != nil {
		r.deps.Names.NoTCP(flow)
	}
}
