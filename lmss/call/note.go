package call

import (
	"time"

	"github.com/mss-federation/mss/lmss/cdr"
	"github.com/mss-federation/mss/pkg/federation"
)

// Note is what a restart must know of a call that has no record yet, or whose end was not yet stored:
// enough to give the caller a final answer, stop the ringing phones, and write the one CDR.
type Note struct {
	CDR     cdr.Record
	Caller  Phone
	Refusal []byte // the 480 to the caller, with the To tag that it knows
	Ringing []Ringing
	// Ended is set once a party hung up.
	Ended *federation.Termination
	At    time.Time
}

// Ringing is an INVITE whose final answer had not come.
type Ringing struct {
	Phone  Phone
	Invite []byte // as sent, for the CANCEL (RFC 3261 §9.1)
}

// note keeps the set-up so that a crash of this process ends it cleanly at both ends.
func (c *Call) note() {
	if !c.env.TakesNotes() {
		return
	}
	n := Note{CDR: c.cdr, Caller: c.a.phone()}
	n.Refusal = c.a.response(c.a.invite, 480, "Temporarily Unavailable", []field{{"Reason", `SIP;cause=480;text="restarted"`}}, nil)
	for l := range c.ringing {
		if l.up != nil {
			n.Ringing = l.appendAttempts(n.Ringing)
			continue
		}
		n.Ringing = append(n.Ringing, Ringing{Phone: l.phone(), Invite: l.inviteSent})
	}
	c.env.Note(c.id, &n)
}

// appendAttempts lists the copies of an uplink leg's INVITE that have no final answer.
func (l *Leg) appendAttempts(dst []Ringing) []Ringing {
	for _, a := range l.up.attempts {
		if !a.over {
			phone := l.phone()
			phone.Node, phone.Flow = a.node, a.flow
			dst = append(dst, Ringing{Phone: phone, Invite: a.sent})
		}
	}
	return dst
}

// noteEnd keeps who hung up and when, before anything leaves: the CDR of a crash in that moment is right.
func (c *Call) noteEnd(term federation.Termination) {
	if c.env.TakesNotes() {
		c.env.Note(c.id, &Note{CDR: c.cdr, Ended: &term, At: c.env.Now()})
	}
}
