package identity_test

import (
	"strings"
	"testing"
	"time"

	"github.com/mss-federation/mss/pkg/identity"
	"github.com/mss-federation/mss/pkg/identity/identitytest"
)

// One port: who asks for enrolment gets in without a certificate and is nobody there; others need one.
func TestHubTLS(t *testing.T) {
	t.Parallel()
	d := identitytest.NewDomain(t, "example.org")
	server := identity.HubTLS(d.Source(t, identity.Hub, "a"), d.Trust)
	hub := identity.HubAddress{Hub: "a", Address: "192.0.2.7:5443"}
	token, err := identity.NewToken(d.Node(identity.Site, "london"), d.Root.Certificate(), hub)
	if err != nil {
		t.Fatal(err)
	}
	c, err := connect(t, server, identity.JoinTLS(token, hub))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := identity.PeerNode(c.server); err == nil {
		t.Error("a node that joins has an identity already")
	}
	if _, err := identity.RenewingNode(d.Trust, c.server, time.Now()); err == nil {
		t.Error("a node without a certificate may renew")
	}
	bare := identity.JoinTLS(token, hub)
	bare.NextProtos = nil
	if _, err := connect(t, server, bare); err == nil {
		t.Error("without asking for enrolment, no certificate is needed")
	}
	if _, err := connect(t, server, identity.ClientTLS(d.Source(t, identity.Site, "london"), d.Trust, d.Node(identity.Hub, "a"))); err != nil {
		t.Errorf("a node of the domain: %v", err)
	}
	impostor := identitytest.NewDomain(t, "example.org")
	if _, err := connect(t, identity.HubTLS(impostor.Source(t, identity.Hub, "a"), impostor.Trust), identity.JoinTLS(token, hub)); err == nil {
		t.Error("a hub under another root could ask for the secret")
	}
}

func TestRenewingNode(t *testing.T) {
	t.Parallel()
	d, other := identitytest.NewDomain(t, "example.org"), identitytest.NewDomain(t, "example.org")
	server := identity.HubTLS(d.Source(t, identity.Hub, "a"), d.Trust)
	a, london := d.Node(identity.Hub, "a"), d.Node(identity.Site, "london")
	dial := func(from *identitytest.Domain, age time.Duration) (connection, error) {
		source := identity.NewSource(from.CredentialsAt(t, identity.Site, "london", time.Now().Add(-age)))
		return connect(t, server, identity.RenewTLS(source, d.Trust, a))
	}
	const day = 24 * time.Hour
	for _, age := range []time.Duration{0, 20 * time.Hour, 25 * time.Hour, 30 * day} {
		c, err := dial(d, age)
		if err != nil {
			t.Errorf("%v old: %v", age, err)
			continue
		}
		if n, err := identity.RenewingNode(d.Trust, c.server, time.Now()); err != nil || n != london {
			t.Errorf("%v old: %v, %v", age, n, err)
		}
		if n, err := identity.PeerNode(c.server); err == nil {
			t.Errorf("%v old: it is %v outside of renewal, too", age, n)
		}
	}
	if _, err := dial(d, 32*day); err == nil || !strings.Contains(err.Error(), "expired too long ago") {
		t.Errorf("lost: %v", err)
	}
	if _, err := dial(other, 0); err == nil {
		t.Error("a certificate under another root may renew")
	}
	d.Trust.SetRevoked(identity.RevocationList{{Node: london.URI(), Before: time.Now().Add(time.Minute), Reason: "stolen"}})
	for _, age := range []time.Duration{0, 25 * time.Hour} {
		if _, err := dial(d, age); err == nil || !strings.Contains(err.Error(), "stolen") {
			t.Errorf("revoked, %v old: %v", age, err)
		}
	}
}

func TestRenewalOf(t *testing.T) {
	t.Parallel()
	d := identitytest.NewDomain(t, "example.org")
	now := time.Now().Truncate(time.Second)
	leaf := d.CredentialsAt(t, identity.Site, "london", now).Leaf()
	const day = 24 * time.Hour
	half := (identity.LeafLifetime+identity.BackDating)/2 - identity.BackDating
	for _, c := range []struct {
		age  time.Duration
		want identity.Renewal
	}{
		{0, identity.Renewal{Phase: identity.Fresh, Wait: half}},
		{half - time.Second, identity.Renewal{Phase: identity.Fresh, Wait: time.Second}},
		{half, identity.Renewal{Phase: identity.Due, Wait: day - half}},
		{day, identity.Renewal{Phase: identity.Expired, Wait: 30 * day}},
		{31*day - time.Second, identity.Renewal{Phase: identity.Expired, Wait: time.Second}},
		{31 * day, identity.Renewal{Phase: identity.Lost}},
		{400 * day, identity.Renewal{Phase: identity.Lost}},
		{-time.Hour, identity.Renewal{Phase: identity.Fresh, Wait: half + time.Hour}},
	} {
		if got := identity.RenewalOf(leaf, now.Add(c.age)); got != c.want {
			t.Errorf("%v old: %v, want %v", c.age, got, c.want)
		}
	}
}
