package call

import (
	"errors"
	"net/netip"
	"slices"

	"github.com/mss-federation/mss/pkg/siptransport"
	"github.com/mss-federation/mss/pkg/siptx"
)

// onWay runs fn when the leg's flow leads to the next hop of its dialog. A hop that cannot be found leaves the flow
// as it is: the peer was heard there.
func (l *Leg) onWay(fn func()) {
	n, env := l.name, l.call.env
	hop := l.nextHop()
	if hop == n.hop && env.Now().Sub(n.at) < hopLife && len(n.waiting) == 0 {
		fn()
		return
	}
	n.waiting = append(n.waiting, fn)
	if len(n.waiting) > 1 {
		return
	}
	q, ok := queryOf(hop)
	if !ok || l.misled(q.Host) {
		l.wayFound(hop, false, nil, errNoWay)
		return
	}
	env.FindWays(q, func(ways []Way, err error) { l.wayFound(hop, q.Transport == 0, ways, err) })
}

var errNoWay = errors.New("the next hop is not to be used")

// misled says whether a peer behind NAT shows an address of its own network, which is another one's here.
func (l *Leg) misled(host string) bool {
	addr, err := netip.ParseAddr(host)
	return err == nil && l.inward(addr)
}

// inward says whether an address is of another network than the one in which the peer was heard. A name may lead
// there too: a stranger's names must not make this site speak to its own neighbours.
func (l *Leg) inward(addr netip.Addr) bool {
	seen := l.flow.Remote.Addr().Unmap()
	addr = addr.Unmap()
	return addr != seen && (addr.IsPrivate() || addr.IsLoopback() || addr.IsLinkLocalUnicast()) &&
		!seen.IsPrivate() && !seen.IsLoopback()
}

// leads says whether a way is that flow. A URI that leaves the transport open means the one that is in use: many
// peers do not say there that they speak TCP.
func (w Way) leads(flow siptransport.Flow, open bool) bool {
	same := func(f siptransport.Flow) bool {
		return f.Remote == flow.Remote && (open || f.Transport == flow.Transport)
	}
	return same(w.Flow) || same(w.TCP)
}

// wayFound takes the ways to the next hop; open says that its URI names no transport.
func (l *Leg) wayFound(hop string, open bool, ways []Way, err error) {
	n := l.name
	ways = slices.DeleteFunc(slices.Clone(ways), func(w Way) bool { return l.inward(w.Flow.Remote.Addr()) })
	if err != nil || len(ways) == 0 {
		ways = []Way{{Flow: l.flow}}
	} else {
		n.learn(ways)
	}
	// Where the peer was heard is as good as any other of its addresses.
	if i := slices.IndexFunc(ways, func(w Way) bool { return w.leads(l.flow, open) }); i >= 0 {
		ways[0], ways[i] = ways[i], ways[0]
	} else {
		l.flow = ways[0].Flow
	}
	n.hop, n.ways, n.at = hop, ways, l.call.env.Now()
	waiting := n.waiting
	n.waiting = nil
	for _, fn := range waiting {
		fn()
	}
}

// byName is a request inside a dialog with a peer that is known by its name. Connect errors, silence and a 503 send
// it to the next address, with the same CSeq.
type byName struct {
	leg    *Leg
	method string
	seq    uint32
	write  func(seq uint32, branch siptx.Branch) []byte
	user   siptx.ClientUser
	left   []Way
	udp    siptransport.Flow // see named
	tx     *siptx.ClientTx   // the latest copy's
	over   bool
}

// begin sends it once the way is clear.
func (b *byName) begin() {
	b.leg.onWay(func() {
		b.left = b.leg.name.ways
		b.send()
	})
}

// send sends it over the leg's flow.
func (b *byName) send() {
	l, env := b.leg, b.leg.call.env
	branch := env.NewBranch()
	msg := b.write(b.seq, branch)
	if len(b.left) > 0 {
		way := b.left[0]
		b.left = b.left[1:]
		if len(msg) > maxDatagram && l.flow.Transport == siptransport.UDP && way.TCP != (siptransport.Flow{}) {
			b.udp, l.flow = l.flow, way.TCP
			msg = b.write(b.seq, branch)
		}
	}
	b.tx = env.SendRequest(l.flow, b.method, branch, msg, b)
	switch {
	case b.udp != (siptransport.Flow{}):
		b.tx.SetTimeout(tcpPatience)
	case len(b.left) > 0:
		b.tx.SetTimeout(addressPatience)
	}
	if keeper, ok := b.user.(interface{ sent(*siptx.ClientTx) }); ok {
		keeper.sent(b.tx)
	}
}

// again sends it to the next address, if there is one.
func (b *byName) again() bool {
	l := b.leg
	switch {
	case b.udp != (siptransport.Flow{}):
		l.call.env.NoTCP(b.udp)
		l.flow, b.udp = b.udp, siptransport.Flow{}
	case len(b.left) == 0 || l.state == legGone:
		return false
	default:
		l.flow = b.left[0].Flow
	}
	b.send()
	return true
}

// OnResponse: the first answer counts, and each 2xx to an INVITE.
func (b *byName) OnResponse(tx *siptx.ClientTx, res *siptx.Response) {
	status := res.Head.Status
	if b.over && (b.method != "INVITE" || status/100 != 2) {
		return
	}
	b.leg.call.env.Tried(tx.Flow(), status != 503)
	if b.udp = (siptransport.Flow{}); status == 503 && tx == b.tx && b.again() {
		return
	}
	b.over = b.over || status >= 200
	b.user.OnResponse(tx, res)
}

// OnTimeout is silence.
func (b *byName) OnTimeout(tx *siptx.ClientTx) {
	if b.failed(tx) {
		b.user.OnTimeout(tx)
	}
}

// OnSendError is a connection that cannot be had.
func (b *byName) OnSendError(tx *siptx.ClientTx, err error) {
	if b.failed(tx) {
		b.user.OnSendError(tx, err)
	}
}

// failed says whether that was the end.
func (b *byName) failed(tx *siptx.ClientTx) bool {
	if b.over || tx != b.tx {
		return false
	}
	if b.udp == (siptransport.Flow{}) {
		b.leg.call.env.Tried(tx.Flow(), false)
	}
	b.over = !b.again()
	return b.over
}
