package federation

import (
	"strings"
	"testing"
	"time"
)

func TestNLRICheck(t *testing.T) {
	t.Parallel()
	for want, list := range map[string][]NLRI{
		"": {
			{Family: E164, Key: "1555", MinLen: 8, MaxLen: 11},
			{Family: Enterprise, Key: "", MinLen: 1, MaxLen: MaxDigits},
			{Family: URIUser, Key: "alice@example.org"},
			{Family: URIDomain, Key: "example.org"},
			{Family: Service, Key: "emergency"},
			{Family: Default},
		},
		"only digits":            {{Family: E164, Key: "+1555", MinLen: 8, MaxLen: 8}, {Family: Enterprise, Key: "4x", MinLen: 4, MaxLen: 4}},
		"no range":               {{Family: Enterprise, Key: "4"}, {Family: Enterprise, Key: "4", MinLen: 5, MaxLen: 4}},
		"no number has":          {{Family: Enterprise, Key: "4", MinLen: 4, MaxLen: MaxDigits + 1}},
		"longer than":            {{Family: Enterprise, Key: "40012", MinLen: 4, MaxLen: 4}},
		"no family":              {{Key: "4"}, {Family: Default + 1, Key: "4"}},
		"only digits have":       {{Family: URIDomain, Key: "example.org", MinLen: 1, MaxLen: 1}},
		`default: key "x"`:       {{Family: Default, Key: "x"}},
		`service: key ""`:        {{Family: Service}},
		"too long or has blanks": {{Family: URIDomain, Key: "a b"}, {Family: URIDomain, Key: strings.Repeat("x", 256)}, {Family: Service, Key: "a\x00"}},
		"user@host":              {{Family: URIUser, Key: "alice"}},
	} {
		for _, n := range list {
			err := n.Check()
			if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
				t.Errorf("%+v: %v, want %q", n, err, want)
			}
		}
	}
}

func TestNLRICovers(t *testing.T) {
	t.Parallel()
	four := NLRI{Family: Enterprise, Key: "4", MinLen: 4, MaxLen: 5}
	for _, test := range []struct {
		inner NLRI
		want  bool
	}{
		{four, true},
		{NLRI{Family: Enterprise, Key: "40", MinLen: 4, MaxLen: 4}, true},
		{NLRI{Family: Enterprise, Key: "4000", MinLen: 1, MaxLen: 5}, true}, // no number of it has fewer than four
		{NLRI{Family: Enterprise, Key: "40", MinLen: 3, MaxLen: 4}, false},
		{NLRI{Family: Enterprise, Key: "40", MinLen: 4, MaxLen: 6}, false},
		{NLRI{Family: Enterprise, Key: "", MinLen: 4, MaxLen: 4}, false},
		{NLRI{Family: Enterprise, Key: "5", MinLen: 4, MaxLen: 4}, false},
		{NLRI{Family: E164, Key: "4", MinLen: 4, MaxLen: 4}, false},
		{NLRI{Family: Enterprise, Key: "4", MinLen: 4, MaxLen: 4, Domain: "example.com"}, false},
	} {
		if got := four.Covers(test.inner); got != test.want {
			t.Errorf("%s covers %s: %v", four, test.inner, got)
		}
	}
	if !(NLRI{Family: Service, Key: "a"}).Covers(NLRI{Family: Service, Key: "a"}) || (NLRI{Family: Service, Key: "a"}).Covers(NLRI{Family: Service, Key: "ab"}) {
		t.Error("a name covers itself alone")
	}
}

// TestAttributesLike changes one thing at a time: only what a restart changes may go unseen.
func TestAttributesLike(t *testing.T) {
	t.Parallel()
	plain := func() *Attributes {
		return &Attributes{Origin: Origin{Node: "site/a", Epoch: 1, Seq: 1}, AdvPath: []PathElement{{"site/a", 1}}}
	}
	for name, change := range map[string]func(*Attributes){
		"epoch":      func(a *Attributes) { a.Origin.Epoch = 2 },
		"sequence":   func(a *Attributes) { a.Origin.Seq = 2 },
		"path epoch": func(a *Attributes) { a.AdvPath[0].Epoch = 2 },
	} {
		a := plain()
		if change(a); !a.Like(plain()) {
			t.Errorf("another %s makes a difference", name)
		}
	}
	for name, change := range map[string]func(*Attributes){
		"site":        func(a *Attributes) { a.Origin.Site = "x" },
		"path":        func(a *Attributes) { a.AdvPath[0].Node = "x" },
		"routed path": func(a *Attributes) { a.RoutedPath = []NodeID{"x"} },
		"next hop":    func(a *Attributes) { a.NextHops = []NextHop{{Node: "x"}} },
		"community":   func(a *Attributes) { a.Communities = []Community{NoExport} },
		"media":       func(a *Attributes) { a.Media.VoiceDirect = true },
		"codecs":      func(a *Attributes) { a.Media.Codecs = []string{"opus"} },
		"fallback":    func(a *Attributes) { a.Fallback.E164 = "+15550100" },
		"capacity":    func(a *Attributes) { a.Capacity.MaxCalls = 1 },
		"cost":        func(a *Attributes) { a.Cost = 1 },
		"priority":    func(a *Attributes) { a.Priority = 1 },
		"validity":    func(a *Attributes) { a.ValidUntil = time.Unix(1, 0) },
		"otc":         func(a *Attributes) { a.OTC = "hub/a" },
		"emergency":   func(a *Attributes) { a.Emergency = true },
		"authority":   func(a *Attributes) { a.Authorised = []string{"x"} },
		"bundle":      func(a *Attributes) { a.Bundle = []byte{1} },
		"signature":   func(a *Attributes) { a.Signature = []byte{1} },
	} {
		a := plain()
		if change(a); a.Like(plain()) || plain().Like(a) {
			t.Errorf("another %s goes unseen", name)
		}
	}
}
