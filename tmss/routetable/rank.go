package routetable

import (
	"cmp"
	"slices"
	"strings"

	"github.com/mss-federation/mss/pkg/federation"
)

// rank sorts paths, best first, those that cannot be used last, and notes at each the step that put it
// behind the one before. No step looks at age or arrival. It returns how many can be used.
func rank(paths []Path) int {
	if len(paths) == 1 {
		paths[0].Step = First
		return usable(paths)
	}
	placed := make([]placedPath, len(paths))
	for i := range paths {
		placed[i].Path = paths[i]
	}
	slices.SortFunc(placed, order)
	n := usable(paths)
	for from := 0; from < n; {
		to := from + 1
		for to < n && alike(&placed[from].Path, &placed[to].Path) {
			to++
		}
		place(placed[from:to])
		from = to
	}
	slices.SortFunc(placed, order)
	for i := range placed {
		placed[i].Step = First
		if i > 0 {
			placed[i].Step = stepBetween(&placed[i-1], &placed[i])
		}
		paths[i] = placed[i].Path
	}
	return n
}

// placedPath is a path with the place of its priority among the priorities of its origin group. Comparing
// priorities pairwise inside groups alone is not transitive (the flaw of BGP's MED); comparing places is.
type placedPath struct {
	Path
	place int
}

func order(a, b placedPath) int {
	c, _ := compare(&a.Path, &b.Path)
	return cmp.Or(c, cmp.Compare(a.place, b.place), identity(&a.Path, &b.Path))
}

func usable(paths []Path) (n int) {
	for i := range paths {
		if paths[i].Reason == Eligible {
			n++
		}
	}
	return n
}

func alike(a, b *Path) bool {
	c, _ := compare(a, b)
	return c == 0
}

// compare is the order before priority.
func compare(a, b *Path) (int, Step) {
	if a.Reason != Eligible || b.Reason != Eligible {
		return cmp.Compare(min(a.Reason, 1), min(b.Reason, 1)), ByEligibility
	}
	if c := cmp.Compare(classRank[a.Class()], classRank[b.Class()]); c != 0 {
		return c, ByClass
	}
	if c := cmp.Compare(b.LocalPref(), a.LocalPref()); c != 0 {
		return c, ByLocalPref
	}
	if a.Stale != b.Stale {
		if b.Stale {
			return -1, ByFreshness
		}
		return 1, ByFreshness
	}
	if c := cmp.Compare(b.Decision.Authority, a.Decision.Authority); c != 0 { // Invalid is not eligible
		return c, ByAuthority
	}
	if a.Decision.Authority != Valid {
		if c := strings.Compare(string(a.Attributes.Origin.Site), string(b.Attributes.Origin.Site)); c != 0 {
			return c, BySite
		}
	}
	if c := cmp.Compare(len(a.Attributes.RoutedPath), len(b.Attributes.RoutedPath)); c != 0 {
		return c, ByRoutedPath
	}
	return cmp.Compare(a.Attributes.Cost, b.Attributes.Cost), ByCost
}

// identity is the order of what is equal otherwise.
func identity(a, b *Path) int {
	return cmp.Or(
		cmp.Compare(a.Attributes.Origin.Node, b.Attributes.Origin.Node),
		cmp.Compare(a.Neighbour, b.Neighbour),
		cmp.Compare(a.PathID, b.PathID))
}

// place gives paths that are equal so far the place of their priority: how many distinct ones of their
// group are lower.
func place(paths []placedPath) {
	for i := range paths {
		own := paths[i].Attributes
		var lower []uint32
		for j := range paths {
			a := paths[j].Attributes
			if a.Priority < own.Priority && group(a) == group(own) && !slices.Contains(lower, a.Priority) {
				lower = append(lower, a.Priority)
			}
		}
		paths[i].place = len(lower)
	}
}

// stepBetween finds the step that puts b behind a.
func stepBetween(a, b *placedPath) Step {
	if c, step := compare(&a.Path, &b.Path); c != 0 {
		return step
	}
	switch {
	case b.Reason != Eligible:
		return ByEligibility
	case a.place != b.place:
		return ByPriority
	case a.Attributes.Origin.Node != b.Attributes.Origin.Node:
		return ByOrigin
	case a.Neighbour != b.Neighbour:
		return ByNeighbour
	}
	return ByPathID
}

func group(a *federation.Attributes) string {
	switch {
	case a.Origin.Group != "":
		return "group/" + a.Origin.Group
	case a.Origin.Site != "":
		return "site/" + string(a.Origin.Site)
	}
	return string(a.Origin.Node)
}
