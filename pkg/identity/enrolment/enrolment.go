// Package enrolment is a node's side of getting certificates: joining the domain with a token, and renewing
// for as long as the node lives. It talks to the Enrolment service of hubs; what hubs decide is not here.
// Start at [Join] and [Keeper].
package enrolment

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"path/filepath"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/fault/faultgrpc"
	"github.com/mss-federation/mss/pkg/identity"
	tmssv1 "github.com/mss-federation/mss/proto/mss/tmss/v1"
)

// attempt bounds what one hub may take to answer: longer than the two seconds in which a hub without quorum
// says so.
const attempt = 5 * time.Second

// Joined is what a token is spent for.
type Joined struct {
	Credentials *identity.Credentials
	Issuing     *identity.Authority // of a hub; nil for others
	Directory   []string            // for a hub: host and port of the directory's members
}

// Join makes keys and spends the token at the first of its hubs that answers. Each hub proves itself under
// the token's root before the secret leaves. After an answer that the token is bad, no other hub is asked.
func Join(ctx context.Context, token *identity.Token) (*Joined, error) {
	pending, err := newPending(token)
	if err != nil {
		return nil, err
	}
	var failures []error
	for _, hub := range token.Hubs {
		var response *tmssv1.JoinResponse
		err := call(ctx, hub.Address, identity.JoinTLS(token, hub), func(ctx context.Context, c tmssv1.EnrolmentClient) (err error) {
			response, err = c.Join(ctx, pending.request)
			return err
		})
		if err == nil {
			return pending.accept(token, response)
		}
		failures = append(failures, hubFailed("join", hub, err))
		if !elsewhere(err) {
			break
		}
	}
	return nil, errors.Join(failures...)
}

// JoinSite makes this machine the site that the token is for: it spends the token and keeps what came back in the
// state directory. The token says who that is and where the hubs are.
func JoinSite(ctx context.Context, text, stateDir string) (*identity.Token, error) {
	const op = "join the domain"
	token, err := identity.ParseToken(text)
	if err != nil {
		return nil, err
	}
	if token.Node.Role != identity.Site {
		return nil, fault.New(op, fault.Invalid, token.Node.URI(), "the token is not for a site: give it to tmss join")
	}
	// Before the token is spent.
	dir, err := identity.NewFolder(op, stateDir)
	if err != nil {
		return nil, err
	}
	joined, err := Join(ctx, token)
	if err != nil {
		return nil, err
	}
	return token, joined.Credentials.Save(filepath.Join(dir, identity.NodeFile))
}

// elsewhere says whether another hub may give another answer.
func elsewhere(err error) bool {
	switch fault.KindOf(err) {
	case fault.Unavailable, fault.Timeout, fault.Exhausted, fault.Internal:
		return true
	default:
		return false
	}
}

func hubFailed(op string, hub identity.HubAddress, err error) error {
	return &fault.Error{Op: op, Kind: fault.KindOf(err), Subject: "hub " + hub.Hub + " at " + hub.Address, Err: err}
}

// pending is a joining node's keys and what it asks for with them.
type pending struct {
	key, issuingKey crypto.Signer // issuingKey: hubs only
	request         *tmssv1.JoinRequest
}

func newPending(token *identity.Token) (*pending, error) {
	p := &pending{request: &tmssv1.JoinRequest{Secret: token.Secret()}}
	var err error
	if p.key, p.request.Request, err = ask(token.Node); err != nil {
		return nil, err
	}
	if token.Node.Role == identity.Hub {
		p.issuingKey, p.request.IssuingRequest, err = ask(token.Node)
	}
	return p, err
}

// ask makes a key and the request for it.
func ask(node identity.Node) (crypto.Signer, []byte, error) {
	key, err := identity.NewKey()
	if err != nil {
		return nil, nil, err
	}
	request, err := identity.NewRequest(key, node)
	return key, request, err
}

// accept checks what came back, as if it had been read from a file.
func (p *pending) accept(token *identity.Token, response *tmssv1.JoinResponse) (*Joined, error) {
	got, err := credentialsOf(p.key, token.Node, response.GetChain(), token.Root)
	if err != nil {
		return nil, err
	}
	joined := &Joined{Credentials: got, Directory: response.GetDirectory()}
	if p.issuingKey == nil {
		return joined, nil
	}
	certificate, err := x509.ParseCertificate(response.GetIssuing())
	if err != nil {
		return nil, &fault.Error{Op: "join", Kind: fault.Invalid, Subject: "issuing certificate", Err: err}
	}
	joined.Issuing, err = identity.NewIssuer(p.issuingKey, certificate, token.Root)
	return joined, err
}

func credentialsOf(key crypto.Signer, node identity.Node, chain [][]byte, root *x509.Certificate) (*identity.Credentials, error) {
	certificates := make([]*x509.Certificate, 0, len(chain))
	for _, der := range chain {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, &fault.Error{Op: "read issued certificate", Kind: fault.Invalid, Subject: node.URI(), Err: err}
		}
		certificates = append(certificates, c)
	}
	got, err := identity.NewCredentials(key, certificates, root)
	if err != nil {
		return nil, err
	}
	if got.Node != node {
		return nil, fault.New("read issued certificate", fault.Invalid, got.Node.URI(), "it is not for "+node.URI())
	}
	return got, nil
}

// Renew makes a new key and asks the hubs in turn for a certificate of the same identity. The credentials in
// source are unchanged: see Keeper.
func Renew(ctx context.Context, source *identity.Source, trust *identity.Trust, hubs []identity.HubAddress) (*identity.Credentials, error) {
	const op = "renew certificate"
	old := source.Current()
	if len(hubs) == 0 {
		return nil, fault.New(op, fault.Unavailable, old.Node.URI(), "no hub is known")
	}
	key, request, err := ask(old.Node)
	if err != nil {
		return nil, err
	}
	var failures []error
	for _, hub := range hubs {
		node := identity.Node{Domain: old.Node.Domain, Role: identity.Hub, ID: hub.Hub}
		var response *tmssv1.RenewResponse
		err := call(ctx, hub.Address, identity.RenewTLS(source, trust, node), func(ctx context.Context, c tmssv1.EnrolmentClient) (err error) {
			response, err = c.Renew(ctx, &tmssv1.RenewRequest{Request: request})
			return err
		})
		if err == nil {
			return credentialsOf(key, old.Node, response.GetChain(), old.Root)
		}
		// Any other hub is worth the question: they do not all hear of a revocation's end at once.
		failures = append(failures, hubFailed(op, hub, err))
	}
	return nil, errors.Join(failures...)
}

// call makes one connection for one RPC.
func call(ctx context.Context, address string, config *tls.Config, rpc func(context.Context, tmssv1.EnrolmentClient) error) error {
	ctx, cancel := context.WithTimeout(ctx, attempt)
	defer cancel()
	// passthrough: the dialer looks names up; grpc's resolver would ask for TXT records too.
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(credentials.NewTLS(config)))
	if err != nil {
		return err
	}
	err = rpc(ctx, tmssv1.NewEnrolmentClient(conn))
	return errors.Join(faultgrpc.Error("ask the hub", err), conn.Close())
}
