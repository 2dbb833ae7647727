package call

import (
	"net/netip"
	"time"

	"github.com/mss-federation/mss/lmss/cdr"
	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/media"
	"github.com/mss-federation/mss/pkg/siptransport"
)

// restoredGap is added to our CSeq after a restart, so that a lost write never makes it go backwards
// (gaps are no error: RFC 3261 §12.2.2).
const restoredGap = 1000

// record is what outlives the signalling process: both legs and the open CDR.
type record struct {
	ID      string
	Session federation.SessionID
	A       legRecord
	B       legRecord
	CDR     cdr.Record
}

// legRecord is one dialog and its voice.
type legRecord struct {
	User      federation.User
	Instance  string
	NAT       bool
	Node      federation.NodeID // the hub that carried the leg
	Host      string            // the name that the peer was called by
	Addrs     []netip.Addr      // its addresses
	CallID    string
	LocalTag  string
	RemoteTag string
	Local     string
	Remote    string
	LocalSeq  uint32
	RemoteSeq uint32
	OutSeq    uint32
	InviteSeq uint32
	Routes    []string
	Recorded  []string
	Target    string
	Flow      siptransport.Flow
	Answer    []byte    // our 2xx that waits for its ACK
	Answered  time.Time // when it left
	AckBody   []byte
	Offerless bool // the peer's ACK brings the SDP answer
	Endpoint  uint64
	Port      int
	Bind      netip.Addr // of the endpoint
	Shown     netip.Addr
	SDPID     uint64
	SDPSeq    uint64
	LocalSDP  []byte
	Known     bool
	Held      bool
	Aim       media.Aim
}

// save writes the record. With wait, persisted follows and releases the 200.
func (c *Call) save(wait bool) {
	if c.winner == nil || c.phase == Over {
		return
	}
	c.env.Save(c, wait)
}

// appendRecord appends the call as it is stored.
func (c *Call) appendRecord(dst []byte) []byte {
	r := record{ID: c.id, Session: c.session, A: c.a.record(), B: c.winner.record(), CDR: c.cdr}
	return r.append(dst)
}

func (l *Leg) record() legRecord {
	r := legRecord{
		User: l.user, Instance: l.instance, NAT: l.nat, Node: l.node,
		CallID: l.callID, LocalTag: l.localTag, RemoteTag: l.remoteTag, Local: l.local, Remote: l.remote,
		LocalSeq: l.localSeq, RemoteSeq: l.remoteSeq, OutSeq: l.outSeq, InviteSeq: l.inviteSeq,
		Routes: l.routes, Recorded: l.recorded, Target: l.target, Flow: l.flow,
		Answer: l.inviteWire, Answered: l.answeredAt, AckBody: l.ackBody, Offerless: l.offerless,
		Endpoint: l.media.endpoint, Port: l.media.port, Bind: l.media.bind, Shown: l.media.shown, SDPID: l.media.session, SDPSeq: l.media.version,
		LocalSDP: l.media.local, Known: l.media.known, Held: l.media.held, Aim: l.media.wish.aim,
	}
	if l.name != nil {
		r.Host, r.Addrs = l.name.host, l.name.addrs
	}
	return r
}

// restore makes an established call from its record.
func restore(env Env, cfg *Config, data []byte) (*Call, error) {
	var r record
	if err := r.read(data); err != nil {
		return nil, err
	}
	c := &Call{env: env, cfg: cfg, id: r.ID, session: r.Session, phase: Up, cdr: r.CDR}
	c.cdr.Recovered = true
	c.a, c.winner = r.A.leg(c), r.B.leg(c)
	c.a.caller = true
	c.a.acked, c.winner.acked = !c.winner.offerless, !c.a.offerless
	c.b = []*Leg{c.winner}
	return c, nil
}

func (r *legRecord) leg(c *Call) *Leg {
	l := &Leg{call: c, state: legConfirmed, user: r.User, instance: r.Instance, nat: r.NAT, node: r.Node, outOver: true}
	l.dialog = dialog{
		callID: r.CallID, localTag: r.LocalTag, remoteTag: r.RemoteTag, local: r.Local, remote: r.Remote,
		localSeq: r.LocalSeq + restoredGap, remoteSeq: r.RemoteSeq, routes: r.Routes, recorded: r.Recorded,
		target: r.Target, flow: r.Flow,
	}
	if r.Host != "" {
		l.name = &named{host: r.Host, addrs: r.Addrs}
	}
	l.outSeq, l.inviteSeq, l.inviteWire, l.ackBody = r.OutSeq, r.InviteSeq, r.Answer, r.AckBody
	l.offerless, l.answeredAt = r.Offerless, r.Answered
	l.media = side{
		endpoint: r.Endpoint, port: r.Port, open: true, session: r.SDPID, version: r.SDPSeq, local: r.LocalSDP,
	}
	if l.media.bind, l.media.shown = r.Bind, r.Shown; !r.Bind.IsValid() {
		l.media.bind, l.media.shown = c.env.VoiceAddr(r.Flow, netip.Addr{})
	}
	// A connection does not outlive the process that accepted it, and its number may be another's now.
	l.stale = l.flow.Transport.Stream() && l.name == nil // a server by name is dialled again
	l.flow.ID = 0
	l.media.generation = r.Aim.Generation
	l.media.wish = wish{known: r.Known, held: r.Held, aim: r.Aim}
	return l
}

// HomeCallID is the Call-ID of a stored call that names its owner: the one that we made.
func HomeCallID(data []byte) (string, error) {
	var r record
	if err := r.read(data); err != nil {
		return "", err
	}
	return r.B.CallID, nil
}

// resume puts a restored call to work: its voice is re-created, and a 2xx whose ACK may be missing is
// sent again for as long as the first sender would have (64*T1).
func (c *Call) resume() {
	for _, l := range []*Leg{c.a, c.winner} {
		c.env.Track(l)
		if len(l.inviteWire) > 0 && c.env.Now().Sub(l.answeredAt) < timeout64T1 {
			l.awaitACK = true
			l.resend(firstResend)
		} else {
			l.inviteWire = nil
		}
	}
}

const (
	timeout64T1 = 32 * time.Second       // RFC 3261 §17.1.1.2: 64*T1
	firstResend = 500 * time.Millisecond // T1
	lastResend  = 4 * time.Second        // T2
)

// resend repeats the 2xx of an earlier process with doubling gaps until its ACK comes or its time is over.
// A missing ACK does not end a restored call: the phone may have sent it to the process that died.
func (l *Leg) resend(gap time.Duration) {
	if l.call.phase != Up || !l.awaitACK || l.call.env.Now().Sub(l.answeredAt) > timeout64T1 {
		return
	}
	if !l.stale || l.node != "" && l.sameHub() {
		l.call.env.SendRaw(l.flow, l.inviteWire)
	}
	l.resending = l.call.env.After(gap, func() { l.resend(min(2*gap, lastResend)) })
}

// voice is what the media process needs to know of a restored leg.
func (l *Leg) voice() (media.EndpointSpec, bool) {
	if l.media.endpoint == 0 {
		return media.EndpointSpec{}, false
	}
	spec := media.EndpointSpec{
		ID: l.media.endpoint, Group: l.call.group(), Local: l.media.bind, Port: l.media.port, Timeout: l.call.cfg.MediaTimeout,
		Aim: l.media.wish.aim,
	}
	return spec, true
}
