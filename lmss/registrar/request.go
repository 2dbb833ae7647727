package registrar

import (
	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/siptransport"
)

// Absent stands for an expires that the message does not have.
const Absent = -1

// Request is a REGISTER that was authenticated: the sender may change the bindings of AoR.
type Request struct {
	AoR    federation.User
	CallID string
	CSeq   uint32
	// Contacts are those of all Contact headers in order, from [ParseContacts]. None and no Star is a query.
	Contacts []Contact
	// Star is "Contact: *", which removes all bindings; only with Expires 0 and alone (RFC 3261 §10.2.2).
	Star bool
	// Expires is the header's value in seconds, or Absent.
	Expires int
	// Flow is where the message came from.
	Flow siptransport.Flow
	// RPort says that the top Via asked for rport (RFC 3581): the phone hears where it sends from.
	RPort     bool
	Path      []string
	UserAgent string
}

// Outcome is the answer to a REGISTER. Changes are for the store, in order.
type Outcome struct {
	Status int
	Reason string
	// Bindings are all of the AoR, lost ones too: what the 200 lists (RFC 3261 §10.3 step 8). Nil unless 200.
	Bindings []Binding
	Changes  []Change
	// MinExpires is the value of Min-Expires in seconds; zero unless Status is 423.
	MinExpires int
	// RetryAfter is the value of Retry-After in seconds; zero unless Status is 503.
	RetryAfter int
}

// Action is what happened to a binding.
type Action uint8

// The actions.
const (
	Put    Action = iota + 1 // added, or another binding of the same ID replaced
	Delete                   // removed
)

// Change is one step of persisting bindings.
type Change struct {
	Action  Action
	Binding Binding
}

func refuse(status int, reason string) Outcome { return Outcome{Status: status, Reason: reason} }
