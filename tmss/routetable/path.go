package routetable

import (
	"time"

	"github.com/mss-federation/mss/pkg/federation"
)

// Class is the first thing that ranks paths of equal length; lower wins.
type Class uint8

// The classes. Zero is Learned, so that a Decision without a word is the plain one.
const (
	Learned      Class = iota
	Emergency          // overrides every other choice
	Registered         // a registration at this node
	Static             // configured here
	FallbackOnly       // only the path's PSTN number is of use
	Null               // ends the search with 404: an owned block whose number is nobody's
)

var classRank = [...]uint8{Emergency: 0, Registered: 1, Static: 2, Learned: 3, FallbackOnly: 4, Null: 5}

var classNames = [...]string{"learned", "emergency", "registered", "static", "fallback-only", "null"}

// String is the class in an operator's words.
func (c Class) String() string { return name(classNames[:], uint8(c)) }

// Authority says whether the origin may announce the prefix.
type Authority uint8

// The authorities. Zero is NotFound: nothing is known.
const (
	NotFound Authority = iota
	Valid
	Invalid
)

// String is the authority in an operator's words.
func (a Authority) String() string { return name([]string{"not-found", "valid", "invalid"}, uint8(a)) }

// Reason says why a path cannot be used.
type Reason uint8

// The reasons. Zero is that it can.
const (
	Eligible      Reason = iota
	Rejected             // import policy; Decision.Rule says which
	NotAuthorised        // the origin does not own the prefix
	Looped               // this node stands in the path
	NoNextHop            // nothing says where calls would go
	NextHopDown          // the next hop answers nothing
	Expired              // Attributes.ValidUntil has passed
)

var reasonNames = [...]string{"eligible", "rejected by policy", "not authorised", "loop: passed this node", "no next hop", "next hop down", "expired"}

// String is the reason in an operator's words.
func (r Reason) String() string { return name(reasonNames[:], uint8(r)) }

// Step is the step of the total order that placed a path behind the one before it.
type Step uint8

// The steps, in their order. Paths that differ first at ByOrigin or later form a weighted set.
const (
	First         Step = iota // nothing stands before it
	BySpecificity             // a longer prefix, or at equal length a narrower range
	ByClass
	ByLocalPref
	ByFreshness
	ByAuthority
	BySite // unauthorised sites claim one prefix: the lower site has it
	ByRoutedPath
	ByCost
	ByPriority
	ByOrigin
	ByNeighbour
	ByPathID
	ByEligibility // it cannot be used
)

var stepNames = [...]string{
	"first", "specificity", "class", "local preference", "freshness", "authority", "site of unauthorised claim",
	"routed path length", "cost", "priority", "origin", "neighbour", "path id", "eligibility",
}

// String is the step in an operator's words.
func (s Step) String() string { return name(stepNames[:], uint8(s)) }

// Decision is what import policy said of a path. It is comparable; equal ones are kept once.
type Decision struct {
	Class     Class
	Authority Authority
	Reject    Reason // Eligible accepts
	LocalPref uint32 // higher wins; DefaultLocalPref where policy has no wish
	Rule      string // the rule that decided, for people
}

// DefaultLocalPref is the preference of a path that policy has no wish about.
const DefaultLocalPref = 100

// Path is one way to an NLRI. It is immutable once it is in a snapshot.
type Path struct {
	Attributes *federation.Attributes
	Decision   *Decision
	Neighbour  federation.NodeID // who announced it; this node itself for static routes
	Revisions  []uint64          // when each node of Attributes.AdvPath chose it
	PathID     uint32
	Stale      bool   // the session over which it came is down
	told       bool   // neighbours know that it is stale
	Down       bool   // the next hop answers nothing
	Reason     Reason // Eligible, or why it cannot be used
	Step       Step   // why it stands behind the path before it
}

// Class is the path's class after what its attributes and its next hop say.
func (p *Path) Class() Class {
	switch {
	case p.Decision.Class != Learned:
		return p.Decision.Class
	case p.Down || p.Attributes.Has(federation.FallbackOnly):
		return FallbackOnly
	case p.Attributes.Emergency && p.Decision.Authority == Valid:
		return Emergency
	}
	return Learned
}

// LocalPref is the path's local preference; a node that shuts down gracefully has 0.
func (p *Path) LocalPref() uint32 {
	if p.Attributes.Has(federation.GracefulShutdown) {
		return 0
	}
	return p.Decision.LocalPref
}

// judge finds whether the path can be used. Everything it looks at is in the announcement and the clock.
func (p *Path) judge(self federation.NodeID, now time.Time) Reason {
	a := p.Attributes
	switch {
	case p.Decision.Reject != Eligible:
		return p.Decision.Reject
	case p.Decision.Authority == Invalid:
		return NotAuthorised
	case a.Passed(self):
		return Looped
	case !a.ValidUntil.IsZero() && !now.Before(a.ValidUntil):
		return Expired
	case p.Decision.Class == Null:
		return Eligible
	case len(a.NextHops) == 0:
		return NoNextHop
	case p.Down && a.Fallback == federation.Fallback{}:
		return NextHopDown
	}
	return Eligible
}

func name(names []string, i uint8) string {
	if int(i) < len(names) {
		return names[i]
	}
	return "unknown"
}
