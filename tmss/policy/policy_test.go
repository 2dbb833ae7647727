package policy

import (
	"strings"
	"testing"
	"time"

	"github.com/mss-federation/mss/pkg/exchange"
	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/tmss/routetable"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func digits(key string, length uint8) federation.NLRI {
	return federation.NLRI{Domain: "example.org", Family: federation.Enterprise, Key: key, MinLen: length, MaxLen: length}
}

func offices(tb testing.TB) *Policy {
	tb.Helper()
	p, err := New("example.org", []Site{
		{ID: "hongkong", Prefixes: []federation.NLRI{digits("1", 4)}},
		{ID: "london", Prefixes: []federation.NLRI{digits("4", 4), digits("77", 5)}},
		{ID: "leeds", Prefixes: []federation.NLRI{digits("77", 5)}},
	})
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

// route is what a site announces, seen behind the nodes over which it came.
func route(site federation.SiteID, n federation.NLRI, over ...federation.NodeID) federation.Route {
	node := federation.NodeID("site/" + site)
	r := federation.Route{NLRI: n, PathID: 1, Attributes: &federation.Attributes{Origin: federation.Origin{Node: node, Site: site}}}
	for _, id := range append([]federation.NodeID{node}, over...) {
		r.Attributes.AdvPath = append(r.Attributes.AdvPath, federation.PathElement{Node: id, Epoch: 1})
		r.Attributes.RoutedPath = append(r.Attributes.RoutedPath, id)
		r.Attributes.NextHops = []federation.NextHop{{Node: id}}
		r.Revisions = append(r.Revisions, 1)
	}
	return r
}

func TestImport(t *testing.T) {
	t.Parallel()
	p := offices(t)
	otc := route("hongkong", digits("1", 4), "hub/b")
	otc.Attributes.OTC = "hub/b"
	foreign := digits("1", 4)
	foreign.Domain = "example.com"
	static := federation.Route{NLRI: digits("9", 4), Attributes: &federation.Attributes{Origin: federation.Origin{Node: "hub/b"}}}
	for name, test := range map[string]struct {
		from      federation.NodeID
		route     federation.Route
		reject    routetable.Reason
		authority routetable.Authority
		rule      string
	}{
		"own":            {"site/hongkong", route("hongkong", digits("1", 4)), routetable.Eligible, routetable.Valid, "ownership"},
		"inside own":     {"site/hongkong", route("hongkong", digits("10", 4)), routetable.Eligible, routetable.Valid, "ownership"},
		"longer numbers": {"site/hongkong", route("hongkong", digits("1", 5)), routetable.NotAuthorised, routetable.Invalid, "1/5 is not among"},
		"of another":     {"site/hongkong", route("hongkong", digits("40", 4)), routetable.NotAuthorised, routetable.Invalid, "the site london owns it"},
		"of nobody":      {"site/hongkong", route("hongkong", digits("5", 4)), routetable.NotAuthorised, routetable.Invalid, "5/4 is not among the prefixes of the site hongkong"},
		"wider":          {"site/hongkong", route("hongkong", digits("", 4)), routetable.NotAuthorised, routetable.Invalid, "ownership"},
		"shared":         {"site/leeds", route("leeds", digits("77", 5)), routetable.Eligible, routetable.Valid, "ownership"},
		"not configured": {"site/paris", route("paris", digits("1", 4)), routetable.Rejected, routetable.NotFound, "paris is not configured"},
		"for another":    {"site/london", route("hongkong", digits("1", 4)), routetable.Rejected, routetable.NotFound, `london announces for "hongkong"`},
		"default": {
			"site/london", route("london", federation.NLRI{Domain: "example.org", Family: federation.Default}), routetable.Rejected, routetable.NotFound, "nobody's default",
		},
		"other domain":   {"site/hongkong", route("hongkong", foreign), routetable.Rejected, routetable.NotFound, "example.com is not example.org"},
		"over a hub":     {"hub/b", route("hongkong", digits("1", 4), "hub/b"), routetable.Eligible, routetable.Valid, "ownership"},
		"hijack by hub":  {"hub/b", route("london", digits("1", 4), "hub/b"), routetable.NotAuthorised, routetable.Invalid, "the site hongkong owns it"},
		"unknown by hub": {"hub/b", route("paris", digits("3", 4), "hub/b"), routetable.Eligible, routetable.NotFound, "paris is not known here"},
		"static of hub":  {"hub/b", static, routetable.Eligible, routetable.NotFound, ""},
		"leak":           {"hub/b", otc, routetable.Rejected, routetable.NotFound, "RFC 9234"},
	} {
		d := p.Import(test.from, test.route.NLRI, test.route.Attributes)
		if d.Reject != test.reject || d.Authority != test.authority || !strings.Contains(d.Rule, test.rule) {
			t.Errorf("%s: %s, %s, %q", name, d.Reject, d.Authority, d.Rule)
		}
	}
}

func TestNewRefusesBadPrefixes(t *testing.T) {
	t.Parallel()
	_, err := New("example.org", []Site{{ID: "x", Prefixes: []federation.NLRI{digits("4x", 4)}}})
	if err == nil || !strings.Contains(err.Error(), `site prefixes: x: invalid: prefix "4x"`) {
		t.Error(err)
	}
}

// hub is a hub's table with everything around it, without sessions.
type hub struct {
	table  *routetable.Table
	policy *Policy
	in     map[federation.NodeID]*Inbound
}

func newHub(tb testing.TB, id federation.NodeID) *hub {
	tb.Helper()
	return &hub{table: routetable.New(routetable.Options{Self: id, Epoch: 1}), policy: offices(tb), in: map[federation.NodeID]*Inbound{}}
}

func (h *hub) tell(from federation.NodeID, routes ...federation.Route) []Event {
	if h.in[from] == nil {
		h.in[from] = NewInbound(h.table, from, func() *Policy { return h.policy }, Limit{})
	}
	var deltas []exchange.Delta
	for _, r := range routes {
		deltas = append(deltas, exchange.Delta{Op: exchange.Announce, Route: r})
	}
	return h.in[from].Apply(noon, deltas)
}

func offered(o *Outbound) string {
	out := ""
	view := o.View()
	for n := range view.Keys(federation.NLRI{}) {
		for _, r := range view.Routes(n, 3) {
			out += r.NLRI.String()
			for i, e := range r.Attributes.AdvPath {
				out += " " + string(e.Node)
				if i >= len(r.Revisions) {
					out += " without a revision"
				}
			}
			out += "; "
		}
	}
	return out
}

func TestExport(t *testing.T) {
	t.Parallel()
	h := newHub(t, "hub/a")
	h.policy.Install(h.table, noon, []StaticRoute{{ID: "gw", NLRI: digits("9", 4), NextHops: []federation.NextHop{{URI: "sip:gw.example.org"}}}})
	h.tell("site/london", route("london", digits("4", 4)), route("london", digits("1", 4)))
	h.tell("hub/b", route("hongkong", digits("1", 4), "hub/b"))
	kept := route("london", digits("40", 4))
	kept.Attributes.Communities = []federation.Community{federation.NoExport}
	secret := route("london", digits("41", 4))
	secret.Attributes.Communities = []federation.Community{federation.NoAdvertise}
	h.tell("site/london", kept, secret)
	c := NewOutbound(h.table, "hub/c", 10)
	for name, test := range map[string]struct {
		to   *Outbound
		want string
	}{
		"to its own site":      {NewOutbound(h.table, "site/london", 1), "1/4 site/hongkong hub/b hub/a; 9/4 hub/a; "},
		"to another site":      {NewOutbound(h.table, "site/leeds", 1), "1/4 site/hongkong hub/b hub/a; 4/4 site/london hub/a; 40/4 site/london hub/a; 9/4 hub/a; "},
		"to the hub it is of":  {NewOutbound(h.table, "hub/b", 10), "4/4 site/london hub/a; 9/4 hub/a; "},
		"to a hub in the mesh": {c, "4/4 site/london hub/a; 9/4 hub/a; "},
	} {
		if got := offered(test.to); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
	a := c.View().Routes(digits("4", 4), 3)[0].Attributes
	if a.Cost != 10 || a.NextHops[0].Node != "hub/a" || a.OTC != "" || len(a.RoutedPath) != 2 {
		t.Errorf("to a hub: %+v", a)
	}
	a = NewOutbound(h.table, "site/leeds", 1).View().Routes(digits("4", 4), 3)[0].Attributes
	if a.OTC != "hub/a" {
		t.Errorf("to a site: %+v", a)
	}
}

func TestBrokenLinkIsBridged(t *testing.T) {
	t.Parallel()
	h := newHub(t, "hub/a")
	h.tell("hub/b", route("hongkong", digits("1", 4), "hub/b"))
	o := NewOutbound(h.table, "hub/c", 10)
	for _, step := range []struct {
		name    string
		links   Links
		changed bool
		want    string
	}{
		{"whole", Links{"b": {"a", "c"}, "c": {"a", "b"}}, false, ""},
		{"broken", Links{"b": {"a"}, "c": {"a"}}, true, "1/4 site/hongkong hub/b hub/a; "},
		{"still broken", Links{"b": {"a"}, "c": {"a"}}, false, "1/4 site/hongkong hub/b hub/a; "},
		{"one way", Links{"b": {"a", "c"}, "c": {"a"}}, false, "1/4 site/hongkong hub/b hub/a; "},
		{"whole again", Links{"b": {"a", "c"}, "c": {"a", "b"}}, true, ""},
	} {
		revision := h.table.Snapshot().Revision()
		if changed := o.SetLinks(step.links); changed != step.changed || offered(o) != step.want {
			t.Errorf("%s: changed %v, offers %q", step.name, changed, offered(o))
		}
		if step.changed && o.View().Resumable(revision) {
			t.Errorf("%s: what was offered before counts", step.name)
		}
	}
}

func TestNothingGoesBackToWhomItPassed(t *testing.T) {
	t.Parallel()
	h := newHub(t, "hub/a")
	h.tell("hub/d", route("hongkong", digits("1", 4), "hub/c", "hub/d"), route("hongkong", digits("10", 4), "hub/d"))
	o := NewOutbound(h.table, "hub/c", 10)
	o.SetLinks(Links{"d": {"a"}, "c": {"a"}})
	if got, want := offered(o), "10/4 site/hongkong hub/d hub/a; "; got != want {
		t.Errorf("offers %q, want %q", got, want)
	}
}

func TestAlternatesLeadToOtherSites(t *testing.T) {
	t.Parallel()
	h := newHub(t, "hub/a")
	h.tell("site/london", route("london", digits("77", 5)))
	h.tell("hub/b", route("london", digits("77", 5), "hub/b"))
	h.tell("hub/c", route("leeds", digits("77", 5), "hub/c"))
	want := "77/5 site/london hub/a; 77/5 site/leeds hub/c hub/a; "
	if got := offered(NewOutbound(h.table, "site/hongkong", 1)); got != want {
		t.Errorf("offers %q, want %q", got, want)
	}
}

func TestChangesLeaveOutWhatDoesNotConcern(t *testing.T) {
	t.Parallel()
	h := newHub(t, "hub/a")
	h.tell("site/london", route("london", digits("4", 4)), route("london", digits("77", 5)))
	h.tell("site/hongkong", route("hongkong", digits("1", 4)))
	changes, through, ok := NewOutbound(h.table, "site/london", 1).View().Changes(0, 10)
	if !ok || through != 3 || len(changes) != 1 || changes[0].NLRI.Key != "1" || changes[0].Urgent || changes[0].Had != 0 {
		t.Errorf("london is told %+v through %d", changes, through)
	}
	h.in["site/hongkong"].Apply(noon, []exchange.Delta{{Op: exchange.Withdraw, Route: route("hongkong", digits("1", 4))}})
	changes, through, ok = NewOutbound(h.table, "site/london", 1).View().Changes(3, 10)
	if !ok || through != 4 || len(changes) != 1 || !changes[0].Urgent || changes[0].Had != 1 {
		t.Errorf("london is told %+v through %d", changes, through)
	}
	changes, through, ok = NewOutbound(h.table, "site/leeds", 1).View().Changes(0, 2)
	if !ok || through != 2 || len(changes) != 2 {
		t.Errorf("the limit: %+v through %d", changes, through)
	}
	if _, _, ok := NewOutbound(h.table, "site/leeds", 1).View().Changes(9, 2); ok {
		t.Error("a revision of the future is known")
	}
}

func TestInboundTells(t *testing.T) {
	t.Parallel()
	h := newHub(t, "hub/a")
	bad := route("london", digits("1", 4))
	events := h.tell("site/london", bad, route("london", digits("4", 4)))
	if len(events) != 1 || events[0].Kind != RouteRefused || !strings.Contains(events[0].Text, "hongkong owns it") {
		t.Errorf("events %+v", events)
	}
	if events := h.tell("site/london", bad); len(events) != 0 {
		t.Errorf("told twice: %+v", events)
	}
	if x := h.table.Snapshot().Explain("1001"); len(x.Candidates) != 1 || x.Candidates[0].Path.Reason != routetable.NotAuthorised {
		t.Errorf("the refused path is not shown: %+v", x)
	}
}

func TestLimit(t *testing.T) {
	t.Parallel()
	h := newHub(t, "hub/a")
	h.in["site/london"] = NewInbound(h.table, "site/london", func() *Policy { return h.policy }, Limit{Max: 3, Warn: 60})
	var got []EventKind
	for _, key := range []string{"40", "41", "42", "43", "44", "40"} {
		for _, e := range h.tell("site/london", route("london", digits(key, 4))) {
			got = append(got, e.Kind)
		}
	}
	if len(got) != 2 || got[0] != LimitNear || got[1] != LimitReached || h.in["site/london"].Blocked() != 2 || h.table.Held("site/london") != 3 {
		t.Errorf("events %v, %d blocked, %d held", got, h.in["site/london"].Blocked(), h.table.Held("site/london"))
	}
}

func TestLimitLeavesRoomAgain(t *testing.T) {
	t.Parallel()
	h := newHub(t, "hub/a")
	in := NewInbound(h.table, "site/london", func() *Policy { return h.policy }, Limit{Max: 1})
	h.in["site/london"] = in
	h.tell("site/london", route("london", digits("40", 4)))
	in.Apply(noon, []exchange.Delta{{Op: exchange.Withdraw, Route: route("london", digits("40", 4))}})
	h.tell("site/london", route("london", digits("41", 4)))
	if h.table.Held("site/london") != 1 || in.Blocked() != 0 {
		t.Errorf("%d held, %d blocked", h.table.Held("site/london"), in.Blocked())
	}
}

func TestInstallJudgesAnew(t *testing.T) {
	t.Parallel()
	h := newHub(t, "hub/a")
	h.policy.Install(h.table, noon, []StaticRoute{{ID: "gw", NLRI: digits("1", 4), NextHops: []federation.NextHop{{Node: "site/gw"}}}})
	h.tell("site/london", route("london", digits("4", 4)))
	h.tell("site/hongkong", route("hongkong", digits("10", 4)))
	if m := h.table.Lookup("7701"); m.Entry != nil {
		t.Error("a number of four digits in a block of five")
	}
	if m := h.table.Lookup("77012"); !m.Null || m.Entry.Paths[0].Attributes.Origin.Site == "" {
		t.Errorf("an owned number that nobody announces: %+v", m)
	}
	if m := h.table.Lookup("1999"); len(m.Paths) != 1 || m.Paths[0].Class() != routetable.Static {
		t.Errorf("a static route loses to the null route: %+v", m)
	}
	next, err := New("example.org", []Site{{ID: "hongkong", Prefixes: []federation.NLRI{digits("1", 4), digits("4", 4)}}})
	if err != nil {
		t.Fatal(err)
	}
	h.policy = next
	next.Install(h.table, noon, []StaticRoute{{ID: "gw", NLRI: digits("1", 4), NextHops: []federation.NextHop{{Node: "site/gw"}}}})
	if m := h.table.Lookup("4001"); !m.Null || m.Entry.Paths[0].Attributes.Origin.Site != "hongkong" {
		t.Errorf("london lost its prefix and still has calls: %+v", m)
	}
	if m := h.table.Lookup("77012"); m.Entry != nil {
		t.Errorf("an old null route stayed: %+v", m)
	}
	if m := h.table.Lookup("1999"); len(m.Paths) != 1 {
		t.Errorf("the static route is gone: %+v", m)
	}
}
