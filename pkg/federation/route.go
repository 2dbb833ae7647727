package federation

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Domain names one federation of hubs and sites under one CA, such as "example.org".
type Domain string

// Family is a kind of destination. Its numbers are those of mss.exchange.v1.
type Family uint8

// The families. Zero is none, or all where a family limits something.
const (
	AnyFamily  Family = iota
	E164              // digits of an E.164 number, without the +
	Enterprise        // the domain's private digits
	URIUser           // user@host
	URIDomain         // a DNS name and its sub-domains
	Service           // emergency, voicemail, conference
	TrunkGroup
	Default // everything else; the key is empty
)

var familyNames = [...]string{"any", "e164", "enterprise", "uri-user", "uri-domain", "service", "trunk-group", "default"}

// String is the family in an operator's words.
func (f Family) String() string {
	if int(f) < len(familyNames) {
		return familyNames[f]
	}
	return fmt.Sprintf("family-%d", uint8(f))
}

// Digits says whether the family's keys are prefixes of digits with a length range.
func (f Family) Digits() bool { return f == E164 || f == Enterprise }

// MaxDigits bounds digits and lengths: E.164 has 15, and prefixes for carriers and access codes come on top.
const MaxDigits = 32

// NLRI says what a route leads to (the name is BGP's: network layer reachability information). Digits are
// prefixes; a number belongs to it when it begins with Key and has MinLen to MaxLen digits.
type NLRI struct {
	Domain Domain
	Key    string
	Family Family
	MinLen uint8 // 0 in families without digits
	MaxLen uint8
}

// String reads "+1555/7-11", "1/4", "alice@example.org", "default".
func (n NLRI) String() string {
	switch {
	case n.Family == Default:
		return "default"
	case !n.Family.Digits():
		return n.Key
	}
	lengths := fmt.Sprint(n.MinLen)
	if n.MaxLen != n.MinLen {
		lengths += fmt.Sprintf("-%d", n.MaxLen)
	}
	if n.Family == E164 {
		return "+" + n.Key + "/" + lengths
	}
	return n.Key + "/" + lengths
}

// Compare orders by family, key, lengths and domain.
func (n NLRI) Compare(o NLRI) int {
	return cmp.Or(cmp.Compare(n.Family, o.Family), strings.Compare(n.Key, o.Key), cmp.Compare(n.MinLen, o.MinLen),
		cmp.Compare(n.MaxLen, o.MaxLen), cmp.Compare(n.Domain, o.Domain))
}

// Check says what is wrong with an NLRI, nil when nothing is.
func (n NLRI) Check() error {
	if !n.Family.Digits() {
		return n.checkName()
	}
	for i := range len(n.Key) {
		if n.Key[i] < '0' || n.Key[i] > '9' {
			return fmt.Errorf("prefix %q: only digits are allowed", n.Key)
		}
	}
	switch {
	case n.MinLen == 0 || n.MinLen > n.MaxLen:
		return fmt.Errorf("prefix %q: lengths %d to %d are no range", n.Key, n.MinLen, n.MaxLen)
	case n.MaxLen > MaxDigits:
		return fmt.Errorf("prefix %q: no number has %d digits", n.Key, n.MaxLen)
	case len(n.Key) > int(n.MaxLen):
		return fmt.Errorf("prefix %q is longer than its numbers, which have at most %d digits", n.Key, n.MaxLen)
	}
	return nil
}

func (n NLRI) checkName() error {
	switch {
	case n.Family == AnyFamily || n.Family > Default:
		return fmt.Errorf("%s is no family of routes", n.Family)
	case n.MinLen != 0 || n.MaxLen != 0:
		return fmt.Errorf("%s %q: only digits have lengths", n.Family, n.Key)
	case (n.Family == Default) != (n.Key == ""):
		return fmt.Errorf("%s: key %q", n.Family, n.Key)
	case len(n.Key) > 255 || strings.ContainsFunc(n.Key, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		return fmt.Errorf("%s: key %q is too long or has blanks", n.Family, n.Key)
	case n.Family == URIUser && !strings.Contains(n.Key, "@"):
		return fmt.Errorf("uri-user %q: user@host is needed", n.Key)
	}
	return nil
}

// Covers says whether every number of o is a number of n.
func (n NLRI) Covers(o NLRI) bool {
	if n.Domain != o.Domain || n.Family != o.Family {
		return false
	}
	if !n.Family.Digits() {
		return n.Key == o.Key
	}
	return strings.HasPrefix(o.Key, n.Key) && n.MinLen <= max(o.MinLen, uint8(len(o.Key))) && o.MaxLen <= n.MaxLen
}

// Origin is who a route belongs to.
type Origin struct {
	Node  NodeID
	Site  SiteID // empty for what leads to no site
	Epoch uint64
	Seq   uint64
	Group string // sites of one group compare their priorities; empty: the site alone
}

// PathElement is one node that announced a route.
type PathElement struct {
	Node  NodeID
	Epoch uint64
}

// NextHop is where calls go from the announcing node's view: a node of this domain, or else a URI.
type NextHop struct {
	Node        NodeID
	URI         string
	Transport   string
	SocketGroup string
	Weight      uint32
	SRV         bool
}

// Community is a mark that routes carry.
type Community string

// The communities that have a meaning.
const (
	NoExport         Community = "no-export"         // to no hub beyond the neighbour
	NoAdvertise      Community = "no-advertise"      // to nobody
	GracefulShutdown Community = "graceful-shutdown" // local preference 0
	FallbackOnly     Community = "fallback-only"     // only its PSTN number is used
	NoPSTNHairpin    Community = "no-pstn-hairpin"
)

// Fallback is the public number that reaches the same place when the network does not. Zero is none.
type Fallback struct {
	E164    Number
	Prepend string
	Strip   uint32
}

// MediaCaps says what voice and pictures a destination takes.
type MediaCaps struct {
	Codecs      []string
	Video       bool
	SRTP        bool
	T38         bool
	VoiceDirect bool // the site's voice can be reached without its speaking first
}

// Capacity is what a destination takes; zero is no statement.
type Capacity struct {
	MaxCalls       uint32
	CallsPerSecond uint32
}

// Attributes is what many routes share. It is immutable once it is part of a route: whoever changes
// something makes a copy.
type Attributes struct {
	Origin      Origin
	AdvPath     []PathElement // the origin first
	RoutedPath  []NodeID
	NextHops    []NextHop
	Communities []Community
	Media       MediaCaps
	Fallback    Fallback
	Capacity    Capacity
	Cost        uint32
	Priority    uint32 // lower first, within Origin.Group
	ValidUntil  time.Time
	OTC         NodeID
	Emergency   bool
	// Authorised names number authorisations; Bundle and Signature are the origin's over its bundle.
	Authorised []string
	Bundle     []byte
	Signature  []byte
}

// Has says whether a community is set.
func (a *Attributes) Has(c Community) bool {
	return slices.Contains(a.Communities, c)
}

// Passed says whether node stands in the path.
func (a *Attributes) Passed(node NodeID) bool {
	return slices.ContainsFunc(a.AdvPath, func(e PathElement) bool { return e.Node == node })
}

// Cause is the event at the root of a change: a receiver drops every path of the NLRI in which Node stands
// with an older revision. Zero is none.
type Cause struct {
	Node     NodeID
	Epoch    uint64
	Revision uint64
}

// Route is one announced path.
type Route struct {
	NLRI       NLRI
	PathID     uint32 // 1 is the announcer's best
	Attributes *Attributes
	Revisions  []uint64 // one for each element of Attributes.AdvPath: when that node chose the path
	Cause      Cause
}

// Like says whether two sets of attributes say the same but for the epochs and the sequence, which the
// restart of a node alone changes.
func (a *Attributes) Like(b *Attributes) bool {
	x, y := a.Origin, b.Origin
	x.Epoch, x.Seq, y.Epoch, y.Seq = 0, 0, 0, 0
	return x == y && a.Cost == b.Cost && a.Priority == b.Priority && a.OTC == b.OTC && a.Emergency == b.Emergency &&
		a.Fallback == b.Fallback && a.Capacity == b.Capacity && a.ValidUntil.Equal(b.ValidUntil) &&
		slices.EqualFunc(a.AdvPath, b.AdvPath, func(p, q PathElement) bool { return p.Node == q.Node }) &&
		slices.Equal(a.RoutedPath, b.RoutedPath) && slices.Equal(a.NextHops, b.NextHops) &&
		slices.Equal(a.Communities, b.Communities) && a.Media.equal(&b.Media) &&
		slices.Equal(a.Authorised, b.Authorised) && bytes.Equal(a.Bundle, b.Bundle) && bytes.Equal(a.Signature, b.Signature)
}

func (m *MediaCaps) equal(o *MediaCaps) bool {
	return m.Video == o.Video && m.SRTP == o.SRTP && m.T38 == o.T38 && m.VoiceDirect == o.VoiceDirect && slices.Equal(m.Codecs, o.Codecs)
}
