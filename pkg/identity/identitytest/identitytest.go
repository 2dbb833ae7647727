// Package identitytest makes whole domains for tests: a root, a hub's issuing authority, and credentials for
// any node. Start at [NewDomain].
package identitytest

import (
	"testing"
	"time"

	"github.com/mss-federation/mss/pkg/identity"
)

// Domain is a federation with one issuing hub, "a".
type Domain struct {
	Name   string
	Root   *identity.Authority
	Issuer *identity.Authority
	Trust  *identity.Trust
}

// age is how old a new domain's authorities are, so that nodes can have certificates from the past.
const age = 365 * 24 * time.Hour

// NewDomain makes one whose root and issuing authority are a year old.
func NewDomain(tb testing.TB, name string) *Domain {
	tb.Helper()
	root, err := identity.NewRoot(name, time.Now().Add(-age))
	if err != nil {
		tb.Fatal(err)
	}
	d := &Domain{Name: name, Root: root, Trust: identity.NewTrust(name, root.Certificate())}
	d.Issuer = d.IssuerOf(tb, "a", time.Now().Add(-age))
	return d
}

// IssuerOf makes the issuing authority of another hub, as if at now.
func (d *Domain) IssuerOf(tb testing.TB, hub string, now time.Time) *identity.Authority {
	tb.Helper()
	key, err := identity.NewKey()
	if err != nil {
		tb.Fatal(err)
	}
	certificate, err := d.Root.Authorize(key.Public(), d.Node(identity.Hub, hub), now)
	if err != nil {
		tb.Fatal(err)
	}
	issuer, err := identity.NewIssuer(key, certificate, d.Root.Certificate())
	if err != nil {
		tb.Fatal(err)
	}
	return issuer
}

// Node names a node of the domain.
func (d *Domain) Node(role identity.Role, id string) identity.Node {
	return identity.Node{Domain: d.Name, Role: role, ID: id}
}

// Credentials are those of a node, made now.
func (d *Domain) Credentials(tb testing.TB, role identity.Role, id string) *identity.Credentials {
	tb.Helper()
	return d.CredentialsAt(tb, role, id, time.Now())
}

// CredentialsAt are those of a node as if made at an instant; 25 hours ago means expired.
func (d *Domain) CredentialsAt(tb testing.TB, role identity.Role, id string, now time.Time) *identity.Credentials {
	tb.Helper()
	key, err := identity.NewKey()
	if err != nil {
		tb.Fatal(err)
	}
	chain, err := d.Issuer.Issue(key.Public(), d.Node(role, id), now)
	if err != nil {
		tb.Fatal(err)
	}
	c, err := identity.NewCredentials(key, chain, d.Root.Certificate())
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// Source is a Source of Credentials.
func (d *Domain) Source(tb testing.TB, role identity.Role, id string) *identity.Source {
	tb.Helper()
	return identity.NewSource(d.Credentials(tb, role, id))
}
