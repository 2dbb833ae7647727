package uplink

import (
	"context"
	"os"
	"slices"
	"strings"

	"github.com/mss-federation/mss/pkg/exchange"
	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/identity"
	"github.com/mss-federation/mss/pkg/identity/enrolment"
)

const opJoin = "join"

// Join spends a token: it makes the site's key, has a hub certify it, and keeps both with the hubs' addresses.
// self is who this site is by its configuration; a token for anybody else is not spent. Nothing is spent
// either when home cannot be written.
func Join(ctx context.Context, home Home, self identity.Node, text string) (*identity.Credentials, error) {
	token, err := identity.ParseToken(text)
	if err != nil {
		return nil, err
	}
	if err := meant(token.Node, self); err != nil {
		return nil, err
	}
	if err := home.prepare(); err != nil {
		return nil, err
	}
	joined, err := enrolment.Join(ctx, token)
	if err != nil {
		return nil, advise(err, self)
	}
	if err := joined.Credentials.Save(home.credentialsPath()); err != nil {
		return nil, err
	}
	return joined.Credentials, home.rememberHubs(token.Hubs)
}

// meant says whether the token lets this site in.
func meant(token, self identity.Node) error {
	switch {
	case token == self:
		return nil
	case token.Role == identity.Hub:
		return fault.New(opJoin, fault.Invalid, token.URI(), "this token is for a hub: on that machine, run tmss join; here, use one of mssctl site token "+self.ID)
	case token.Domain != self.Domain:
		return fault.New(opJoin, fault.Invalid, token.URI(), "this token is of the domain "+token.Domain+", and the configuration says domain: "+self.Domain)
	}
	return fault.New(opJoin, fault.Invalid, token.URI(), "this token is for the site "+token.ID+", and the configuration says site: "+self.ID+
		"; make another with mssctl site token "+self.ID)
}

// advise says what to do about a join that failed. What failed, and at which address, stands in err.
func advise(err error, self identity.Node) error {
	another := "make another with mssctl site token " + self.ID
	switch fault.KindOf(first(err)) {
	case fault.Denied, fault.NotFound, fault.Unauthenticated, fault.Exists, fault.Conflict:
		return &failed{err, "a token can be spent once, within " + identity.TokenLifetime.String() + ": " + another}
	default:
		return &failed{err, "check that the hub runs there and that its gRPC port lets this machine in, and try again; if the token is spent by then, " + another}
	}
}

// first is the last of several failures joined together: the one that ended the search.
func first(err error) error {
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		all := several.Unwrap()
		return all[len(all)-1]
	}
	return err
}

// failed is an error with the next step.
type failed struct {
	cause error
	next  string
}

func (f *failed) Error() string {
	return strings.ReplaceAll(f.cause.Error(), "\n", "; ") + "; " + f.next
}

func (f *failed) Unwrap() error { return f.cause }

// prepare finds out whether the credentials can be kept before the token is spent.
func (h Home) prepare() error {
	err := os.MkdirAll(string(h), 0o700)
	if err == nil {
		var probe *os.File
		if probe, err = os.CreateTemp(string(h), ".join.*"); err == nil {
			_ = probe.Close()
			err = os.Remove(probe.Name())
		}
	}
	if err != nil {
		return &fault.Error{Op: opJoin, Kind: fault.Denied, Subject: string(h), Err: err}
	}
	return nil
}

// rememberHubs keeps where the token's hubs are, and what is known of others from an earlier life.
func (h Home) rememberHubs(hubs []identity.HubAddress) error {
	known, err := h.loadHubs()
	if err != nil {
		known = nil // it is written anew
	}
	for i, hub := range hubs {
		id := federation.HubID(hub.Hub)
		isHub := func(k exchange.Hub) bool { return k.ID == id }
		if further := slices.ContainsFunc(hubs[:i], func(a identity.HubAddress) bool { return a.Hub == hub.Hub }); further {
			at := slices.IndexFunc(known, isHub)
			known[at].GRPCAlso = append(known[at].GRPCAlso, hub.Address)
			continue
		}
		known = append(slices.DeleteFunc(known, isHub), exchange.Hub{ID: id, GRPC: hub.Address})
	}
	return h.saveHubs(known)
}
