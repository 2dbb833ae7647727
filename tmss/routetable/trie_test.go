package routetable

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/mss-federation/mss/pkg/federation"
)

// model is the table without a tree: a list that is searched from end to end.
type model map[federation.NLRI]bool

func (m model) lookup(number string) string {
	var best *federation.NLRI
	for n := range m {
		whole := strings.HasPrefix(number, n.Key) && int(n.MinLen) <= len(number) && len(number) <= int(n.MaxLen)
		if whole && (best == nil || len(n.Key) > len(best.Key) || len(n.Key) == len(best.Key) && narrower(n, *best)) {
			best = &n
		}
	}
	if best == nil {
		return "nothing"
	}
	return best.String() + " site/l"
}

func TestTreeLikeModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		table, reference := New(Options{Self: "hub/a", Epoch: 1}), model{}
		key := rapid.StringOfN(rapid.RuneFrom([]rune("012")), 0, 5, -1)
		type moment struct {
			snapshot *Snapshot
			routes   model
		}
		var moments []moment
		for range rapid.IntRange(1, 30).Draw(t, "batches") {
			var changes []Change
			for range rapid.IntRange(1, 3).Draw(t, "changes") {
				n := digits(key.Draw(t, "key"), 4, uint8(rapid.IntRange(5, 6).Draw(t, "longest")))
				c := site("l", n)
				if reference[n] = rapid.Bool().Draw(t, "there"); !reference[n] {
					delete(reference, n)
					c.Op = Withdraw
				}
				changes = append(changes, c)
			}
			table.Apply(noon, changes...)
			moments = append(moments, moment{table.Snapshot(), maps.Clone(reference)})
		}
		number := rapid.StringOfN(rapid.RuneFrom([]rune("012")), 1, 7, -1).Draw(t, "number")
		after := digits(key.Draw(t, "after"), 4, 5)
		for _, m := range moments { // old snapshots too: nothing may have changed them
			if got, want := found(m.snapshot.Lookup(federation.Number(number))), m.routes.lookup(number); got != want {
				t.Fatalf("%s: %s, want %s in %v", number, got, want, m.routes)
			}
			keys := slices.SortedFunc(maps.Keys(m.routes), federation.NLRI.Compare)
			keys = slices.DeleteFunc(keys, func(n federation.NLRI) bool { return n.Compare(after) <= 0 })
			var walked []federation.NLRI
			for e := range m.snapshot.After(after) {
				walked = append(walked, e.NLRI)
			}
			if !slices.Equal(walked, keys) {
				t.Fatalf("after %s: %v, want %v", after, walked, keys)
			}
			if routes, paths := m.snapshot.Routes(); routes != len(m.routes) || paths != len(m.routes) {
				t.Fatalf("%d routes and %d paths are counted, want %d", routes, paths, len(m.routes))
			}
		}
	})
}

func TestWalkNames(t *testing.T) {
	t.Parallel()
	table := New(Options{Self: "hub/a", Epoch: 1})
	for _, name := range []string{"example.org", "lab.example.org", "example.com", "x.example.com"} {
		table.Apply(noon, site("l", federation.NLRI{Family: federation.URIDomain, Key: name}))
	}
	table.Apply(noon, site("l", digits("1", 4, 4)), site("l", federation.NLRI{Family: federation.Default}))
	var whole, pieces []string
	for e := range table.Snapshot().All() {
		whole = append(whole, e.NLRI.String())
	}
	for at := (federation.NLRI{}); ; { // taken up again after each one
		var next *Entry
		for e := range table.Snapshot().After(at) {
			next = e
			break
		}
		if next == nil {
			break
		}
		at = next.NLRI
		pieces = append(pieces, at.String())
	}
	if want := "[1/4 example.com x.example.com example.org lab.example.org default]"; fmt.Sprint(whole) != want || fmt.Sprint(pieces) != want {
		t.Errorf("walked %v and %v, want %s", whole, pieces, want)
	}
}

// FuzzLookup looks for numbers that break the lookup; every one must be answered.
func FuzzLookup(f *testing.F) {
	for _, seed := range []string{"1001", "+15550101", "alice@example.org", "bob", "@", "+", "a@b.", "\x00"} {
		f.Add(seed)
	}
	table := New(Options{Self: "hub/a", Epoch: 1})
	table.Apply(noon, site("l", digits("1", 4, 4)), site("l", federation.NLRI{Family: federation.E164, Key: "1555", MinLen: 8, MaxLen: 11}),
		site("l", federation.NLRI{Family: federation.URIUser, Key: "alice@example.org"}), site("l", federation.NLRI{Family: federation.URIDomain, Key: "example.org"}))
	f.Fuzz(func(t *testing.T, number string) {
		m, x := table.Lookup(federation.Number(number)), table.Snapshot().Explain(federation.Number(number))
		if (m.Entry != nil) != (x.Outcome == Chosen) {
			t.Errorf("%q: found %v, explained as %s", number, m.Entry, x.Outcome)
		}
		if m.Entry != nil && (x.Candidates[0].NLRI != m.Entry.NLRI || x.Candidates[0].Path.Neighbour != m.Paths[0].Neighbour) {
			t.Errorf("%q: found %s, explained as %s", number, m.Entry.NLRI, x.Candidates[0])
		}
	})
}
