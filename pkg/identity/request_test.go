package identity_test

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"testing"

	"github.com/mss-federation/mss/pkg/identity"
)

func TestRequest(t *testing.T) {
	t.Parallel()
	london := identity.Node{Domain: "example.org", Role: identity.Site, ID: "london"}
	key, err := identity.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	der, err := identity.NewRequest(key, london)
	if err != nil {
		t.Fatal(err)
	}
	public, node, err := identity.ParseRequest(der)
	if err != nil || node != london || !key.Public().(*ecdsa.PublicKey).Equal(public) {
		t.Errorf("%v, %v", node, err)
	}
	der[len(der)-1] ^= 1
	if _, _, err := identity.ParseRequest(der); err == nil {
		t.Error("a request that its key did not sign passes")
	}
	if _, err := identity.NewRequest(key, identity.Node{}); err == nil {
		t.Error("nobody asked")
	}
	nameless, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := identity.ParseRequest(nameless); err == nil {
		t.Error("a request without a name passes")
	}
	old, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	if der, err = identity.NewRequest(old, london); err != nil {
		t.Fatal(err)
	}
	if _, _, err := identity.ParseRequest(der); err == nil {
		t.Error("an RSA key passes")
	}
}
