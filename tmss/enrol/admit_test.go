package enrol

import (
	"crypto"
	"testing"

	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/identity"
)

// What an application may ask for, before anybody looks at its token.
func TestReadApplication(t *testing.T) {
	t.Parallel()
	newKey := func() crypto.Signer {
		key, err := identity.NewKey()
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	ask := func(key crypto.Signer, role identity.Role, id string) []byte {
		der, err := identity.NewRequest(key, identity.Node{Domain: "example.org", Role: role, ID: id})
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	one, two := newKey(), newKey()
	for name, c := range map[string]struct {
		request, issuing []byte
		ok               bool
		kind             fault.Kind
	}{
		"site":                          {ask(one, identity.Site, "london"), nil, true, 0},
		"hub":                           {ask(one, identity.Hub, "b"), ask(two, identity.Hub, "b"), true, 0},
		"site that would issue":         {ask(one, identity.Site, "london"), ask(two, identity.Site, "london"), false, fault.Denied},
		"hub without an issuing key":    {ask(one, identity.Hub, "b"), nil, false, fault.Invalid},
		"hub that would be another":     {ask(one, identity.Hub, "b"), ask(two, identity.Hub, "c"), false, fault.Denied},
		"hub with one key for both":     {ask(one, identity.Hub, "b"), ask(one, identity.Hub, "b"), false, fault.Denied},
		"operator":                      {ask(one, identity.Operator, "alice"), nil, false, fault.Denied},
		"nobody":                        {nil, nil, false, fault.Invalid},
		"hub with a broken issuing key": {ask(one, identity.Hub, "b"), []byte("x"), false, fault.Invalid},
	} {
		a, err := readApplication(c.request, c.issuing)
		if (err == nil) != c.ok || err != nil && fault.KindOf(err) != c.kind {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil && (a.issuing != nil) != (a.node.Role == identity.Hub) {
			t.Errorf("%s: %+v", name, a)
		}
	}
}
