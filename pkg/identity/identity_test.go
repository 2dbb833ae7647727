package identity_test

import (
	"strings"
	"testing"

	"github.com/mss-federation/mss/pkg/identity"
)

func TestNodeNames(t *testing.T) {
	t.Parallel()
	n := identity.Node{Domain: "example.org", Role: identity.Hub, ID: "a"}
	if got, want := n.URI(), "mss://example.org/hub/a"; got != want {
		t.Errorf("URI %s, want %s", got, want)
	}
	if got, want := n.DNSName(), "a.hub.example.org.mss.internal"; got != want {
		t.Errorf("DNS name %s, want %s", got, want)
	}
	if got := n.NodeID(); got != "hub/a" {
		t.Errorf("node id %s", got)
	}
	for _, role := range []identity.Role{identity.Hub, identity.Site, identity.Operator} {
		want := identity.Node{Domain: "example.org", Role: role, ID: "hong-kong"}
		if got, err := identity.ParseURI(want.URI()); err != nil || got != want {
			t.Errorf("%v, %v", got, err)
		}
		if got, err := identity.ParseNodeID("example.org", want.NodeID()); err != nil || got != want {
			t.Errorf("%v, %v", got, err)
		}
	}
}

func TestParseURIRefuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "mss://", "mss://example.org", "mss://example.org/hub", "mss://example.org/hub/", "mss://example.org/hub/a/",
		"mss://example.org/hub/a/b", "mss://example.org//hub/a", "mss://example.org/king/a", "mss://example.org/Hub/a",
		"mss://example.org/hub/A", "mss://Example.org/hub/a", "mss://example.org:5060/hub/a", "mss://u@example.org/hub/a",
		"mss://example.org/hub/a?x=1", "mss://example.org/hub/a#x", "mss://example.org/hub/%61", "http://example.org/hub/a",
		"mss:/example.org/hub/a", "mss://example..org/hub/a", "mss://-x.org/hub/a", "mss://example.org/hub/-a",
		"mss://example.org/site/" + strings.Repeat("a", 64), "mss://" + strings.Repeat("a.", 100) + "org/hub/a", "mss://ex\x00ample.org/hub/a",
	} {
		if n, err := identity.ParseURI(text); err == nil {
			t.Errorf("%q is read as %+v", text, n)
		}
	}
}

func FuzzParseURI(f *testing.F) {
	f.Add("mss://example.org/hub/a")
	f.Add("mss://example.org/site/hong-kong")
	f.Fuzz(func(t *testing.T, text string) {
		n, err := identity.ParseURI(text)
		if err != nil {
			return
		}
		if n.URI() != text {
			t.Errorf("%q is written %q", text, n.URI())
		}
		if len(n.DNSName()) > 253 {
			t.Errorf("the DNS name %q is too long", n.DNSName())
		}
	})
}
