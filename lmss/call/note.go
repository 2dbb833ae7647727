package call

import (
	"encoding/json"
	"time"

	"github.com/mss-federation/mss/lmss/cdr"
	"github.com/mss-federation/mss/pkg/federation"
)

// Note is what a restart must know of a call that has no record yet, or whose end was not yet stored:
// enough to give the caller a final answer, stop the ringing phones, and write the one CDR.
type Note struct {
	CDR     cdr.Record `json:"cdr"`
	Caller  Phone      `json:"caller,omitzero"`
	Refusal []byte     `json:"refusal,omitempty"` // the 480 to the caller, with the To tag that it knows
	Ringing []Ringing  `json:"ringing,omitempty"`
	// Ended is set once a party hung up.
	Ended *federation.Termination `json:"ended,omitempty"`
	At    time.Time               `json:"at,omitzero"`
}

// Ringing is an INVITE whose final answer had not come.
type Ringing struct {
	Phone  Phone  `json:"phone"`
	Invite []byte `json:"invite"` // as sent, for the CANCEL (RFC 3261 §9.1)
}

// note keeps the set-up so that a crash of this process ends it cleanly at both ends.
func (c *Call) note() {
	n := Note{CDR: c.cdr, Caller: c.a.phone()}
	n.Refusal = c.a.response(c.a.invite, 480, "Temporarily Unavailable", []field{{"Reason", `SIP;cause=480;text="restarted"`}}, nil)
	for l := range c.ringing {
		n.Ringing = append(n.Ringing, Ringing{Phone: l.phone(), Invite: l.inviteSent})
	}
	c.putNote(&n)
}

// noteEnd keeps who hung up and when, before anything leaves: the CDR of a crash in that moment is right.
func (c *Call) noteEnd(term federation.Termination) {
	c.putNote(&Note{CDR: c.cdr, Ended: &term, At: c.env.Now()})
}

func (c *Call) putNote(n *Note) {
	data, err := json.Marshal(n)
	if err != nil {
		return // a note is best effort: without it the call still ends by timers
	}
	c.env.Note(c.id, data)
}
