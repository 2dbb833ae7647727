package call

import (
	"net/netip"
	"time"

	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/media"
	"github.com/mss-federation/mss/pkg/sdpedit"
	"github.com/mss-federation/mss/pkg/sipheader"
	"github.com/mss-federation/mss/pkg/siptransport"
	"github.com/mss-federation/mss/pkg/siptx"
)

// legState is the state of a leg's dialog.
type legState uint8

const (
	legNew       legState = iota // waiting for its endpoint
	legCalling                   // B: INVITE sent, no answer but 100
	legEarly                     // A: not answered yet; B: 101–199 seen
	legCancelled                 // B: CANCEL sent, final not seen
	legConfirmed                 // 2xx sent or received
	legEnding                    // BYE sent, its final not seen
	legGone                      // nothing more is expected
)

// farewell is what is left to do with a caller who has not acknowledged its 2xx when the call ends.
type farewell uint8

const (
	farewellNone farewell = iota
	farewellBye           // our BYE
	farewellMute          // nothing: the caller has hung up
)

// Leg is one dialog of a call.
type Leg struct {
	call     *Call
	state    legState
	caller   bool // this is the A leg
	user     federation.User
	instance string
	nat      bool
	node     federation.NodeID // the hub that carries the leg, empty for a phone's
	hidden   bool              // that leads to a site whose voice cannot be reached
	up       *uplinked         // nil for a phone's, and for a leg of which nothing is pending
	name     *named            // nil unless the peer is known by its host name

	dialog
	media side

	// invite is an INVITE of the peer that has no ACK yet (A: the first one; both: re-INVITEs).
	invite     *siptx.ServerTx
	asking     *reinvite // it, on its way to the other leg
	inviteWire []byte    // the 2xx to it, kept until its ACK
	inviteSeq  uint32    // its CSeq
	answeredAt time.Time // when the 2xx left
	resending  Timer     // of a 2xx of an earlier process
	awaitACK   bool      // our 2xx has left and the ACK has not come
	met        bool      // an ACK to a 2xx has come, or will not
	heard      bool      // a later request shows that the peer is in the dialog
	farewell   farewell  // what waits for that ACK when the call is over
	offerless  bool      // that INVITE came without SDP: the answer is in its ACK
	// out is our INVITE to the peer that has no final answer; outSeq its CSeq.
	out        *siptx.ClientTx
	outSeq     uint32
	outOver    bool   // out had its final answer
	inviteSent []byte // our first INVITE as sent, while it is open: each note of the call has it
	ackBody    []byte // SDP in the ACK to the peer's last 2xx, repeated with it
	acked      bool   // the last 2xx has been ACKed
	branch     siptx.Branch

	holding siptransport.FlowID // the connection that this leg keeps open; owned by Runner
	// dismissed are the tags of answers that were ended at once.
	dismissed []string

	stale   bool     // the connection of its flow is gone
	waiting []func() // what to send when the phone is back
	looking Timer    // the search for the phone's new connection
	next    *Leg     // of the same Call-ID; owned by Runner's table
}

// dialog is the state of RFC 3261 §12.
type dialog struct {
	callID    string
	localTag  string
	remoteTag string
	local     string // From or To value of our side, without tag
	remote    string // of the peer's side
	localSeq  uint32
	remoteSeq uint32
	routes    []string // route set, top first
	recorded  []string // Record-Route of the INVITE that made the dialog, for its 18x and 2xx; as received
	target    string   // remote target: the peer's Contact URI
	flow      siptransport.Flow
}

// side is the voice of a leg. What the peer described is kept as what follows from it, not as text: a
// call that is up stays small.
type side struct {
	endpoint   uint64     // zero: not anchored
	port       int        // of our RTP socket
	bind       netip.Addr // its address, and the one that SDP shows for it: they stay when the leg moves to another
	shown      netip.Addr // connection, which may be on another interface
	open       bool
	closed     bool
	session    uint64           // o= session id that we show
	version    uint64           // o= version of local
	local      []byte           // SDP last sent to the peer
	wish                        // of the peer, by its latest SDP
	answer     *sdpedit.Session // B leg, until the call is answered: the SDP of its provisional
	silentAt   time.Time        // when nothing had been heard for the timeout
	generation uint32           // counts the peer's descriptions: each re-opens source learning
}

// wish is what the peer's SDP says of its voice.
type wish struct {
	known bool
	held  bool // it does not send, or does not want, voice
	aim   media.Aim
}

// Phone is what a phone is recognised by when its connection is gone.
type Phone struct {
	User     federation.User
	Instance string
	Contact  string            // its remote target
	Flow     siptransport.Flow // where it was
	Node     federation.NodeID // the hub that it is behind
}

func (l *Leg) phone() Phone {
	return Phone{User: l.user, Instance: l.instance, Contact: l.target, Flow: l.flow, Node: l.node}
}

func (l *Leg) inviteOpen() bool {
	return l.state == legCalling || l.state == legEarly || l.state == legNew
}

// adoptResponse takes tag, route set, target and sequence of a dialog from a response (RFC 3261 §12.1.2).
func (l *Leg) adoptResponse(res *siptx.Response) {
	l.remoteTag = string(res.Head.ToTag.Of(res.Raw))
	l.remote = sipheader.WithoutTag(string(res.Head.To.Of(res.Raw)))
	if contact := contactURI(res.Raw, res.Head); contact != "" {
		l.target = contact
	}
	l.routes = reversed(recordRoutes(res.Raw, res.Head))
	l.hearVoice(res.Raw, res.Head)
}

// refreshTarget takes a new remote target from a re-INVITE or its 2xx (RFC 3261 §12.2).
func (l *Leg) refreshTarget(contact string) {
	if contact != "" {
		l.target = contact
	}
}

func reversed(in []string) []string {
	for i, j := 0, len(in)-1; i < j; i, j = i+1, j-1 {
		in[i], in[j] = in[j], in[i]
	}
	return in
}
