package routetable

import (
	"cmp"
	"slices"
	"strings"

	"github.com/mss-federation/mss/pkg/federation"
)

// Explanation says how a number is decided, and why not otherwise.
type Explanation struct {
	Number     federation.Number
	Revision   uint64 // of the table that was asked
	Outcome    Outcome
	Candidates []Candidate // every path of every route that takes the number, best first
	Misses     []Miss      // routes that the number begins like, but does not belong to
}

// Outcome is what a lookup of the number gives.
type Outcome uint8

// The outcomes. Zero is NoRoute.
const (
	NoRoute    Outcome = iota // 404: nothing takes the number
	Chosen                    // the first candidate
	Unassigned                // 404: an owned block whose number is nobody's
	Unusable                  // routes take the number, but no path of them can be used
)

// String is the outcome in an operator's words.
func (o Outcome) String() string {
	return name([]string{"no route", "chosen", "unassigned number of an owned block", "no usable path"}, uint8(o))
}

// Candidate is a path that might have carried the call.
type Candidate struct {
	NLRI federation.NLRI
	Path Path
	Step Step // what put it behind the candidate before it
	Set  bool // it stands in the weighted set of the best: calls are shared
}

// Miss is a route that nearly fits: the digits are right and their number is not.
type Miss struct {
	NLRI     federation.NLRI
	TooShort bool // else the number is too long
}

// Explain ranks every path that a number could take.
func (s *Snapshot) Explain(number federation.Number) Explanation {
	x := Explanation{Number: number, Revision: s.revision}
	q := ask(number)
	for _, leg := range q.legs[:q.n] {
		if s.roots[leg.family] != nil {
			s.explainKey(&x, leg.family, leg.key)
		}
	}
	if s.roots[federation.Default] != nil {
		s.explainKey(&x, federation.Default, "")
	}
	m := s.Lookup(number)
	switch {
	case m.Null:
		x.Outcome = Unassigned
	case m.Entry != nil:
		x.Outcome = Chosen
	case len(x.Candidates) > 0:
		x.Outcome = Unusable
	}
	x.settle(m)
	return x
}

// explainKey adds the paths of the routes along a key, most specific first.
func (s *Snapshot) explainKey(x *Explanation, family federation.Family, key string) {
	var takers []*Entry
	s.roots[family].along(key, func(e *Entry) {
		whole := len(treeKey(family, e.NLRI.Key)) == len(key)
		switch {
		case takes(e.NLRI, len(key), whole):
			takers = append(takers, e)
		case family.Digits():
			x.Misses = append(x.Misses, Miss{NLRI: e.NLRI, TooShort: len(key) < int(e.NLRI.MinLen)})
		}
	})
	slices.SortFunc(takers, func(a, b *Entry) int {
		if c := cmp.Compare(len(b.NLRI.Key), len(a.NLRI.Key)); c != 0 {
			return c
		}
		if narrower(a.NLRI, b.NLRI) {
			return -1
		}
		return 1
	})
	for _, e := range takers {
		for i := range e.Paths {
			x.Candidates = append(x.Candidates, Candidate{NLRI: e.NLRI, Path: e.Paths[i], Step: e.Paths[i].Step})
		}
	}
}

// settle puts candidates that cannot be used behind those that can, and names the step between routes.
func (x *Explanation) settle(m Match) {
	slices.SortStableFunc(x.Candidates, func(a, b Candidate) int {
		return cmp.Compare(min(a.Path.Reason, 1), min(b.Path.Reason, 1))
	})
	for i := range x.Candidates {
		c := &x.Candidates[i]
		switch {
		case i == 0:
			c.Step = First
		case c.Path.Reason != Eligible:
			c.Step = ByEligibility
		case c.NLRI != x.Candidates[i-1].NLRI:
			c.Step = BySpecificity
		}
		c.Set = i < m.Shared()
	}
}

// Shared is how many of the first paths are equal but for their names: calls are spread over them by
// weight. Those of different sites are equal only where all are authorised (see BySite). 0 when there is no
// path.
func (m Match) Shared() int {
	for i := range m.Paths {
		if i > 0 && m.Paths[i].Step < ByOrigin {
			return i
		}
	}
	return len(m.Paths)
}

// String is one line for people.
func (m Miss) String() string {
	if m.TooShort {
		return m.NLRI.String() + ": the number is too short"
	}
	return m.NLRI.String() + ": the number is too long"
}

// String is one line for people: the route, the neighbour, and what decided.
func (c Candidate) String() string {
	var b strings.Builder
	b.WriteString(c.NLRI.String() + " via " + string(c.Path.Neighbour))
	if c.Path.Reason != Eligible {
		b.WriteString(": " + c.Path.Reason.String())
		if c.Path.Decision.Rule != "" {
			b.WriteString(" (" + c.Path.Decision.Rule + ")")
		}
		return b.String()
	}
	b.WriteString(": " + c.Step.String())
	if c.Set {
		b.WriteString(", shared")
	}
	return b.String()
}
