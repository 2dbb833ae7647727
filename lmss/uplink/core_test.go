package uplink

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mss-federation/mss/pkg/exchange"
	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/nodelink"
	"github.com/mss-federation/mss/pkg/siptransport"
)

func hubs(ids string) []exchange.Hub {
	var all []exchange.Hub
	for id := range strings.FieldsSeq(ids) {
		all = append(all, exchange.Hub{ID: federation.HubID(id), GRPC: id + ".example.org:5443"})
	}
	return all
}

func hubIDs(ids string) []federation.HubID {
	var all []federation.HubID
	for id := range strings.FieldsSeq(ids) {
		all = append(all, federation.HubID(id))
	}
	return all
}

func TestChoose(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ named, known, want string }{
		{"", "", ""},
		{"b a", "a b c", "b a"},
		{"b x a", "a b c", "b a"},
		{"x", "a b", ""},
		{"e d c b a", "a b c d e", "e d c b"},
	} {
		if got := names(choose("london", hubIDs(test.named), hubs(test.known))); got != test.want {
			t.Errorf("named %q, known %q: %q, want %q", test.named, test.known, got, test.want)
		}
	}
}

// TestUnnamedHubsAreSpread wants an order that does not depend on how the list was sorted, that stays when
// another hub comes, and that is not the same for all sites.
func TestUnnamedHubsAreSpread(t *testing.T) {
	t.Parallel()
	first := map[federation.HubID]int{}
	for i := range 300 {
		site := federation.SiteID("site" + string(rune('a'+i%26)) + string(rune('a'+i/26)))
		forth := choose(site, nil, hubs("a b c"))
		if back := choose(site, nil, hubs("c b a")); names(forth) != names(back) {
			t.Fatalf("%s: %s and %s", site, names(forth), names(back))
		}
		more := slices.DeleteFunc(choose(site, nil, hubs("a b c d")), func(h exchange.Hub) bool { return h.ID == "d" })
		if names(more) != names(forth) {
			t.Fatalf("%s: another hub changed the order of the others: %s, then %s", site, names(forth), names(more))
		}
		first[forth[0].ID]++
	}
	for _, id := range hubIDs("a b c") {
		if n := first[id]; n < 50 {
			t.Errorf("hub %s is the first of %d of 300 sites", id, n)
		}
	}
	if n := len(choose("london", nil, hubs("a b c d e f"))); n != MaxHubs {
		t.Errorf("attached to %d hubs", n)
	}
}

func TestMerge(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ known, listed, up, want string }{
		{"a b", "", "", "a b"},
		{"a b", "b c", "", "b c"},
		{"a b", "b c", "a", "a b c"},
		{"", "b a", "", "a b"},
	} {
		up := func(id federation.HubID) bool { return slices.Contains(hubIDs(test.up), id) }
		if got := names(merge(hubs(test.known), hubs(test.listed), up)); got != test.want {
			t.Errorf("known %q, listed %q, up %q: %q, want %q", test.known, test.listed, test.up, got, test.want)
		}
	}
	moved := exchange.Hub{ID: "a", GRPC: "192.0.2.9:5443"}
	if got := merge(hubs("a"), []exchange.Hub{moved}, func(federation.HubID) bool { return true }); got[0].GRPC != moved.GRPC {
		t.Error("the hub's new address was not taken")
	}
}

func TestAmend(t *testing.T) {
	t.Parallel()
	tls := []exchange.Address{{Transport: "tls", HostPort: "192.0.2.1:5061"}}
	got := amend(hubs("a b"), exchange.Hub{ID: "a", SIP: tls})
	if !slices.Equal(got[0].SIP, tls) || len(got[1].SIP) != 0 {
		t.Errorf("%+v", got)
	}
	other := []exchange.Address{{Transport: "tls", HostPort: "192.0.2.2:5061"}}
	if again := amend(got, exchange.Hub{ID: "a", SIP: other}); !slices.Equal(again[0].SIP, tls) {
		t.Error("what the directory says was overruled")
	}
}

func TestRank(t *testing.T) {
	t.Parallel()
	states := map[federation.NodeID]nodelink.State{"hub/a": nodelink.Suspect, "hub/c": nodelink.Alive, "hub/d": nodelink.Alive, "hub/e": nodelink.Suspect}
	best := func(n federation.NodeID) (nodelink.Link, bool) {
		state, ok := states[n]
		return nodelink.Link{State: state, Flow: siptransport.Flow{ID: 7}}, ok
	}
	var got []string
	order := []federation.NodeID{"hub/a", "hub/b", "hub/c", "hub/d", "hub/e"}
	for prefer, want := range map[federation.NodeID]string{
		"": "hub/c hub/d hub/a hub/e", "hub/d": "hub/d hub/c hub/a hub/e", "hub/e": "hub/c hub/d hub/e hub/a",
		"hub/b": "hub/c hub/d hub/a hub/e",
	} {
		got = nil
		for node, flow := range rank(order, prefer, best) {
			if flow.ID != 7 {
				t.Errorf("%s without its flow", node)
			}
			got = append(got, string(node))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("prefer %q: %v, want %s", prefer, got, want)
		}
	}
	for node := range rank([]federation.NodeID{"hub/d", "hub/c"}, "", best) {
		if node != "hub/d" {
			t.Errorf("the preferred hub is %s", node)
		}
		break
	}
}

func TestBackoff(t *testing.T) {
	t.Parallel()
	if d := backoff(0, 0.999); d > firstWait {
		t.Errorf("the first wait is %v: a session back within 2 s is seen by nobody", d)
	}
	for n := range 100 {
		low, high := backoff(n, 0), backoff(n, 0.999)
		if low <= 0 || high < low || high > lastWait {
			t.Errorf("wait %d is %v to %v", n, low, high)
		}
	}
	if backoff(50, 0.999) < 29*time.Second {
		t.Error("a hub that is gone for long is asked too often")
	}
}

func TestSoundHubs(t *testing.T) {
	t.Parallel()
	list := append(hubs("a"), exchange.Hub{ID: "../b", GRPC: "x:1"}, exchange.Hub{ID: "c"})
	if got := names(sound(list)); got != "a" {
		t.Errorf("%q", got)
	}
}
