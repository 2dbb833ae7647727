package exchange

import (
	"net/netip"
	"strings"
	"time"

	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/federation"
	exchangev1 "github.com/mss-federation/mss/proto/mss/exchange/v1"
)

// Role is what a node is to its neighbour.
type Role = exchangev1.Role

// The roles. Two hubs are RoleCore to each other; a hub is RoleHub to its sites, and they are RoleBranch
// to it. Others are refused by this version.
const (
	RoleCore   = exchangev1.Role_ROLE_CORE
	RoleHub    = exchangev1.Role_ROLE_HUB
	RoleBranch = exchangev1.Role_ROLE_BRANCH
)

// counterpart is the role that the neighbour must have.
func counterpart(r Role) Role {
	switch r {
	case RoleCore:
		return RoleCore
	case RoleHub:
		return RoleBranch
	case RoleBranch:
		return RoleHub
	default:
		return exchangev1.Role_ROLE_UNSPECIFIED
	}
}

// fits says whether a node of that name can have the role.
func fits(node federation.NodeID, r Role) bool {
	if r == RoleBranch {
		return strings.HasPrefix(string(node), "site/")
	}
	return strings.HasPrefix(string(node), "hub/")
}

// Resume is what a node remembers of a neighbour between sessions: everything up to Version of Epoch is
// here. Zero: nothing is.
type Resume struct {
	Epoch   uint64
	Version uint64
}

// Config says who both sides are and what this side can do.
type Config struct {
	Self   federation.NodeID
	Domain federation.Domain
	// Epoch is this start of the node; it grows with each.
	Epoch uint64
	// Role is ours. The neighbour's must be its counterpart.
	Role Role
	// Peer is the neighbour as its certificate names it. What it says of itself must agree.
	Peer federation.NodeID
	// Families that are exchanged. Empty: all.
	Families []federation.Family
	// Capabilities offered. Nil: DefaultCapabilities.
	Capabilities []exchangev1.Capability
	// Keepalive is the time between two of them. Zero: 1s between hubs, 5s between hub and site.
	Keepalive time.Duration
	// Hold is the longest silence. The smaller one of both sides counts. Zero: 5s, or 20s.
	Hold time.Duration
	// Delay is how long announcements wait for others, so that they share a frame. Withdrawals never
	// wait. Zero: 50ms.
	Delay time.Duration
	// MaxPaths is how many paths of one NLRI this side takes. Zero: 3.
	MaxPaths uint32
	// Window is how many bytes the neighbour may have in flight; it must be at most half of the stream's
	// flow-control window, so that Keepalive and Cease always fit. Zero: 512 KiB.
	Window uint64
	// Restart is how long this node asks to be kept as stale when it goes. Zero: 120s.
	Restart time.Duration
	// SIP is where this node listens.
	SIP []Address
	// Software is the build, for people.
	Software string
	// Observed is where the neighbour is seen to speak from; it is told. Not valid: not known.
	Observed netip.AddrPort
	// Resume is what was kept of the last session with this neighbour.
	Resume Resume
}

// Address is where a node listens for SIP.
type Address struct {
	Transport string // "udp", "tcp", "tls"
	HostPort  string
}

// StreamWindow is what the stream's flow-control window must be at least for the default Window: twice as
// much. Set grpc.InitialWindowSize to it on both sides.
const StreamWindow = 2 * defaultWindow

const (
	defaultWindow   = 512 << 10
	minWindow       = 4 * minCredit
	defaultMaxPaths = 3
	// topMaxPaths bounds path ids.
	topMaxPaths = 8
)

// DefaultCapabilities are what this version does.
func DefaultCapabilities() []exchangev1.Capability {
	return []exchangev1.Capability{
		exchangev1.Capability_CAPABILITY_REFRESH,
		exchangev1.Capability_CAPABILITY_ADD_PATH,
		exchangev1.Capability_CAPABILITY_GRACEFUL_RESTART,
		exchangev1.Capability_CAPABILITY_DIRECTORY,
	}
}

// EnsureDefaults puts the defaults where there is zero.
func (c *Config) EnsureDefaults() {
	keepalive, hold := 5*time.Second, 20*time.Second
	if c.Role == RoleCore {
		keepalive, hold = time.Second, 5*time.Second
	}
	setDefault(&c.Keepalive, keepalive)
	setDefault(&c.Hold, hold)
	setDefault(&c.Delay, 50*time.Millisecond)
	setDefault(&c.MaxPaths, defaultMaxPaths)
	setDefault(&c.Window, defaultWindow)
	setDefault(&c.Restart, 120*time.Second)
	if len(c.Families) == 0 {
		for f := federation.E164; f <= federation.Default; f++ {
			c.Families = append(c.Families, f)
		}
	}
	if c.Capabilities == nil {
		c.Capabilities = DefaultCapabilities()
	}
}

func setDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

// Validate says what is wrong with a config that has its defaults.
func (c *Config) Validate() error {
	problem := ""
	switch {
	case counterpart(c.Role) == exchangev1.Role_ROLE_UNSPECIFIED:
		problem = "the role " + c.Role.String() + " is not supported"
	case !fits(c.Self, c.Role):
		problem = "the node " + string(c.Self) + " cannot have the role " + c.Role.String()
	case !fits(c.Peer, counterpart(c.Role)):
		problem = "the neighbour " + string(c.Peer) + " cannot have the role " + counterpart(c.Role).String()
	case c.Self == c.Peer:
		problem = "a node has no session with itself"
	case c.Epoch == 0:
		problem = "the epoch is missing"
	case c.Keepalive <= 0 || c.Hold < 3*c.Keepalive:
		problem = "the hold time must be at least three keepalives"
	case c.Window < minWindow:
		problem = "the window is too small"
	case c.MaxPaths > topMaxPaths:
		problem = "too many paths"
	}
	if problem != "" {
		return fault.New("exchange config", fault.Invalid, string(c.Peer), problem)
	}
	return nil
}
