package enrol

import (
	"crypto"
	"time"

	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/identity"
	"github.com/mss-federation/mss/tmss/discovery"
)

// application is who asks to be let in, with which keys.
type application struct {
	node    identity.Node
	key     crypto.PublicKey
	issuing crypto.PublicKey // of a hub; nil for others
}

// readApplication checks what can be checked without the token.
func readApplication(request, issuingRequest []byte) (application, error) {
	const op = "join"
	key, node, err := identity.ParseRequest(request)
	if err != nil {
		return application{}, err
	}
	a := application{node: node, key: key}
	switch node.Role {
	case identity.Hub:
		issuing, named, err := identity.ParseRequest(issuingRequest)
		if err != nil {
			return application{}, err
		}
		if named != node {
			return application{}, fault.New(op, fault.Denied, node.URI(), "the request for its issuing certificate is for "+named.URI())
		}
		if k, ok := key.(interface{ Equal(x crypto.PublicKey) bool }); ok && k.Equal(issuing) {
			return application{}, fault.New(op, fault.Denied, node.URI(), "its issuing key is the one that it shows to everybody")
		}
		a.issuing = issuing
	case identity.Site:
		if len(issuingRequest) > 0 {
			return application{}, fault.New(op, fault.Denied, node.URI(), "only hubs issue certificates")
		}
	default:
		return application{}, fault.New(op, fault.Denied, node.URI(), "only hubs and sites join")
	}
	return a, nil
}

// admit says whether the token's invitation is for this application: pure.
func admit(a application, invitation discovery.Invitation, now time.Time) error {
	const op = "join"
	if invitation.Node != a.node.URI() {
		return fault.New(op, fault.Denied, a.node.URI(), "the token is for another node")
	}
	if !now.Before(invitation.Expires) {
		return fault.New(op, fault.Denied, a.node.URI(), "the token has expired: make a new one")
	}
	return nil
}
