package registrar

import (
	"cmp"
	"slices"
	"time"
)

// account is the bindings of one address-of-record, those refreshed last at the end. Its functions are
// pure: they return a new account and leave the old one as it was, so that a REGISTER is carried out
// whole or not at all (RFC 3261 §10.3 step 7).
type account []Binding

// register is RFC 3261 §10.3, steps 6 to 8.
func (a account) register(now time.Time, req *Request, limit int, o *Options) (account, Outcome) {
	if req.Star {
		return a.removeAll(now, req)
	}
	wishes, refusal := o.wishes(req)
	if refusal.Status != 0 {
		return a, refusal
	}
	current, changes := a.expire(now)
	current.match(req, wishes)
	switch current.order(req, wishes) {
	case newer:
	case repeated:
		return a, a.listing(now)
	case late:
		return a, refuse(500, "Out Of Order")
	}
	next, applied := current.apply(now, req, wishes, o)
	next, evicted := next.bound(limit)
	out := next.listing(now)
	out.Changes = slices.Concat(changes, applied, evicted)
	return next, out
}

// removeAll is "Contact: *".
func (a account) removeAll(now time.Time, req *Request) (account, Outcome) {
	if req.Expires != 0 || len(req.Contacts) > 0 {
		return a, refuse(400, "Contact * Needs Expires 0 And Stands Alone")
	}
	all := make([]wish, len(a))
	for i := range all {
		all[i].place = i
	}
	if a.order(req, all) != newer {
		return a, refuse(500, "Out Of Order")
	}
	out := account(nil).listing(now)
	out.Changes = a.deletions()
	return nil, out
}

// sequence says how a REGISTER stands to those that were carried out before it.
type sequence uint8

const (
	newer    sequence = iota
	repeated          // the same message again: answered alike, nothing is done twice
	late              // overtaken by another one of its Call-ID
)

// order compares CSeqs with the bindings that would be changed (RFC 3261 §10.3 step 7).
func (a account) order(req *Request, wishes []wish) sequence {
	result := newer
	for i := range wishes {
		if wishes[i].place == none {
			continue
		}
		b := &a[wishes[i].place]
		switch {
		case b.CallID != req.CallID || req.CSeq > b.CSeq:
		case req.CSeq == b.CSeq && b.Flow == req.Flow:
			result = repeated
		default:
			return late
		}
	}
	return result
}

// apply removes and puts what was asked for. A binding that takes the place of one with another URI
// deletes that one.
func (a account) apply(now time.Time, req *Request, wishes []wish, o *Options) (account, []Change) {
	var changes []Change
	touched := make([]bool, len(a))
	added := make(account, 0, len(wishes))
	for i := range wishes {
		w := &wishes[i]
		var old *Binding
		if w.place != none {
			touched[w.place], old = true, &a[w.place]
		}
		if w.seconds == 0 {
			if old != nil {
				changes = append(changes, Change{Delete, *old})
			}
			continue
		}
		b := req.bind(now, &w.contact, o.grant(w.seconds))
		if old != nil {
			b.Registered = old.Registered
			if old.ID() != b.ID() {
				changes = append(changes, Change{Delete, *old})
			}
		}
		added = append(added, b)
		changes = append(changes, Change{Put, b})
	}
	next := make(account, 0, len(a)+len(added))
	for i := range a {
		if !touched[i] {
			next = append(next, a[i])
		}
	}
	return append(next, added...), changes
}

// bound drops bindings until limit are left: lost ones first, then those refreshed longest ago, and of
// one REGISTER's those that it named last.
func (a account) bound(limit int) (account, []Change) {
	var changes []Change
	for len(a) > max(1, limit) {
		victim := 0
		for i := range a {
			if a.sooner(i, victim) {
				victim = i
			}
		}
		changes = append(changes, Change{Delete, a[victim]})
		a = slices.Concat(a[:victim], a[victim+1:])
	}
	return a, changes
}

func (a account) sooner(i, than int) bool {
	if a[i].Lost != a[than].Lost {
		return a[i].Lost
	}
	return cmp.Or(a[i].Refreshed.Compare(a[than].Refreshed), cmp.Compare(than, i)) < 0
}

// listing is the 200 that names every binding.
func (a account) listing(now time.Time) Outcome {
	out := Outcome{Status: 200, Reason: "OK", Bindings: make([]Binding, 0, len(a))}
	for i := range a {
		if now.Before(a[i].Expires) {
			out.Bindings = append(out.Bindings, a[i])
		}
	}
	return out
}

// usable is what can be rung, in the order of [Registrar.Bindings].
func (a account) usable(now time.Time) []Binding {
	var found []Binding
	for i := range a {
		if a[i].Usable(now) {
			found = append(found, a[i])
		}
	}
	if len(found) > 1 {
		slices.SortStableFunc(found, func(x, y Binding) int {
			return cmp.Or(cmp.Compare(y.Q, x.Q), y.Refreshed.Compare(x.Refreshed))
		})
	}
	return found
}

func (a account) deletions() []Change {
	changes := make([]Change, 0, len(a))
	for i := range a {
		changes = append(changes, Change{Delete, a[i]})
	}
	return changes
}

// expire parts what has run out from what has not. Nothing is copied when nothing has.
func (a account) expire(now time.Time) (account, []Change) {
	live := func(b Binding) bool { return now.Before(b.Expires) }
	if !slices.ContainsFunc(a, func(b Binding) bool { return !live(b) }) {
		return a, nil
	}
	var rest account
	var changes []Change
	for i := range a {
		if live(a[i]) {
			rest = append(rest, a[i])
		} else {
			changes = append(changes, Change{Delete, a[i]})
		}
	}
	return rest, changes
}

// with puts a binding in, keeping the order of refreshing; one of the same ID gives way.
func (a account) with(b Binding) account {
	rest := make(account, 0, len(a)+1)
	for i := range a {
		if a[i].ID() != b.ID() {
			rest = append(rest, a[i])
		}
	}
	rest = append(rest, b)
	slices.SortStableFunc(rest, func(x, y Binding) int { return x.Refreshed.Compare(y.Refreshed) })
	return rest
}
