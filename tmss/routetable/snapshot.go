package routetable

import (
	"iter"
	"strings"

	"github.com/mss-federation/mss/pkg/federation"
)

// Entry is an NLRI with all its paths, those that can be used first, best first. It is immutable.
type Entry struct {
	NLRI     federation.NLRI
	Paths    []Path
	Usable   int    // how many of Paths can be used
	Revision uint64 // the table's revision at its last change that neighbours must learn of
	id       uint32
}

// Snapshot is the table at one moment. It never changes; lookups take no lock.
type Snapshot struct {
	roots    [federation.Default + 1]*node
	revision uint64
	routes   int
	paths    int
}

// Match is what a lookup found. Nothing in it may be changed.
type Match struct {
	Entry *Entry // nil when nothing matches
	Paths []Path // best first; empty when nothing matches or Null
	Null  bool   // an owned block whose number is nobody's: 404, and no further search
}

// Revision is the number of the last change that neighbours must learn of.
func (s *Snapshot) Revision() uint64 { return s.revision }

// Routes is how many NLRIs there are, and paths to them.
func (s *Snapshot) Routes() (routes, paths int) { return s.routes, s.paths }

// Lookup finds the paths of the most specific route that has a usable one.
func (s *Snapshot) Lookup(number federation.Number) Match {
	q := ask(number)
	var best *Entry
	for _, leg := range q.legs[:q.n] {
		if best = s.longest(leg.family, leg.key); best != nil {
			break
		}
	}
	if best == nil {
		best = s.longest(federation.Default, "")
	}
	return match(best)
}

// LookupKey finds a service or trunk group by its name.
func (s *Snapshot) LookupKey(family federation.Family, key string) Match {
	if family > federation.Default || s.roots[family] == nil {
		return Match{}
	}
	var found *Entry
	s.roots[family].along(treeKey(family, key), func(e *Entry) {
		if e.Usable > 0 && e.NLRI.Key == key {
			found = e
		}
	})
	return match(found)
}

func match(e *Entry) Match {
	switch {
	case e == nil:
		return Match{}
	case e.Paths[0].Decision.Class == Null:
		return Match{Entry: e, Null: true}
	}
	n := e.Usable
	for n > 1 && e.Paths[n-1].Decision.Class == Null {
		n--
	}
	return Match{Entry: e, Paths: e.Paths[:n:n]}
}

// longest walks down as far as the key leads and keeps the last entry that takes the whole key.
func (s *Snapshot) longest(family federation.Family, key string) *Entry {
	n, rest := s.roots[family], key
	var best *Entry
	for n != nil {
		var here *Entry
		for _, e := range n.entries {
			if e.Usable > 0 && takes(e.NLRI, len(key), rest == "") && (here == nil || narrower(e.NLRI, here.NLRI)) {
				here = e
			}
		}
		if here != nil {
			best = here
		}
		if rest == "" {
			break
		}
		_, c := n.child(rest[0])
		if c == nil || !strings.HasPrefix(rest, c.label) {
			break
		}
		n, rest = c, rest[len(c.label):]
	}
	return best
}

// takes says whether a key that begins like the NLRI's belongs to it: digits by their number, names when
// they are the whole key, domains with all that lies under them.
func takes(n federation.NLRI, length int, whole bool) bool {
	switch {
	case n.Family.Digits():
		return int(n.MinLen) <= length && length <= int(n.MaxLen)
	case n.Family == federation.URIDomain:
		return true
	}
	return whole
}

// narrower orders NLRIs with one key: fewer lengths first.
func narrower(a, b federation.NLRI) bool {
	if x, y := a.MaxLen-a.MinLen, b.MaxLen-b.MinLen; x != y {
		return x < y
	}
	return a.Compare(b) < 0
}

// question is where a number is looked up, in order.
type question struct {
	legs [2]struct {
		family federation.Family
		key    string
	}
	n int
}

func (q *question) add(family federation.Family, key string) {
	q.legs[q.n].family, q.legs[q.n].key = family, key
	q.n++
}

// ask reads a number: with + it is E.164, digits are the domain's own, user@host is a user and a domain.
func ask(number federation.Number) (q question) {
	text := string(number)
	digits, international := strings.CutPrefix(text, "+")
	_, host, at := strings.Cut(text, "@")
	switch {
	case at:
		q.add(federation.URIUser, text)
		q.add(federation.URIDomain, treeKey(federation.URIDomain, host))
	case digits == "" || strings.Trim(digits, "0123456789") != "":
	case international:
		q.add(federation.E164, digits)
	default:
		q.add(federation.Enterprise, digits)
	}
	return q
}

// Get finds the entry of an NLRI; nil when it has no path.
func (s *Snapshot) Get(nlri federation.NLRI) *Entry {
	if nlri.Family > federation.Default {
		return nil
	}
	return s.roots[nlri.Family].get(treeKey(nlri.Family, nlri.Key), nlri)
}

// All yields every entry in a fixed order.
func (s *Snapshot) All() iter.Seq[*Entry] { return s.After(federation.NLRI{}) }

// After yields the entries that follow an NLRI in that order, so that a walk can be taken up again. The
// NLRI need not exist; zero begins at the start.
func (s *Snapshot) After(nlri federation.NLRI) iter.Seq[*Entry] {
	return func(yield func(*Entry) bool) {
		key := treeKey(nlri.Family, nlri.Key)
		begun := nlri.Family == federation.AnyFamily
		for family := max(nlri.Family, 1); int(family) < len(s.roots); family++ {
			bounded := !begun && family == nlri.Family
			if s.roots[family] == nil {
				continue
			}
			if !s.roots[family].after(key, bounded, func(e *Entry) bool {
				if bounded && e.NLRI.Key == nlri.Key && e.NLRI.Compare(nlri) <= 0 {
					return true
				}
				return yield(e)
			}) {
				return
			}
		}
	}
}
