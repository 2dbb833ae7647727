package identity

import (
	"crypto/tls"
	"crypto/x509"
	"slices"
	"time"

	"github.com/mss-federation/mss/pkg/fault"
)

// enrolmentProtocol is the ALPN name by which a dialer asks a hub for the connection on which it may join or
// renew and nothing else.
const enrolmentProtocol = "mss-enrolment"

// HubTLS is ServerTLS for a hub's gRPC port, which also lets in those who come to join (without a
// certificate) or to renew (with one that expired less than RenewalGrace ago), if they ask for it by ALPN.
// Such a connection has no verified chain, so PeerNode and Check refuse it: only an RPC that asks
// RenewingNode, or needs no identity at all, serves it.
func HubTLS(source *Source, trust *Trust) *tls.Config {
	return liveServer(func(hello *tls.ClientHelloInfo) *tls.Config {
		if slices.Contains(hello.SupportedProtos, enrolmentProtocol) {
			return enrolment(source, trust)
		}
		return mutual(source, trust, nil)
	})
}

func enrolment(source *Source, trust *Trust) *tls.Config {
	c := baseServer(source)
	c.ClientAuth = tls.RequestClientCert
	c.VerifyConnection = func(state tls.ConnectionState) error {
		if len(state.PeerCertificates) == 0 {
			return nil
		}
		_, err := RenewingNode(trust, state, time.Now())
		return err
	}
	return c
}

// RenewingNode is who came to renew: its certificate is one of the domain, not revoked, and valid or
// expired for less than RenewalGrace.
func RenewingNode(trust *Trust, state tls.ConnectionState, now time.Time) (Node, error) {
	const op = "identify peer for renewal"
	if len(state.PeerCertificates) == 0 {
		return Node{}, fault.New(op, fault.Unauthenticated, "", "it showed no certificate: join with a token")
	}
	leaf := state.PeerCertificates[0]
	node, err := CertificateNode(leaf)
	if err != nil {
		return Node{}, err
	}
	if RenewalOf(leaf, now).Phase == Lost {
		return Node{}, fault.New(op, fault.Denied, node.URI(), "its certificate expired too long ago: join with a new token")
	}
	at := now
	if at.After(leaf.NotAfter) {
		at = leaf.NotAfter
	}
	chains, err := leaf.Verify(x509.VerifyOptions{
		Roots: trust.Roots(), Intermediates: pool(state.PeerCertificates[1:]), CurrentTime: at,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return Node{}, &fault.Error{Op: op, Kind: fault.Unauthenticated, Subject: node.URI(), Err: err}
	}
	return node, trust.checkChains(node, chains)
}

// JoinTLS is for a node that has a token and no certificate yet. The hub must prove itself under the root
// in the token before the secret leaves.
func JoinTLS(token *Token, hub HubAddress) *tls.Config {
	trust := NewTrust(token.Node.Domain, token.Root)
	c := ClientTLS(nil, trust, token.HubNode(hub))
	c.GetClientCertificate = nil
	c.NextProtos = []string{enrolmentProtocol}
	return c
}

// RenewTLS is for a node whose certificate may have expired and wants a new one from this hub.
func RenewTLS(source *Source, trust *Trust, hub Node) *tls.Config {
	c := ClientTLS(source, trust, hub)
	c.NextProtos = []string{enrolmentProtocol}
	return c
}
