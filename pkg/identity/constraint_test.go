package identity_test

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mss-federation/mss/pkg/identity"
	"github.com/mss-federation/mss/pkg/identity/identitytest"
)

// forger signs what it likes with a hub's issuing key.
type forger struct {
	domain *identitytest.Domain
	key    any
}

func newForger(t *testing.T, d *identitytest.Domain) *forger {
	t.Helper()
	path := filepath.Join(t.TempDir(), identity.IssuingFile)
	if err := d.Issuer.Save(path); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return &forger{d, key}
}

// forge makes a certificate that a careful issuer would not make, and its key.
func (f *forger) forge(t *testing.T, change func(c *x509.Certificate)) tls.Certificate {
	t.Helper()
	key, err := identity.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	site := f.domain.Node(identity.Site, "london")
	uri, err := url.Parse(site.URI())
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, BasicConstraintsValid: true,
		DNSNames: []string{site.DNSName()}, URIs: []*url.URL{uri},
	}
	change(c)
	der, err := x509.CreateCertificate(rand.Reader, c, f.domain.Issuer.Certificate(), key.Public(), f.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der, f.domain.Issuer.Certificate().Raw}, PrivateKey: key}
}

// What a stolen issuing key can make beyond its right is refused by those who verify.
func TestForged(t *testing.T) {
	t.Parallel()
	d := identitytest.NewDomain(t, "example.org")
	f := newForger(t, d)
	hub := d.Source(t, identity.Hub, "a")
	with := func(uri string) func(c *x509.Certificate) {
		u, err := url.Parse(uri)
		if err != nil {
			t.Fatal(err)
		}
		return func(c *x509.Certificate) { c.URIs = []*url.URL{u} }
	}
	for name, c := range map[string]struct {
		change func(c *x509.Certificate)
		want   string
	}{
		"nothing wrong":      {func(*x509.Certificate) {}, ""},
		"another domain":     {with("mss://example.net/site/london"), "not permitted"},
		"another DNS domain": {func(c *x509.Certificate) { c.DNSNames = []string{"www.example.net"} }, "not permitted"},
		"another role's DNS": {with("mss://example.org/hub/london"), "DNS names"},
		"no identity":        {func(c *x509.Certificate) { c.URIs = nil }, "no identity"},
		"two identities":     {func(c *x509.Certificate) { c.URIs = append(c.URIs, c.URIs[0]) }, "no identity"},
		"a hub's DNS too":    {func(c *x509.Certificate) { c.DNSNames = append(c.DNSNames, identity.DirectoryName("example.org")) }, "DNS names"},
		"an authority":       {func(c *x509.Certificate) { c.IsCA = true }, ""},
		"servers only":       {func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }, "key usage"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			certificate := f.forge(t, c.change)
			client := identity.ClientTLS(hub, d.Trust, d.Node(identity.Hub, "a"))
			client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &certificate, nil }
			_, err := connect(t, identity.ServerTLS(hub, d.Trust), client)
			if name == "an authority" { // pathlen 0 or our own check: either will do
				if err == nil {
					t.Error("an authority passes for a node")
				}
				return
			}
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}
