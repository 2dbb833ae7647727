package exchange

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/federation"
	exchangev1 "github.com/mss-federation/mss/proto/mss/exchange/v1"
)

// Event is something that happened to a session.
type Event interface{ event() }

// The events.
type (
	// Start says that the stream is open.
	Start struct{}
	// Received is a frame from the neighbour. It must not change afterwards.
	Received struct{ Frame *exchangev1.Frame }
	// Changed says that the source has a newer revision.
	Changed struct{}
	// PolicyChanged says that the source now offers this neighbour something else without a new revision:
	// everything is sent again, and the rest swept.
	PolicyChanged struct{}
	// RequestRefresh asks the neighbour for everything again, within limits; zero: all.
	RequestRefresh struct {
		Family federation.Family
		Filter string
	}
	// Status is what the next keepalives say.
	Status struct {
		CPUPercent, Calls, CallsPerSecond uint32
		CoreSessions                      []federation.HubID // hubs with which this node has a live session
	}
	// DirectoryChanged is the list of hubs that a hub tells its sites.
	DirectoryChanged struct{ Hubs []Hub }
	// Stop ends the session.
	Stop struct {
		Code     exchangev1.CeaseCode
		Text     string
		Graceful bool
		Restart  time.Duration // with Graceful: how long routes stay as stale
	}
	// Tick says that the deadline has come.
	Tick struct{}
)

func (Start) event()            {}
func (Received) event()         {}
func (Changed) event()          {}
func (PolicyChanged) event()    {}
func (RequestRefresh) event()   {}
func (Status) event()           {}
func (DirectoryChanged) event() {}
func (Stop) event()             {}
func (Tick) event()             {}

// Action is something that a session wants done.
type Action interface{ action() }

// The actions.
type (
	// Send puts a frame on the stream.
	Send struct{ Frame *exchangev1.Frame }
	// Established says that routes flow from here on.
	Established struct{ Peer Peer }
	// Deliver hands changes to the sink, in order. It must be done before the actions behind it: these
	// grant the neighbour more bytes.
	Deliver struct{ Deltas []Delta }
	// Heard is what the neighbour's keepalive said.
	Heard struct {
		Clock time.Time
		Status
	}
	// Learned is a new list of hubs.
	Learned struct{ Hubs []Hub }
	// Synchronised says that the neighbour's first whole state is here (EndOfRib).
	Synchronised struct{}
	// End says that the session is over. The stream is to be closed once what was sent has left.
	End struct {
		Code     exchangev1.CeaseCode
		Text     string
		Local    bool // this side ended it
		Graceful bool
		Restart  time.Duration
	}
)

func (Send) action()         {}
func (Established) action()  {}
func (Deliver) action()      {}
func (Heard) action()        {}
func (Learned) action()      {}
func (Synchronised) action() {}
func (End) action()          {}

// Err is the end as an error that an operator can read.
func (e End) Err() error {
	who, kind := "neighbour", fault.Unavailable
	if e.Local {
		who = "this node"
	}
	switch e.Code {
	case exchangev1.CeaseCode_CEASE_CODE_HOLD_EXPIRED:
		kind = fault.Timeout
	case exchangev1.CeaseCode_CEASE_CODE_NODE, exchangev1.CeaseCode_CEASE_CODE_ROLE, exchangev1.CeaseCode_CEASE_CODE_DOMAIN,
		exchangev1.CeaseCode_CEASE_CODE_NOT_PERMITTED:
		kind = fault.Denied
	case exchangev1.CeaseCode_CEASE_CODE_PROTOCOL_ERROR, exchangev1.CeaseCode_CEASE_CODE_CAPABILITY_NOT_AGREED,
		exchangev1.CeaseCode_CEASE_CODE_VERSION, exchangev1.CeaseCode_CEASE_CODE_FLOW_CONTROL:
		kind = fault.Invalid
	default:
	}
	return fault.New("exchange", kind, "session ended by "+who, fmt.Sprintf("%s: %s", CodeName(e.Code), e.Text))
}

// CodeName is a cease code in words: "hold expired".
func CodeName(c exchangev1.CeaseCode) string {
	return strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(c.String(), "CEASE_CODE_"), "_", " "))
}

// DeltaOp is what a Delta does.
type DeltaOp uint8

// The operations.
const (
	Announce DeltaOp = iota + 1
	Withdraw         // Route.PathID and all greater ones
	BeginRefresh
	EndRefresh
	Fresh // all that is held of the neighbour is current again
)

// Delta is one change that a neighbour told.
type Delta struct {
	Op     DeltaOp
	Route  federation.Route  // of Announce; of Withdraw NLRI, PathID and Cause
	Family federation.Family // limits the refresh; AnyFamily: all
	Filter string
}

// Peer is what a neighbour said of itself in its Open.
type Peer struct {
	Node     federation.NodeID
	Epoch    uint64
	Role     Role
	Version  uint32 // the protocol's, as agreed
	Hold     time.Duration
	MaxPaths uint32
	Restart  time.Duration // zero: its routes go with it
	SIP      []Address
	Software string
	Observed netip.AddrPort // where it sees this node speak from; not valid: it does not say
	Resumed  bool           // it sends only what changed
}

// Hub is a hub as the directory lists it.
type Hub struct {
	ID   federation.HubID
	GRPC string
	// SIP may have several addresses of one transport: the preferred one comes first.
	SIP      []Address
	Software string
	// GRPCAlso are further addresses of the gRPC service, such as that of the other IP version.
	GRPCAlso []string
}

// GRPCAddresses are all addresses of the gRPC service, the preferred one first.
func (h *Hub) GRPCAddresses() []string { return append([]string{h.GRPC}, h.GRPCAlso...) }

// SIPAddresses are those of one transport, the preferred one first.
func (h *Hub) SIPAddresses(transport string) (all []string) {
	for _, a := range h.SIP {
		if a.Transport == transport {
			all = append(all, a.HostPort)
		}
	}
	return all
}

// Stats counts what happened in a session.
type Stats struct {
	FramesIn, FramesOut       uint64
	AnnouncedIn, AnnouncedOut uint64
	WithdrawnIn, WithdrawnOut uint64
	// AckedOut is how far the neighbour has applied what it was told.
	AckedOut uint64
	// Malformed routes were treated as withdrawn.
	Malformed uint64
	// Oversized routes were withdrawn instead of sent.
	Oversized uint64
	// MalformedLast says what was wrong with the newest one.
	MalformedLast string
}
