package identity_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/mss-federation/mss/pkg/identity"
	"github.com/mss-federation/mss/pkg/identity/identitytest"
)

// connection is one made connection: the client's and the server's view.
type connection struct {
	client, server tls.ConnectionState
}

// connect makes a connection and carries a byte each way over it: in TLS 1.3 the client learns only from
// its first read that the server refused it.
func connect(t *testing.T, server, client *tls.Config) (connection, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	near, far := net.Pipe()
	s, c := tls.Server(far, server), tls.Client(near, client)
	served := make(chan error, 1)
	go func() {
		err := s.HandshakeContext(ctx)
		if err == nil {
			_, err = s.Write([]byte("x"))
		}
		if err != nil {
			_ = far.Close()
		}
		served <- err
	}()
	err := c.HandshakeContext(ctx)
	if err == nil {
		_, err = io.ReadFull(c, make([]byte, 1))
	}
	_ = near.Close()
	return connection{c.ConnectionState(), s.ConnectionState()}, errors.Join(err, <-served)
}

func TestMutual(t *testing.T) {
	t.Parallel()
	d := identitytest.NewDomain(t, "example.org")
	server := identity.ServerTLS(d.Source(t, identity.Hub, "a"), d.Trust)
	client := identity.ClientTLS(d.Source(t, identity.Site, "london"), d.Trust, d.Node(identity.Hub, "a"))
	c, err := connect(t, server, client)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := identity.PeerNode(c.server); err != nil || n != d.Node(identity.Site, "london") {
		t.Errorf("the server sees %v, %v", n, err)
	}
	if n, err := identity.PeerNode(c.client); err != nil || n != d.Node(identity.Hub, "a") {
		t.Errorf("the client sees %v, %v", n, err)
	}
	if c.server.Version != tls.VersionTLS13 {
		t.Errorf("version %x", c.server.Version)
	}
}

// Each row is one thing wrong; the connection does not come about.
func TestRefused(t *testing.T) {
	t.Parallel()
	d, other := identitytest.NewDomain(t, "example.org"), identitytest.NewDomain(t, "example.org")
	foreign := identitytest.NewDomain(t, "example.net")
	hub, site := d.Source(t, identity.Hub, "a"), d.Source(t, identity.Site, "london")
	a := d.Node(identity.Hub, "a")
	both := identity.NewTrust("example.org", d.Root.Certificate(), foreign.Root.Certificate())
	old := identity.NewSource(d.CredentialsAt(t, identity.Site, "london", time.Now().Add(-25*time.Hour)))
	early := identity.NewSource(d.CredentialsAt(t, identity.Site, "london", time.Now().Add(10*time.Minute)))
	tls12 := identity.ClientTLS(site, d.Trust, a)
	tls12.MinVersion, tls12.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	bare := identity.ClientTLS(site, d.Trust, a)
	bare.GetClientCertificate = nil
	for name, c := range map[string]struct {
		server, client *tls.Config
		want           string
	}{
		"client under another root": {identity.ServerTLS(hub, d.Trust), identity.ClientTLS(other.Source(t, identity.Site, "london"), d.Trust, a), "unknown authority"},
		"server under another root": {identity.ServerTLS(other.Source(t, identity.Hub, "a"), d.Trust), identity.ClientTLS(site, d.Trust, a), "unknown authority"},
		"another hub answers":       {identity.ServerTLS(d.Source(t, identity.Hub, "b"), d.Trust), identity.ClientTLS(site, d.Trust, a), "b.hub.example.org"},
		"a site answers":            {identity.ServerTLS(d.Source(t, identity.Site, "a"), d.Trust), identity.ClientTLS(site, d.Trust, a), "a.site.example.org"},
		"an operator answers":       {identity.ServerTLS(d.Source(t, identity.Operator, "a"), d.Trust), identity.ClientTLS(site, d.Trust, d.Node(identity.Operator, "a")), "key usage"},
		"a role not wanted":         {identity.ServerTLS(hub, d.Trust, identity.Hub), identity.ClientTLS(site, d.Trust, a), "no business"},
		"of another domain":         {identity.ServerTLS(hub, both), identity.ClientTLS(foreign.Source(t, identity.Site, "london"), d.Trust, a), "another domain"},
		"expired":                   {identity.ServerTLS(hub, d.Trust), identity.ClientTLS(old, d.Trust, a), "expired"},
		"not yet valid":             {identity.ServerTLS(hub, d.Trust), identity.ClientTLS(early, d.Trust, a), "not yet valid"},
		"no certificate":            {identity.ServerTLS(hub, d.Trust), bare, "certificate"},
		"TLS 1.2":                   {identity.ServerTLS(hub, d.Trust), tls12, "version"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := connect(t, c.server, c.client); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// A clock that is four minutes behind does not stop a new node.
func TestBackDating(t *testing.T) {
	t.Parallel()
	d := identitytest.NewDomain(t, "example.org")
	ahead := identity.NewSource(d.CredentialsAt(t, identity.Site, "london", time.Now().Add(4*time.Minute)))
	if _, err := connect(t, identity.ServerTLS(d.Source(t, identity.Hub, "a"), d.Trust), identity.ClientTLS(ahead, d.Trust, d.Node(identity.Hub, "a"))); err != nil {
		t.Error(err)
	}
}

// Credentials, roots and revocations are those of the moment, in configurations made long before.
func TestLive(t *testing.T) {
	t.Parallel()
	d, next := identitytest.NewDomain(t, "example.org"), identitytest.NewDomain(t, "example.org")
	hub, site := d.Source(t, identity.Hub, "a"), d.Source(t, identity.Site, "london")
	theirs := identity.NewTrust("example.org", d.Root.Certificate(), next.Root.Certificate())
	server := identity.ServerTLS(hub, d.Trust)
	client := identity.ClientTLS(site, theirs, d.Node(identity.Hub, "a"))
	first, err := connect(t, server, client)
	if err != nil {
		t.Fatal(err)
	}

	hub.Set(next.Credentials(t, identity.Hub, "a"))
	site.Set(next.Credentials(t, identity.Site, "london"))
	if _, err := connect(t, server, client); err == nil {
		t.Error("a root that nobody added is believed")
	}
	changed := d.Trust.Changed()
	d.Trust.SetRoots(next.Root.Certificate())
	<-changed
	second, err := connect(t, server, client)
	if err != nil {
		t.Fatalf("after the change of root: %v", err)
	}
	if second.server.PeerCertificates[0].Equal(first.server.PeerCertificates[0]) {
		t.Error("the old certificate was shown")
	}
	if _, err := d.Trust.Check(first.server); err == nil {
		t.Error("a connection under the old root is still believed")
	}
	if _, err := d.Trust.Check(second.server); err != nil {
		t.Error(err)
	}
}

func TestRevoked(t *testing.T) {
	t.Parallel()
	d := identitytest.NewDomain(t, "example.org")
	server := identity.ServerTLS(d.Source(t, identity.Hub, "a"), d.Trust)
	clientTrust := identity.NewTrust("example.org", d.Root.Certificate())
	dial := func(site string) error {
		_, err := connect(t, server, identity.ClientTLS(d.Source(t, identity.Site, site), clientTrust, d.Node(identity.Hub, "a")))
		return err
	}
	revoke := func(n identity.Node, before time.Time) {
		d.Trust.SetRevoked(identity.RevocationList{{Node: n.URI(), Before: before, Reason: "stolen"}})
	}
	revoke(d.Node(identity.Site, "london"), time.Now().Add(time.Minute))
	if err := dial("london"); err == nil || !strings.Contains(err.Error(), "stolen") {
		t.Errorf("a revoked site: %v", err)
	}
	if err := dial("hongkong"); err != nil {
		t.Errorf("another site: %v", err)
	}
	revoke(d.Node(identity.Site, "london"), time.Now().Add(-time.Minute))
	if err := dial("london"); err != nil {
		t.Errorf("a site that joined again: %v", err)
	}
	revoke(d.Node(identity.Hub, "a"), time.Now().Add(time.Minute))
	if err := dial("hongkong"); err == nil {
		t.Error("what a revoked hub issued is believed")
	}
	clientTrust.SetRevoked(identity.RevocationList{{Node: d.Node(identity.Hub, "a").URI(), Before: time.Now().Add(time.Minute), Reason: "stolen"}})
	d.Trust.SetRevoked(nil)
	if err := dial("hongkong"); err == nil {
		t.Error("a revoked hub is believed by the dialer")
	}
}

// A client that kept a session does not get past the change of root with it (CVE-2025-68121).
func TestNoResumption(t *testing.T) {
	t.Parallel()
	d, next := identitytest.NewDomain(t, "example.org"), identitytest.NewDomain(t, "example.org")
	server := identity.ServerTLS(d.Source(t, identity.Hub, "a"), d.Trust)
	client := identity.ClientTLS(d.Source(t, identity.Site, "london"), identity.NewTrust("example.org", d.Root.Certificate()), d.Node(identity.Hub, "a"))
	client.SessionTicketsDisabled = false
	client.ClientSessionCache = tls.NewLRUClientSessionCache(8)
	for range 2 {
		c, err := connect(t, server, client)
		if err != nil {
			t.Fatal(err)
		}
		if c.server.DidResume {
			t.Fatal("a session was resumed")
		}
	}
	d.Trust.SetRoots(next.Root.Certificate())
	if _, err := connect(t, server, client); err == nil {
		t.Error("an old session passes by the change of root")
	}
}

// The issuing authority's own certificate is nobody's, and a hub's issuing key cannot make authorities or
// names of other domains.
func TestAuthorityIsNoNode(t *testing.T) {
	t.Parallel()
	d := identitytest.NewDomain(t, "example.org")
	if _, err := identity.CertificateNode(d.Issuer.Certificate()); err == nil {
		t.Error("an authority passes for a node")
	}
	if _, err := d.Issuer.Authorize(nil, d.Node(identity.Hub, "b"), time.Now()); err == nil {
		t.Error("an issuing authority made another")
	}
	if _, err := d.Root.Authorize(nil, d.Node(identity.Site, "london"), time.Now()); err == nil {
		t.Error("a site got an issuing certificate")
	}
	key, err := identity.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Root.Issue(key.Public(), d.Node(identity.Hub, "a"), time.Now()); err == nil {
		t.Error("the root issued a leaf")
	}
	if _, err := d.Issuer.Issue(key.Public(), identity.Node{Domain: "example.net", Role: identity.Hub, ID: "a"}, time.Now()); err == nil {
		t.Error("a name of another domain was issued")
	}
	if c := d.Issuer.Certificate(); !c.MaxPathLenZero || c.MaxPathLen != 0 {
		t.Error("the issuing certificate may sign authorities")
	}
	if got := d.Credentials(t, identity.Operator, "alice").Leaf(); got.NotAfter.Sub(got.NotBefore) != identity.OperatorLifetime+identity.BackDating {
		t.Errorf("an operator's certificate lives from %v to %v", got.NotBefore, got.NotAfter)
	}
	if _, err := identity.PeerNode(tls.ConnectionState{PeerCertificates: []*x509.Certificate{d.Credentials(t, identity.Hub, "a").Leaf()}}); err == nil {
		t.Error("a peer that nobody verified has an identity")
	}
}
