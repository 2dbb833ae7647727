package call

import (
	"iter"
	"net/netip"
	"time"

	"github.com/mss-federation/mss/lmss/cdr"
	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/media"
	"github.com/mss-federation/mss/pkg/nodelink"
	"github.com/mss-federation/mss/pkg/siptarget"
	"github.com/mss-federation/mss/pkg/siptransport"
	"github.com/mss-federation/mss/pkg/siptx"
)

// Timer is a pending timer of a call. Stop on a fired or nil-valued one does nothing.
type Timer interface{ Stop() }

// timerKind names the timers of a call; each exists once.
type timerKind uint8

const (
	timerNoAnswer timerKind = iota
	timerNextGroup
	timerPersist
	timerRepeat
	timerReport
	timerDeserted
	timerKinds
)

// Env is what a call may do. All methods return at once; what comes of them comes back later as an
// event on the same worker. Runner implements it.
type Env interface {
	Now() time.Time
	NewBranch() siptx.Branch
	NewCallID() string
	NewTag() string
	SendRequest(flow siptransport.Flow, method string, branch siptx.Branch, msg []byte, user siptx.ClientUser) *siptx.ClientTx
	SendRaw(flow siptransport.Flow, msg []byte)
	After(d time.Duration, fn func()) Timer

	// SentBy is the address that Via and Contact show on that flow: the socket's, or its advertised one.
	SentBy(flow siptransport.Flow) netip.AddrPort
	// VoiceAddr is the local address for voice with the peer of that flow, and the one SDP shows for it: of the IP
	// version of peer where that is valid and this site has it, else of the flow's.
	VoiceAddr(flow siptransport.Flow, peer netip.Addr) (bind, shown netip.Addr)
	// OpenMedia opens a leg's endpoint; Leg.opened follows.
	OpenMedia(l *Leg, spec media.EndpointSpec)
	AimMedia(id uint64, aim media.Aim)
	JoinMedia(a, b uint64)
	// CloseMedia closes an endpoint; its last report may reach the CDR.
	CloseMedia(l *Leg)
	NewEndpointID() uint64

	// Save writes the record of the call as it is now; with wait, Call.persisted follows.
	Save(c *Call, wait bool)
	// Finish writes the closed CDR and removes the record.
	Finish(c *Call, closed cdr.Record)
	// Note keeps what a restart must know of a call in set-up or just ended; DropNote forgets it.
	Note(id string, note *Note)
	DropNote(id string)
	// TakesNotes says whether Note does anything.
	TakesNotes() bool

	// Ways are the hubs that lead to other sites now: see [Uplink].
	Ways(prefer federation.NodeID) iter.Seq2[federation.NodeID, siptransport.Flow]
	// VoiceReachable says whether other sites can send voice to this one before it has sent any to them.
	VoiceReachable() bool
	// FindWays looks up where a name leads; done is called later, on the same worker. Tried and NoTCP say what came
	// of a way: see [Names].
	FindWays(q siptarget.Query, done func([]Way, error))
	Tried(flow siptransport.Flow, answered bool)
	NoTCP(flow siptransport.Flow)
	// Hub says whether a hub answers.
	Hub(hub federation.NodeID) nodelink.State
	// Find gives the flow on which a phone can be reached now.
	Find(phone Phone) (siptransport.Flow, bool)
	// Track makes a leg known by its Call-ID and keeps its connection open; Moved follows it to another
	// connection; Forget ends both.
	Track(l *Leg)
	Moved(l *Leg)
	Forget(l *Leg)
	// Ended tells that the call is over and all its legs are forgotten.
	Ended(c *Call)
}
