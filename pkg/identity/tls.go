package identity

import (
	"crypto/tls"
	"slices"

	"github.com/mss-federation/mss/pkg/fault"
)

// ServerTLS is for listeners that nodes of the domain connect to: TLS 1.3, a verified certificate of the
// domain that nobody revoked, of one of the roles (none means any). Credentials, roots and revocations are
// those of the moment of each handshake.
//
// There are no session tickets: a resumed session would pass by a revocation (CVE-2025-68121).
func ServerTLS(source *Source, trust *Trust, roles ...Role) *tls.Config {
	return liveServer(func(*tls.ClientHelloInfo) *tls.Config { return mutual(source, trust, roles) })
}

func mutual(source *Source, trust *Trust, roles []Role) *tls.Config {
	c := baseServer(source)
	c.ClientAuth = tls.RequireAndVerifyClientCert
	c.ClientCAs = trust.Roots()
	c.VerifyConnection = func(state tls.ConnectionState) error {
		node, err := trust.Check(state)
		if err != nil {
			return err
		}
		if len(roles) > 0 && !slices.Contains(roles, node.Role) {
			return fault.New("accept connection", fault.Denied, node.URI(), "its role has no business here")
		}
		return nil
	}
	return c
}

func baseServer(source *Source) *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		SessionTicketsDisabled: true,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return source.Current().tls(), nil
		},
	}
}

// liveServer makes the configuration anew for each handshake.
func liveServer(config func(*tls.ClientHelloInfo) *tls.Config) *tls.Config {
	outer := config(&tls.ClientHelloInfo{})
	outer.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		return config(hello), nil
	}
	return outer
}

// ClientTLS is for a dialer that wants to reach exactly this node: TLS 1.3, its certificate verified by
// Go's verifier under the name of the node, its identity compared, nobody revoked.
func ClientTLS(source *Source, trust *Trust, expect Node) *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		SessionTicketsDisabled: true,
		ServerName:             expect.DNSName(),
		RootCAs:                trust.Roots(),
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return source.Current().tls(), nil
		},
		VerifyConnection: func(state tls.ConnectionState) error {
			return expectNode(trust, state, expect)
		},
	}
}

func expectNode(trust *Trust, state tls.ConnectionState, expect Node) error {
	node, err := trust.Check(state)
	if err != nil {
		return err
	}
	if node != expect {
		return fault.New("connect", fault.Denied, node.URI(), "it is not "+expect.URI())
	}
	return nil
}

// DirectoryTLS is for a hub that wants to reach any member of the domain's directory.
func DirectoryTLS(source *Source, trust *Trust) *tls.Config {
	c := ClientTLS(source, trust, Node{})
	c.ServerName = DirectoryName(trust.Domain())
	c.VerifyConnection = func(state tls.ConnectionState) error {
		node, err := trust.Check(state)
		if err == nil && node.Role != Hub {
			err = fault.New("connect to directory", fault.Denied, node.URI(), "it is not a hub")
		}
		return err
	}
	return c
}
