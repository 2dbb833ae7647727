package identity

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"sync/atomic"
	"time"

	"github.com/mss-federation/mss/pkg/fault"
)

// Credentials are what a node proves itself with. They do not change: a renewal makes new ones.
type Credentials struct {
	Node  Node
	Key   crypto.Signer
	Chain []*x509.Certificate // the leaf, then its issuer
	Root  *x509.Certificate
}

// NewCredentials joins a key with what was issued for it.
func NewCredentials(key crypto.Signer, chain []*x509.Certificate, root *x509.Certificate) (*Credentials, error) {
	const op = "load credentials"
	if len(chain) == 0 || root == nil {
		return nil, fault.New(op, fault.Invalid, "", "a certificate or the root is missing")
	}
	node, err := CertificateNode(chain[0])
	if err != nil {
		return nil, err
	}
	if !samePublicKey(key.Public(), chain[0].PublicKey) {
		return nil, fault.New(op, fault.Invalid, node.URI(), "the key is not the certificate's")
	}
	c := &Credentials{Node: node, Key: key, Chain: chain, Root: root}
	// At the leaf's own time: an expired one still belongs to us and can be renewed.
	if err := verifyAt(chain, root, chain[0].NotBefore.Add(BackDating)); err != nil {
		return nil, &fault.Error{Op: op, Kind: fault.Invalid, Subject: node.URI(), Err: err}
	}
	return c, nil
}

func verifyAt(chain []*x509.Certificate, root *x509.Certificate, at time.Time) error {
	roots := x509.NewCertPool()
	roots.AddCert(root)
	_, err := chain[0].Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: pool(chain[1:]), CurrentTime: at,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	return err
}

func pool(certificates []*x509.Certificate) *x509.CertPool {
	p := x509.NewCertPool()
	for _, c := range certificates {
		p.AddCert(c)
	}
	return p
}

// Leaf is the node's own certificate.
func (c *Credentials) Leaf() *x509.Certificate { return c.Chain[0] }

// tls is the form that crypto/tls wants.
func (c *Credentials) tls() *tls.Certificate {
	t := &tls.Certificate{PrivateKey: c.Key, Leaf: c.Leaf()}
	for _, x := range c.Chain {
		t.Certificate = append(t.Certificate, x.Raw)
	}
	return t
}

// Source holds a node's credentials of the moment, for connections that live longer than a certificate.
// It is safe for concurrent use.
type Source struct {
	current atomic.Pointer[Credentials]
}

// NewSource starts with these credentials.
func NewSource(c *Credentials) *Source {
	s := &Source{}
	s.Set(c)
	return s
}

// Current is what new connections use.
func (s *Source) Current() *Credentials { return s.current.Load() }

// Set replaces the credentials for new connections; those that are up stay.
func (s *Source) Set(c *Credentials) { s.current.Store(c) }
