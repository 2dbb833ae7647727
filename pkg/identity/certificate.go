package identity

import (
	"crypto/tls"
	"crypto/x509"
	"slices"

	"github.com/mss-federation/mss/pkg/fault"
)

// CertificateNode reads the identity in a leaf: exactly one URI, the DNS names that belong to it, and
// no authority. It does not verify the certificate.
func CertificateNode(leaf *x509.Certificate) (Node, error) {
	const op = "read certificate"
	subject := leaf.Subject.CommonName
	if leaf.IsCA {
		return Node{}, fault.New(op, fault.Denied, subject, "an authority's certificate is nobody's identity")
	}
	if len(leaf.URIs) != 1 {
		return Node{}, fault.New(op, fault.Denied, subject, "it carries no identity: exactly one mss:// URI is needed")
	}
	node, err := nodeOf(leaf.URIs[0])
	if err != nil {
		return Node{}, &fault.Error{Op: op, Kind: fault.Denied, Subject: subject, Err: err}
	}
	names := []string{node.DNSName()}
	if node.Role == Hub {
		names = append(names, DirectoryName(node.Domain))
	}
	if !slices.Equal(leaf.DNSNames, names) {
		return Node{}, fault.New(op, fault.Denied, node.URI(), "its DNS names are not those of this identity")
	}
	return node, nil
}

// PeerNode is who is at the other end of a connection made with ServerTLS or ClientTLS. A peer whose
// certificate was not verified (it sent none, or came for its renewal) is refused, whatever it shows.
func PeerNode(state tls.ConnectionState) (Node, error) {
	if len(state.VerifiedChains) == 0 || len(state.PeerCertificates) == 0 {
		return Node{}, fault.New("identify peer", fault.Unauthenticated, "", "the peer has no certificate of this domain")
	}
	return CertificateNode(state.PeerCertificates[0])
}
