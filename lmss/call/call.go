// Package call is the B2BUA of one site: it owns every call from its INVITE to its CDR. A call has an
// A leg (the caller's) and one or more B legs; each leg is a small dialog, never a pinned message, and
// messages between the legs are rebuilt from parsed fields through an allow-list.
//
// A [Call] is a state machine without goroutines, clocks or I/O: its owner, one worker of the
// transaction layer, feeds it events one at a time and gives it an [Env] to act through. [Runner] is
// that owner's side. The package does not authenticate (see ingress), decide where a number leads (see
// dialplan) or touch voice packets (see pkg/media). Start at [Runner.Invite].
package call

import (
	"cmp"
	"time"

	"github.com/mss-federation/mss/lmss/cdr"
	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/sdpedit"
	"github.com/mss-federation/mss/pkg/siptarget"
	"github.com/mss-federation/mss/pkg/siptransport"
)

// Phase is how far a call has come.
type Phase uint8

// The phases, in order; a call never goes back.
const (
	// Setup: the caller has no final answer yet and the callee has not answered.
	Setup Phase = iota
	// Answering: a callee answered; the record is on its way to the store.
	Answering
	// Up: the 200 has left to the caller.
	Up
	// Over: ended; legs may still wait for the answer to a BYE.
	Over
)

// String is the phase in the words of `mssctl call list`.
func (p Phase) String() string {
	return [...]string{"setup", "answering", "up", "over"}[p]
}

// Target is one place to send a call to: a phone's binding, a user known by address, or another site.
type Target struct {
	// Uplink leads through a hub, which is chosen when the leg is made: Flow and Routes stay empty, and
	// User is the number.
	Uplink   bool
	User     federation.User
	URI      string // Request-URI, the binding's Contact as the phone sent it
	Flow     siptransport.Flow
	Name     siptarget.Query // how Flow is found, instead of Flow; zero: not by name
	Routes   []string        // Path of the registration, top first
	Instance string          // +sip.instance of the binding, to find the phone again when its connection is gone
	NAT      bool            // the phone's source is not its Contact
}

// Caller is who calls, as established by ingress, never as claimed in From.
type Caller struct {
	User     federation.User
	Display  string
	Instance string
	NAT      bool
	Node     federation.NodeID // the hub that the call came through, empty for a phone
}

// Plan is what ingress decided about an INVITE: who calls whom, and where to try, group after group.
// All targets of a group ring together.
type Plan struct {
	Caller Caller
	Called federation.Number
	Groups [][]Target
}

// Call is one call. Only its owner touches it.
type Call struct {
	env     Env
	cfg     *Config
	id      string
	session federation.SessionID
	phase   Phase
	a       *Leg
	b       []*Leg // every leg that was tried, in order
	winner  *Leg
	groups  [][]Target // not tried yet
	opening int        // endpoints that the media process has not opened yet

	offer      *sdpedit.Session // the caller's, while the call is being set up
	realigning *sdpedit.Session // the winner's answer, when the caller was shown another codec
	passOn     []field          // headers of the caller's INVITE that go to the callee
	maxForward int
	lastStatus int    // of the last provisional to the caller
	lastWire   []byte // its bytes, repeated each minute
	lastFields []field
	failure    failure
	from, to   string // identities of the B legs at this site
	display    string // the caller's name, while the call is being set up
	timers     [timerKinds]Timer
	reports    int  // endpoints closed whose last count has not come
	finished   bool // the CDR is with the store

	cdr     cdr.Record
	endedAt time.Time // when the call ended, if that was before this process began
	term    federation.Termination
}

// Config is what all calls of a site share. It is read-only once in use.
type Config struct {
	// Domain is the host part of the identities that we write into From and To.
	Domain string
	// Federation is that of the identities towards other sites. Empty means Domain.
	Federation string
	// Anchor says whether voice goes through our relay. False lets phones send to each other.
	Anchor bool
	// NoAnswer bounds how long callees ring. Zero means 120s.
	NoAnswer time.Duration
	// NextGroup is how long a group of targets rings before the next, lower q, joins. Zero means 20s.
	NextGroup time.Duration
	// Silent is how long a callee may send nothing at all to an INVITE. Zero means 4s.
	Silent time.Duration
	// PersistWait is how long a 200 waits for the store. Zero means 250ms.
	PersistWait time.Duration
	// RepeatProgress is how often the last 18x is repeated, so that no proxy's Timer C ends a long
	// ringing (RFC 3261 §16.6). Zero means 60s.
	RepeatProgress time.Duration
	// Reconnect is how long a request waits for a phone whose connection is gone. Zero means 30s.
	Reconnect time.Duration
	// MediaTimeout is how long neither side may send RTP or RTCP. Zero means 5m.
	MediaTimeout time.Duration
}

// EnsureDefaults fills what is zero.
func (c *Config) EnsureDefaults() {
	c.Federation = cmp.Or(c.Federation, c.Domain)
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&c.NoAnswer, 120 * time.Second},
		{&c.NextGroup, 20 * time.Second},
		{&c.Silent, 4 * time.Second},
		{&c.PersistWait, 250 * time.Millisecond},
		{&c.RepeatProgress, time.Minute},
		{&c.Reconnect, 30 * time.Second},
		{&c.MediaTimeout, 5 * time.Minute},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
}

// ID is the call's own identifier, unique over restarts; it is also its CDR's.
func (c *Call) ID() string { return c.id }

// other is the leg at the far end of l: the winner for the A leg, the A leg for the winner, else nil.
func (c *Call) other(l *Leg) *Leg {
	switch l {
	case c.a:
		return c.winner
	case c.winner:
		return c.a
	}
	return nil
}

// ringing yields the B legs whose INVITE is still open.
func (c *Call) ringing(yield func(*Leg) bool) {
	for _, l := range c.b {
		if l.inviteOpen() && !yield(l) {
			return
		}
	}
}

// trying counts the B legs whose INVITE is still open.
func (c *Call) trying() int {
	n := 0
	for range c.ringing {
		n++
	}
	return n
}
