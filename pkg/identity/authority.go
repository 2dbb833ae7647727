package identity

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net/url"
	"time"

	"github.com/mss-federation/mss/pkg/fault"
)

// How long certificates live, and how far their beginning lies back for clocks that are behind.
const (
	RootLifetime     = 20 * 365 * 24 * time.Hour
	IssuerLifetime   = 5 * 365 * 24 * time.Hour
	LeafLifetime     = 24 * time.Hour
	OperatorLifetime = 12 * time.Hour
	BackDating       = 5 * time.Minute
)

// Authority is a certificate that signs others, with its key: the domain's root, or the issuing authority of
// one hub. It does not change and is safe for concurrent use.
type Authority struct {
	key   crypto.Signer
	chain []*x509.Certificate // its own certificate first, the root last
}

// NewKey makes the private key of a node or authority: ECDSA on P-256.
func NewKey() (crypto.Signer, error) {
	return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
}

// NewRoot makes the root of a new domain.
func NewRoot(domain string, now time.Time) (*Authority, error) {
	if err := ValidateDomain(domain); err != nil {
		return nil, err
	}
	key, err := NewKey()
	if err != nil {
		return nil, err
	}
	template := authorityTemplate(domain, "root", now, RootLifetime)
	template.MaxPathLen = 1
	root, err := sign(template, key.Public(), template, key)
	if err != nil {
		return nil, err
	}
	return &Authority{key: key, chain: []*x509.Certificate{root}}, nil
}

// Certificate is the authority's own.
func (a *Authority) Certificate() *x509.Certificate { return a.chain[0] }

// Root is the certificate at the end of the authority's chain.
func (a *Authority) Root() *x509.Certificate { return a.chain[len(a.chain)-1] }

// IsRoot tells the domain's root from a hub's issuing authority.
func (a *Authority) IsRoot() bool { return len(a.chain) == 1 }

// Domain is whose authority it is.
func (a *Authority) Domain() string { return domainOf(a.Root()) }

// Authorize signs the issuing certificate of a hub. Only the root can: an issuing authority makes leaves
// and nothing else.
func (a *Authority) Authorize(public crypto.PublicKey, hub Node, now time.Time) (*x509.Certificate, error) {
	const op = "sign issuing certificate"
	switch {
	case !a.IsRoot():
		return nil, fault.New(op, fault.Unavailable, hub.URI(), "this needs the domain's root key, which is not on this hub")
	case hub.Role != Hub:
		return nil, fault.New(op, fault.Denied, hub.URI(), "only hubs issue certificates")
	}
	if err := a.mayName(op, hub); err != nil {
		return nil, err
	}
	template := authorityTemplate(hub.Domain, "hub "+hub.ID+" issuing", now, IssuerLifetime)
	template.MaxPathLenZero = true
	template.URIs = []*url.URL{hub.url()}
	return sign(template, public, a.Certificate(), a.key)
}

// NewIssuer joins a key with the issuing certificate that Authorize made for it.
func NewIssuer(key crypto.Signer, certificate, root *x509.Certificate) (*Authority, error) {
	const op = "load issuing authority"
	subject := certificate.Subject.CommonName
	if !certificate.IsCA || certificate.CheckSignatureFrom(root) != nil {
		return nil, fault.New(op, fault.Invalid, subject, "its certificate is not an issuing one of this root")
	}
	if !samePublicKey(key.Public(), certificate.PublicKey) {
		return nil, fault.New(op, fault.Invalid, subject, "the key is not the certificate's")
	}
	return &Authority{key: key, chain: []*x509.Certificate{certificate, root}}, nil
}

// Issue signs a leaf for a node's public key. The chain is the leaf, then the issuing certificate; the root
// is not in it. A leaf never outlives its issuer.
func (a *Authority) Issue(public crypto.PublicKey, node Node, now time.Time) ([]*x509.Certificate, error) {
	const op = "issue certificate"
	if a.IsRoot() {
		return nil, fault.New(op, fault.Invalid, node.URI(), "the root signs issuing certificates only")
	}
	if err := a.mayName(op, node); err != nil {
		return nil, err
	}
	if now.After(a.Certificate().NotAfter) {
		return nil, fault.New(op, fault.Unavailable, node.URI(), "this hub's issuing certificate has expired: renew it where the root key is")
	}
	leaf, err := sign(leafTemplate(node, now, a.Certificate().NotAfter), public, a.Certificate(), a.key)
	if err != nil {
		return nil, err
	}
	return []*x509.Certificate{leaf, a.Certificate()}, nil
}

// mayName refuses names outside the authority's domain.
func (a *Authority) mayName(op string, node Node) error {
	if err := node.Validate(); err != nil {
		return err
	}
	if domain := a.Domain(); node.Domain != domain {
		return fault.New(op, fault.Denied, node.URI(), "this is the authority of "+domain)
	}
	return nil
}

func authorityTemplate(domain, name string, now time.Time, lifetime time.Duration) *x509.Certificate {
	return &x509.Certificate{
		Subject:               pkix.Name{Organization: []string{domain}, CommonName: "MSS " + domain + " " + name},
		NotBefore:             now.Add(-BackDating),
		NotAfter:              now.Add(lifetime),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		IsCA:                  true,
		BasicConstraintsValid: true,
		// What leaves the domain's hands names nobody outside the domain (RFC 5280 §4.2.1.10).
		PermittedDNSDomainsCritical: true,
		PermittedDNSDomains:         []string{internalDomain(domain)},
		PermittedURIDomains:         []string{domain},
	}
}

func leafTemplate(node Node, now, limit time.Time) *x509.Certificate {
	t := &x509.Certificate{
		Subject:               pkix.Name{Organization: []string{node.Domain}, CommonName: string(node.NodeID())},
		NotBefore:             now.Add(-BackDating),
		NotAfter:              now.Add(LeafLifetime),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		DNSNames:              []string{node.DNSName()},
		URIs:                  []*url.URL{node.url()},
	}
	switch node.Role {
	case Operator: // a person serves nobody
		t.NotAfter = now.Add(OperatorLifetime)
		t.ExtKeyUsage = t.ExtKeyUsage[:1]
	case Hub:
		t.DNSNames = append(t.DNSNames, DirectoryName(node.Domain))
	default:
	}
	if t.NotAfter.After(limit) {
		t.NotAfter = limit
	}
	return t
}

func sign(template *x509.Certificate, public crypto.PublicKey, parent *x509.Certificate, key crypto.Signer) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	template.SerialNumber = serial
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

func samePublicKey(a, b crypto.PublicKey) bool {
	k, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.Equal(b)
}

// domainOf is the domain that an authority's certificate names.
func domainOf(authority *x509.Certificate) string {
	if len(authority.Subject.Organization) != 1 {
		return ""
	}
	return authority.Subject.Organization[0]
}
