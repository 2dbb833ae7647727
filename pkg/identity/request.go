package identity

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"net/url"

	"github.com/mss-federation/mss/pkg/fault"
)

// NewRequest asks for a certificate: PKCS #10 in DER (RFC 2986), signed with the key, with the node's URI.
func NewRequest(key crypto.Signer, node Node) ([]byte, error) {
	if err := node.Validate(); err != nil {
		return nil, err
	}
	return x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: string(node.NodeID())},
		URIs:    []*url.URL{node.url()},
	}, key)
}

// ParseRequest reads what NewRequest wrote: the key, whose holder signed it, and who asks. What else the
// request wishes for is ignored: the issuer alone says what stands in a certificate.
func ParseRequest(der []byte) (crypto.PublicKey, Node, error) {
	const op = "read certificate request"
	request, err := x509.ParseCertificateRequest(der)
	if err == nil {
		err = request.CheckSignature()
	}
	if err != nil {
		return nil, Node{}, &fault.Error{Op: op, Kind: fault.Invalid, Err: err}
	}
	if len(request.URIs) != 1 {
		return nil, Node{}, fault.New(op, fault.Invalid, "", "exactly one mss:// URI is needed")
	}
	node, err := nodeOf(request.URIs[0])
	if err != nil {
		return nil, Node{}, err
	}
	switch request.PublicKey.(type) {
	case *ecdsa.PublicKey, ed25519.PublicKey:
		return request.PublicKey, node, nil
	default:
		return nil, Node{}, fault.New(op, fault.Invalid, node.URI(), "the key is neither ECDSA nor Ed25519")
	}
}
