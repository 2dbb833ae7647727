package registrar

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/siptransport"
)

// TestChangesMirrorTheBindings proves that whoever carries out every Change has what the registrar has,
// whatever is done to it, and that the bounds hold all the time.
func TestChangesMirrorTheBindings(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r, err := New(Options{})
		if err != nil {
			t.Fatal(err)
		}
		mirror := map[BindingID]time.Time{}
		carryOut := func(changes []Change) {
			for _, c := range changes {
				if c.Action == Delete {
					delete(mirror, c.Binding.ID())
				} else {
					mirror[c.Binding.ID()] = c.Binding.Expires
				}
			}
		}
		now := start
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 900).Draw(t, "pause")) * time.Second)
			aor := federation.User(rapid.SampledFrom([]string{"4001", "4002"}).Draw(t, "user"))
			switch rapid.IntRange(0, 9).Draw(t, "what") {
			case 0:
				carryOut(r.Expire(now))
			case 1:
				carryOut(r.Remove(aor))
			case 2:
				r.FlowClosed(siptransport.Flow{ID: siptransport.FlowID(rapid.IntRange(1, 3).Draw(t, "connection"))})
			default:
				carryOut(r.Register(now, drawRequest(t, aor), 3).Changes)
			}
			checkMirror(t, r, mirror)
		}
	})
}

func drawRequest(t *rapid.T, aor federation.User) Request {
	var values []string
	for range rapid.IntRange(0, 3).Draw(t, "contacts") {
		values = append(values, fmt.Sprintf("<sip:%s@h%d%s>%s%s", aor, rapid.IntRange(1, 5).Draw(t, "host"),
			rapid.SampledFrom([]string{"", ";x=1", ";x=2", ";transport=tcp"}).Draw(t, "parameter"),
			rapid.SampledFrom([]string{"", ";expires=0", ";expires=600"}).Draw(t, "expires"),
			rapid.SampledFrom([]string{"", `;+sip.instance="<urn:a>"`, `;+sip.instance="<urn:b>";reg-id=1`}).Draw(t, "instance")))
	}
	star := len(values) == 0 && rapid.Bool().Draw(t, "star")
	contacts, _, err := ParseContacts(values)
	if err != nil {
		t.Fatal(err)
	}
	flow := udp(fmt.Sprintf("192.0.2.%d:5060", rapid.IntRange(1, 4).Draw(t, "source")))
	if id := rapid.IntRange(0, 3).Draw(t, "connection"); id > 0 {
		flow = tcp("192.0.2.9:40000", siptransport.FlowID(id))
	}
	req := Request{
		AoR: aor, CallID: rapid.SampledFrom([]string{"x", "y"}).Draw(t, "Call-ID"), CSeq: uint32(rapid.IntRange(1, 30).Draw(t, "CSeq")),
		Contacts: contacts, Star: star, Expires: rapid.SampledFrom([]int{Absent, 0, 3600}).Draw(t, "header"), Flow: flow,
	}
	return req
}

func checkMirror(t *rapid.T, r *Registrar, mirror map[BindingID]time.Time) {
	bound := map[BindingID]time.Time{}
	perUser := map[federation.User]int{}
	n := 0
	for b := range r.All() {
		bound[b.ID()] = b.Expires
		perUser[b.AoR]++
		n++
	}
	if n != len(bound) || n != r.Count() {
		t.Fatalf("%d bindings of %d ids, counted %d", n, len(bound), r.Count())
	}
	if !maps.Equal(bound, mirror) {
		t.Fatalf("bound %v, carried out %v", bound, mirror)
	}
	for aor, n := range perUser {
		if n > 3 {
			t.Fatalf("%s has %d bindings", aor, n)
		}
	}
	if next, ok := r.NextExpiry(); n > 0 && !ok {
		t.Fatalf("no next expiry with %d bindings", n)
	} else {
		for _, expires := range bound {
			if expires.Before(next) {
				t.Fatalf("the next expiry %v comes after %v", next, expires)
			}
		}
	}
}
