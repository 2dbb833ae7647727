package dialplan

import (
	"fmt"
	"go/build"
	"reflect"
	"strings"
	"testing"

	"github.com/mss-federation/mss/pkg/federation"
)

func plan(tb testing.TB, uplink bool) *Plan {
	tb.Helper()
	users := map[federation.User]Presence{"4001": Known, "4002": Disabled, "alice.b": Known, "+15550101": Known, "5550102": Known}
	p, err := New(Options{
		Users:  func(u federation.User) Presence { return users[u] },
		Own:    []Prefix{{Digits: "4", MinLength: 4, MaxLength: 4}, {Digits: "+1555", MinLength: 8}},
		Uplink: uplink,
	})
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func TestDecide(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		called federation.Number
		source Source
		uplink bool
		want   string
	}{
		{"4001", FromUser, true, "user 4001"},
		{"4001", FromUplink, true, "user 4001"},
		{"alice.b", FromUser, true, "user alice.b"},
		{"+1-555-0101", FromUser, true, "user +15550101"},
		{"+1 (555) 0101", FromUser, true, "user +15550101"},
		{"4002", FromUser, true, "480 user"},
		{"4003", FromUser, true, "404 prefix"},
		{"411", FromUser, true, "484 prefix"},
		{"44321", FromUser, true, "site 44321"},
		{"+1555999", FromUser, true, "484 prefix"},
		{"+15559999", FromUser, true, "404 prefix"},
		{"1001", FromUser, true, "site 1001"},
		{"10-01", FromUser, true, "site 1001"},
		{"1001", FromUser, false, "404 uplink"},
		{"1001", FromUplink, true, "404 uplink"},
		{"", FromUser, true, "484 number"},
		{"-", FromUser, true, "484 number"},
		{"nobody", FromUser, true, "404 number"},
		{"+", FromUser, true, "404 number"},
		{"1+1", FromUser, true, "404 number"},
		{federation.Number(strings.Repeat("1", 33)), FromUser, true, "404 number"},
	} {
		q := Query{Caller: "4001", Called: test.called, Source: test.source}
		d := plan(t, test.uplink).Decide(q)
		if got := summary(d); got != test.want {
			t.Errorf("%q from %d: %s, want %s", test.called, test.source, got, test.want)
		}
	}
}

func summary(d Decision) string {
	switch {
	case len(d.Targets) == 0:
		return fmt.Sprint(d.Status, " ", d.Steps[len(d.Steps)-1].Rule)
	case d.Targets[0].Kind == LocalUser:
		return "user " + string(d.Targets[0].User)
	}
	return "site " + string(d.Targets[0].Number)
}

func TestLongestOwnPrefixDecides(t *testing.T) {
	t.Parallel()
	p, err := New(Options{Own: []Prefix{{Digits: "4", MinLength: 6}, {Digits: "41", MinLength: 4, MaxLength: 4}}})
	if err != nil {
		t.Fatal(err)
	}
	if d := p.Decide(Query{Called: "4100"}); d.Status != 404 {
		t.Errorf("4100 is complete in 41: %d", d.Status)
	}
}

func TestPrefixIsChecked(t *testing.T) {
	t.Parallel()
	for _, p := range []Prefix{{}, {Digits: "+"}, {Digits: "4x"}, {Digits: "44", MinLength: 1}, {Digits: "4", MinLength: 5, MaxLength: 4}, {Digits: "4", MaxLength: 33}} {
		if _, err := New(Options{Own: []Prefix{p}}); err == nil {
			t.Errorf("%+v was accepted", p)
		}
	}
}

// TestImports keeps the dial plan pure: nothing but the standard library, without net, and the nouns.
func TestImports(t *testing.T) {
	t.Parallel()
	pkg, err := build.ImportDir(".", 0)
	if err != nil {
		t.Fatal(err)
	}
	const nouns = "github.com/mss-federation/mss/pkg/federation"
	for _, name := range pkg.Imports {
		foreign := strings.Contains(strings.Split(name, "/")[0], ".") && name != nouns
		if foreign || name == "net" || strings.HasPrefix(name, "net/") && name != "net/netip" || name == "os" {
			t.Errorf("the dial plan imports %s", name)
		}
	}
}

func FuzzDecide(f *testing.F) {
	for _, s := range []string{"4001", "+1-555-0101", "", "4", "(", "alice.b", "+"} {
		f.Add(s, true)
	}
	p := plan(f, true)
	f.Fuzz(func(t *testing.T, called string, fromUser bool) {
		q := Query{Called: federation.Number(called), Source: FromUplink}
		if fromUser {
			q.Source = FromUser
		}
		d := p.Decide(q)
		if (len(d.Targets) == 0) != (d.Status != 0) || len(d.Steps) == 0 {
			t.Errorf("%q: %+v", called, d)
		}
		for _, target := range d.Targets {
			if target.Kind == Site && (!isNumber(string(target.Number)) || !fromUser) {
				t.Errorf("%q goes to another site as %q", called, target.Number)
			}
		}
		if again := p.Decide(q); !reflect.DeepEqual(again, d) {
			t.Errorf("%q: %+v, then %+v", called, d, again)
		}
	})
}

func BenchmarkDecide(b *testing.B) {
	p := plan(b, true)
	for name, called := range map[string]federation.Number{"user": "4001", "site": "1001"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p.Decide(Query{Caller: "4001", Called: called})
			}
		})
	}
}
