package user

import (
	"fmt"
	"iter"
	"maps"
	"net/netip"
	"slices"

	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/federation"
)

// Table is an immutable set of users. Lookups take no lock and do not allocate; whoever holds a *User
// from it reads and never writes.
type Table struct {
	byName map[federation.User]*User
	// byPrefix holds the masked prefixes; bits4 and bits6 are the prefix lengths that occur, longest first.
	byPrefix     map[netip.Prefix]*User
	bits4, bits6 []int
}

// NewTable validates the users and indexes them. Two users of one name, or of one address prefix, are a
// fault.Conflict that names both.
func NewTable(users ...User) (*Table, error) {
	t := &Table{byName: make(map[federation.User]*User, len(users)), byPrefix: map[netip.Prefix]*User{}}
	for _, u := range users {
		if err := t.add(u.Clone()); err != nil {
			return nil, err
		}
	}
	t.bits4, t.bits6 = prefixLengths(t.byPrefix)
	return t, nil
}

func (t *Table) add(u User) error {
	if err := u.Validate(); err != nil {
		return err
	}
	if _, ok := t.byName[u.Name]; ok {
		return fault.New("add user", fault.Exists, string(u.Name), "there is already a user of this name")
	}
	for i, p := range u.Addresses {
		p = p.Masked()
		if other, ok := t.byPrefix[p]; ok && other.Name != u.Name {
			return fault.New("add user", fault.Conflict, string(u.Name),
				fmt.Sprintf("the address %s already stands for user %s: give it to one of them only", p, other.Name))
		}
		u.Addresses[i] = p
		t.byPrefix[p] = &u
	}
	t.byName[u.Name] = &u
	return nil
}

func prefixLengths(prefixes map[netip.Prefix]*User) (v4, v6 []int) {
	for p := range prefixes {
		if p.Addr().Is4() {
			v4 = append(v4, p.Bits())
		} else {
			v6 = append(v6, p.Bits())
		}
	}
	return longestFirst(v4), longestFirst(v6)
}

func longestFirst(bits []int) []int {
	slices.Sort(bits)
	bits = slices.Compact(bits)
	slices.Reverse(bits)
	return bits
}

// Lookup finds a user by name, disabled ones too. The user is shared: read only.
func (t *Table) Lookup(name federation.User) (*User, bool) {
	u, ok := t.byName[name]
	return u, ok
}

// LookupAddress finds the user that a source address stands for, by the longest prefix.
func (t *Table) LookupAddress(source netip.Addr) (*User, bool) {
	source = source.Unmap().WithZone("")
	lengths := t.bits6
	if source.Is4() {
		lengths = t.bits4
	}
	for _, bits := range lengths {
		p, err := source.Prefix(bits)
		if err != nil {
			return nil, false
		}
		if u, ok := t.byPrefix[p]; ok {
			return u, true
		}
	}
	return nil, false
}

// Len counts the users.
func (t *Table) Len() int { return len(t.byName) }

// All yields the users ordered by name. They are shared: read only.
func (t *Table) All() iter.Seq[*User] {
	return func(yield func(*User) bool) {
		for _, name := range slices.Sorted(maps.Keys(t.byName)) {
			if !yield(t.byName[name]) {
				return
			}
		}
	}
}

// with returns a copy of the table in which u is put in the place of the user of its name.
func (t *Table) with(u User) (*Table, error) {
	return NewTable(append(t.without(u.Name), u)...)
}

func (t *Table) without(name federation.User) []User {
	rest := make([]User, 0, len(t.byName)+1)
	for n, u := range t.byName {
		if n != name {
			rest = append(rest, *u)
		}
	}
	return rest
}
