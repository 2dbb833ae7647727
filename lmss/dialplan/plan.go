// Package dialplan decides where a call goes: caller, called, source and time go in, a list of targets
// and the reason for each step come out. It is pure: no I/O, no clock, no state. It does not know who is
// registered (see registrar) and sends nothing (see call). Start at [Plan.Decide].
package dialplan

import (
	"time"

	"github.com/mss-federation/mss/pkg/federation"
)

// Source is where a call comes from. The zero Source is FromUser.
type Source uint8

// The sources.
const (
	FromUser   Source = iota // a phone of this site
	FromUplink               // another site, by a hub
)

// Query is one call to place.
type Query struct {
	Caller federation.Number
	// Called is the user part of the Request-URI, unescaped, as dialled.
	Called federation.Number
	Source Source
	// At is when the call began, in the site's time zone.
	At time.Time
}

// Kind is what sort of target a call goes to.
type Kind uint8

// The kinds. The zero Kind is none.
const (
	LocalUser Kind = iota + 1 // the bindings, or the fixed target, of User
	Site                      // another site, over the uplink, by Number
)

// Target is one place to try.
type Target struct {
	Kind   Kind
	User   federation.User   // of a LocalUser
	Number federation.Number // what to call there, after number changes
}

// Step is one rule that was looked at, in an operator's words.
type Step struct {
	Rule   string // "number", "user", "prefix", "uplink"
	Result string
	Why    string
}

// Decision is where the call goes. Targets are tried in order. Without any, Status and Reason are the
// answer to the caller.
type Decision struct {
	Targets []Target
	Status  int
	Reason  string
	Steps   []Step
}

// Presence is what the site knows of a user name.
type Presence uint8

// The presences. The zero Presence is Unknown.
const (
	Unknown Presence = iota
	Known
	Disabled
)

// Plan is immutable: a change makes a new one. It may be used from several goroutines.
type Plan struct {
	users  func(federation.User) Presence
	own    []Prefix
	uplink bool
}

// Options make a Plan.
type Options struct {
	// Users says whether this site has a user of that name. It must be quick and pure for the time of one
	// decision. Nil means that there are none.
	Users func(federation.User) Presence
	// Own are the number ranges of this site: what lies in them never leaves it. Empty means none.
	Own []Prefix
	// Uplink says that other sites can be reached through hubs.
	Uplink bool
}

// New makes a plan; fault-free Options only: see [Prefix.Validate].
func New(o Options) (*Plan, error) {
	for _, p := range o.Own {
		if err := p.Validate(); err != nil {
			return nil, err
		}
	}
	p := &Plan{users: o.Users, own: sortedPrefixes(o.Own), uplink: o.Uplink}
	if p.users == nil {
		p.users = func(federation.User) Presence { return Unknown }
	}
	return p, nil
}
