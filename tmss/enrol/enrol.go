// Package enrol is a hub's side of letting nodes into the domain: the birth of a domain, join tokens, and the
// Enrolment service that gives certificates to who has a token or a certificate. The node's side is
// pkg/identity/enrolment. It does not keep tokens (see tmss/discovery).
//
// admit.go decides and is pure; service.go is what stands round it. Start at [Init], [NewToken] and [Service].
package enrol

import (
	"context"
	"path/filepath"
	"time"

	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/identity"
	"github.com/mss-federation/mss/tmss/discovery"
)

// Invitations keep what tokens are for: discovery.Directory.
type Invitations interface {
	Invite(ctx context.Context, hash string, invitation discovery.Invitation) error
	Spend(ctx context.Context, hash string, admit func(discovery.Invitation) error) (discovery.Invitation, error)
}

// Entry is one audit record: who did or tried what, and how it ended. It has no secret.
type Entry struct {
	Who  string // "hub a", a node's URI, or the address of somebody unknown
	What string // "join mss://example.org/site/london"
	// Refused is why it was refused; empty when it was done.
	Refused string
}

// Auditor writes audit records. An entry is on the disk when Audit returns, and what could not be recorded is
// not done.
type Auditor interface {
	Audit(ctx context.Context, entry Entry) error
}

// NewToken makes a token for a node that may join within TokenLifetime, and stores what is kept of it. It needs
// quorum. by is the operator.
func NewToken(ctx context.Context, invitations Invitations, node identity.Node, hubs []identity.HubAddress, authority *identity.Authority, by string) (string, error) {
	if node.Role == identity.Operator {
		return "", fault.New("make token", fault.Invalid, node.URI(), "operators do not join: a hub issues their certificates")
	}
	token, err := identity.NewToken(node, authority.Root(), hubs...)
	if err != nil {
		return "", err
	}
	invitation := discovery.Invitation{Node: node.URI(), By: by, Expires: time.Now().Add(identity.TokenLifetime).UTC()}
	if err := invitations.Invite(ctx, token.Hash(), invitation); err != nil {
		return "", err
	}
	return token.Text()
}

// Authorities are a hub's signing keys, in its identity folder.
type Authorities struct {
	dir     string
	issuing *identity.Authority
}

// LoadAuthorities reads the hub's issuing authority.
func LoadAuthorities(dir string) (*Authorities, error) {
	issuing, err := identity.LoadAuthority(filepath.Join(dir, identity.IssuingFile))
	if err != nil {
		return nil, err
	}
	if issuing.IsRoot() {
		return nil, fault.New("load issuing authority", fault.Invalid, dir, "this is a root, not a hub's issuing authority")
	}
	return &Authorities{dir: dir, issuing: issuing}, nil
}

// Issuing is the hub's issuing authority.
func (a *Authorities) Issuing() *identity.Authority { return a.issuing }

// root reads the domain's root key, which is here only while new hubs are made. It is not kept in memory.
func (a *Authorities) root() (*identity.Authority, error) {
	path := filepath.Join(a.dir, identity.RootFile)
	root, err := identity.LoadAuthority(path)
	if fault.KindOf(err) == fault.NotFound {
		return nil, fault.New("load root key", fault.Unavailable, path,
			"a hub can join only where the domain's root key is: make its token on that hub, or bring the file back for as long as it takes")
	}
	if err != nil {
		return nil, err
	}
	if !root.IsRoot() || !root.Root().Equal(a.issuing.Root()) {
		return nil, fault.New("load root key", fault.Invalid, path, "it is not the root of this hub's domain")
	}
	return root, nil
}

// Operator makes credentials for a person, good for 12 hours and renewable like any.
func (a *Authorities) Operator(name string) (*identity.Credentials, error) {
	return selfIssue(a.issuing, identity.Node{Domain: a.issuing.Domain(), Role: identity.Operator, ID: name}, time.Now())
}

// SelfIssue gives the hub itself new credentials, from its own authority: a hub depends on no other for its
// renewal. It fits enrolment.Keeper.
func (a *Authorities) SelfIssue(node identity.Node) func(context.Context) (*identity.Credentials, error) {
	return func(context.Context) (*identity.Credentials, error) {
		return selfIssue(a.issuing, node, time.Now())
	}
}

func selfIssue(issuing *identity.Authority, node identity.Node, now time.Time) (*identity.Credentials, error) {
	key, err := identity.NewKey()
	if err != nil {
		return nil, err
	}
	chain, err := issuing.Issue(key.Public(), node, now)
	if err != nil {
		return nil, err
	}
	return identity.NewCredentials(key, chain, issuing.Root())
}
