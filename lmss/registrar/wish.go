package registrar

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/mss-federation/mss/pkg/siptransport"
)

// wish is what one Contact of a REGISTER asks for.
type wish struct {
	contact Contact
	seconds int // 0 removes; at most the longest expiry
	place   int // index of the binding whose place it takes, or none
}

const none = -1

// wishes reads the Contacts of a request. Of two that are equal the later one counts. A refusal has a status.
func (o *Options) wishes(req *Request) ([]wish, Outcome) {
	if len(req.Contacts) > MaxContacts {
		return nil, refuse(400, "Too Many Contacts")
	}
	wishes := make([]wish, 0, len(req.Contacts))
	for i := range req.Contacts {
		w := wish{contact: req.Contacts[i], place: none}
		if w.contact.parsed.scheme == "" {
			parsed, err := parseURI(w.contact.URI)
			if err != nil {
				return nil, refuse(400, "Bad Contact")
			}
			w.contact.parsed = parsed
		}
		if w.contact.parsed.scheme == "sips" && req.Flow.Transport != siptransport.TLS {
			return nil, refuse(400, "A sips Contact Needs TLS") // it would promise its owner's callers what is not kept
		}
		w.seconds = o.seconds(req, &w.contact)
		if w.seconds != 0 && w.seconds < int(o.MinExpires/time.Second) {
			return nil, Outcome{Status: 423, Reason: "Interval Too Brief", MinExpires: int(o.MinExpires / time.Second)}
		}
		wishes = slices.DeleteFunc(wishes, func(earlier wish) bool { return earlier.contact.parsed.equal(&w.contact.parsed) })
		wishes = append(wishes, w)
	}
	return wishes, Outcome{}
}

// seconds is what the Contact asks for: its own parameter, else the header, else the default (RFC 3261
// §10.3 step 7). What goes beyond the longest is cut here, so that no number overflows later.
func (o *Options) seconds(req *Request, c *Contact) int {
	for _, s := range []int{c.Expires, req.Expires} {
		if s != Absent {
			return min(max(s, 0), int(o.MaxExpires/time.Second))
		}
	}
	return int(o.DefaultExpires / time.Second)
}

// match finds the binding whose place each Contact takes: the same URI first, then the same instance,
// then the same flow. All URIs come before any instance and all instances before any flow, and each
// binding is taken once, so that no Contact takes the place of another one of its request. What removes
// goes by the URI alone: a phone that tidies up the Contact of its last start would else remove itself.
func (a account) match(req *Request, wishes []wish) {
	taken := make([]bool, len(a))
	for _, same := range []func(*Binding, *wish) bool{
		func(b *Binding, w *wish) bool { return b.uri.equal(&w.contact.parsed) },
		func(b *Binding, w *wish) bool { return w.seconds != 0 && w.contact.sameInstance(b) },
		func(b *Binding, w *wish) bool { return w.seconds != 0 && req.sameFlow(b) },
	} {
		for i := range wishes {
			for j := range a {
				if wishes[i].place == none && !taken[j] && same(&a[j], &wishes[i]) {
					wishes[i].place, taken[j] = j, true
				}
			}
		}
	}
}

// sameInstance follows RFC 5626 §6: one instance may have several flows, told apart by reg-id.
func (c *Contact) sameInstance(b *Binding) bool {
	return c.Instance != "" && c.Instance == b.Instance && (c.RegID == b.RegID || c.RegID == 0 || b.RegID == 0)
}

// sameFlow says whether the binding came over the request's flow. Behind a proxy (Path) that says
// nothing: many phones share its flow.
func (req *Request) sameFlow(b *Binding) bool {
	return len(b.Path) == 0 && len(req.Path) == 0 && b.Flow == req.Flow
}

// bind makes the binding of a Contact.
func (req *Request) bind(now time.Time, c *Contact, granted time.Duration) Binding {
	b := Binding{
		AoR: req.AoR, Contact: c.Raw, RequestURI: c.URI,
		Flow: req.Flow, Instance: c.Instance, RegID: c.RegID, CallID: req.CallID, CSeq: req.CSeq, Q: c.Q,
		Path: req.Path, UserAgent: req.UserAgent,
		Registered: now, Refreshed: now, Expires: now.Add(granted),
		uri: c.parsed,
	}
	b.aim(req.RPort)
	return b
}

// aim decides where the phone is reached. A connection is used as it is. A UDP phone is reached where it
// sent from, which is all that works through NAT; only one that says, from its own address, that it
// listens on another port (no rport) or over TCP is sent there; TLS phones are reached by their own connections alone,
// since they have no certificate that we could verify.
func (b *Binding) aim(rport bool) {
	wanted := b.uri.transport()
	if wanted == 0 || wanted == siptransport.TLS {
		wanted = b.Flow.Transport
	}
	b.Target, b.Address = b.Flow, b.uri.address(cmp.Or(b.uri.transport(), wanted))
	source := netip.AddrPortFrom(b.Flow.Remote.Addr().Unmap(), b.Flow.Remote.Port())
	if b.Flow.Transport.Stream() {
		b.NAT = b.Address.Addr() != source.Addr()
		return
	}
	b.NAT = b.Address != source
	if b.Address.Addr() != source.Addr() {
		return
	}
	switch {
	case wanted.Stream():
		b.Target = siptransport.Flow{Transport: wanted, Local: netip.AddrPortFrom(b.Flow.Local.Addr(), 0), Remote: b.Address}
		b.NAT = false
	case b.NAT && !rport:
		b.Target.Remote = b.Address
		b.NAT = false
	}
}

// restore makes a stored binding whole again; false if its URI cannot be read.
func (b *Binding) restore() bool {
	parsed, err := parseURI(b.RequestURI)
	if err != nil {
		return false
	}
	b.uri = parsed
	if b.Flow.Transport.Stream() {
		// Connection numbers begin anew with each process: an old one would name somebody else's.
		b.Flow.ID, b.Target.ID, b.Lost = 0, 0, true
	}
	return true
}

// pinged says whether the phone's NAT must be kept open.
func (b *Binding) pinged() bool {
	return b.NAT && b.Flow.Transport == siptransport.UDP
}
