package enrol

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/identity"
	"github.com/mss-federation/mss/pkg/identity/enrolment"
	"github.com/mss-federation/mss/pkg/safefile"
)

// Setup is what is asked of whoever sets up a hub.
type Setup struct {
	// StateDir is made if it is not there.
	StateDir string
	// Config is where the configuration is written. A file that is there stays as it is.
	Config string
	// TLS and GRPC are the hub's addresses for trunks, and for exchange, enrolment and operators.
	TLS, GRPC netip.AddrPort
	// Directory is where the embedded member serves. Zero leaves it to the configuration's default. Of no use
	// to a hub that joins.
	Directory netip.AddrPort
}

// Domain is what a new domain is made of.
type Domain struct {
	Setup

	Name     string // "example.org"
	Hub      string // "a"
	Operator string // "alice"; empty means "admin"
}

// Born says where the things are that somebody has to take care of.
type Born struct {
	RootKey  string // to be taken offline
	Operator string // the operator's credentials, good for 12 hours and renewable
	Config   string
}

// Init makes a domain: its root key, the first hub's issuing key and certificate, an operator's certificate, and
// the hub's configuration. It never overwrites: where there is an identity already, the error is of kind Exists.
func Init(d Domain) (Born, error) {
	if d.Operator == "" {
		d.Operator = "admin"
	}
	hub := identity.Node{Domain: d.Name, Role: identity.Hub, ID: d.Hub}
	operator := identity.Node{Domain: d.Name, Role: identity.Operator, ID: d.Operator}
	if err := errors.Join(hub.Validate(), operator.Validate()); err != nil {
		return Born{}, err
	}
	dir, err := identity.NewFolder("make domain", d.StateDir)
	if err != nil {
		return Born{}, err
	}
	born := Born{
		RootKey: filepath.Join(dir, identity.RootFile), Config: d.Config,
		Operator: filepath.Join(dir, "operator-"+d.Operator+".pem"),
	}
	root, issuing, err := authorities(hub, time.Now())
	if err != nil {
		return Born{}, err
	}
	err = errors.Join(root.Save(born.RootKey), issuing.Save(filepath.Join(dir, identity.IssuingFile)))
	for node, path := range map[identity.Node]string{hub: filepath.Join(dir, identity.NodeFile), operator: born.Operator} {
		if err == nil {
			err = issueTo(issuing, node, path)
		}
	}
	if err == nil {
		err = writeConfig(hub, d.Setup, nil)
	}
	return born, err
}

// authorities makes the domain's root and the first hub's issuing authority.
func authorities(hub identity.Node, now time.Time) (root, issuing *identity.Authority, err error) {
	if root, err = identity.NewRoot(hub.Domain, now); err != nil {
		return nil, nil, err
	}
	key, err := identity.NewKey()
	if err != nil {
		return nil, nil, err
	}
	certificate, err := root.Authorize(key.Public(), hub, now)
	if err != nil {
		return nil, nil, err
	}
	issuing, err = identity.NewIssuer(key, certificate, root.Certificate())
	return root, issuing, err
}

func issueTo(issuing *identity.Authority, node identity.Node, path string) error {
	credentials, err := selfIssue(issuing, node, time.Now())
	if err != nil {
		return err
	}
	return credentials.Save(path)
}

// JoinHub makes this machine the hub that the token is for: it spends the token, and writes what came back and
// a configuration.
func JoinHub(ctx context.Context, text string, setup Setup) (identity.Node, error) {
	const op = "join the domain"
	token, err := identity.ParseToken(text)
	if err != nil {
		return identity.Node{}, err
	}
	if token.Node.Role != identity.Hub {
		return identity.Node{}, fault.New(op, fault.Invalid, token.Node.URI(), "the token is for a site: give it to lmss join")
	}
	// Before the token is spent.
	dir, err := identity.NewFolder(op, setup.StateDir)
	if err != nil {
		return identity.Node{}, err
	}
	joined, err := enrolment.Join(ctx, token)
	if err != nil {
		return identity.Node{}, err
	}
	err = joined.Issuing.Save(filepath.Join(dir, identity.IssuingFile))
	if err == nil {
		err = joined.Credentials.Save(filepath.Join(dir, identity.NodeFile))
	}
	if err == nil && len(joined.Directory) > 0 {
		err = saveDirectory(dir, joined.Directory)
	}
	if err == nil {
		err = writeConfig(token.Node, setup, joined.Directory)
	}
	return token.Node, err
}

// writeConfig leaves a configuration that is there alone: somebody prepared it.
func writeConfig(hub identity.Node, setup Setup, directory []string) error {
	const op = "write configuration"
	if _, err := os.Stat(setup.Config); err == nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(setup.Config), 0o755); err != nil {
		return &fault.Error{Op: op, Kind: fault.Unavailable, Subject: setup.Config, Err: err}
	}
	if err := safefile.Write(setup.Config, configText(hub, setup, directory)); err != nil {
		return &fault.Error{Op: op, Kind: fault.Unavailable, Subject: setup.Config, Err: err}
	}
	return nil
}
