package routetable

import (
	"strings"
	"testing"

	"github.com/mss-federation/mss/pkg/federation"
)

func TestExplain(t *testing.T) {
	t.Parallel()
	table := New(Options{Self: "hub/a", Epoch: 1})
	refused := alter(site("evil", digits("10", 4, 4)), func(_ *federation.Attributes, c *Change) {
		c.Decision.Reject, c.Decision.Rule = NotAuthorised, "ownership"
	})
	null := alter(site("own", digits("2", 4, 4)), func(_ *federation.Attributes, c *Change) { c.Decision.Class = Null })
	dear := alter(site("x", digits("1", 4, 4)), func(a *federation.Attributes, _ *Change) { a.Cost = 5 })
	rest := site("gw", federation.NLRI{Domain: "example.org", Family: federation.Default})
	table.Apply(noon, site("hk", digits("1", 4, 4)), site("mk", digits("1", 4, 4)), dear, refused, null, site("l", digits("100", 6, 7)), rest)
	for number, want := range map[federation.Number]string{
		"1001": `chosen
1/4 via site/hk: first, shared
1/4 via site/mk: origin, shared
1/4 via site/x: cost
default via site/gw: specificity
10/4 via site/evil: not authorised (ownership)
100/6-7: the number is too short`,
		"2001": `unassigned number of an owned block
2/4 via site/own: first
default via site/gw: specificity`,
		"20011": `chosen
default via site/gw: first, shared
2/4: the number is too long`,
	} {
		x := table.Snapshot().Explain(number)
		lines := []string{x.Outcome.String()}
		for _, c := range x.Candidates {
			lines = append(lines, c.String())
		}
		for _, m := range x.Misses {
			lines = append(lines, m.String())
		}
		if got := strings.Join(lines, "\n"); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", number, got, want)
		}
	}
	if x := New(Options{}).Snapshot().Explain("1001"); x.Outcome != NoRoute || len(x.Candidates) != 0 {
		t.Errorf("an empty table: %+v", x)
	}
}
