package enrol_test

import (
	"context"
	"crypto/tls"
	"os"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/mss-federation/mss/pkg/configfile"
	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/fault/faultgrpc"
	"github.com/mss-federation/mss/pkg/identity"
	"github.com/mss-federation/mss/pkg/identity/enrolment"
	tmssv1 "github.com/mss-federation/mss/proto/mss/tmss/v1"
	"github.com/mss-federation/mss/tmss/config"
	"github.com/mss-federation/mss/tmss/discovery"
	"github.com/mss-federation/mss/tmss/enrol"
)

func TestInit(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	domain := enrol.Domain{Setup: setup(state), Name: "example.org", Hub: "a", Operator: "alice"}
	born, err := enrol.Init(domain)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(state, identity.Folder)
	for _, path := range []string{born.RootKey, born.Operator, filepath.Join(dir, identity.NodeFile), filepath.Join(dir, identity.IssuingFile)} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", path, info, err)
		}
	}
	alice, err := identity.LoadCredentials(born.Operator)
	if err != nil || alice.Node.URI() != "mss://example.org/operator/alice" {
		t.Errorf("operator: %v", err)
	}
	got, _, err := configfile.Load[config.Config](born.Config)
	if err != nil {
		t.Fatal(err)
	}
	if got.Hub != "a" || got.Domain != "example.org" || got.StateDir != state || got.Listen.GRPC.First() != domain.GRPC || got.Listen.TLS[0] != domain.TLS {
		t.Errorf("configuration %+v", got)
	}
	before, err := os.ReadFile(born.RootKey)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := enrol.Init(domain); fault.KindOf(err) != fault.Exists {
		t.Errorf("a second time: %v", err)
	}
	if after, err := os.ReadFile(born.RootKey); err != nil || string(after) != string(before) {
		t.Error("the root key was replaced")
	}
	if _, err := enrol.Init(enrol.Domain{Setup: setup(t.TempDir()), Name: "Example.org", Hub: "a"}); fault.KindOf(err) != fault.Invalid {
		t.Errorf("a bad name: %v", err)
	}
}

// The same on the fake directory and on a real one.
func TestJoinSite(t *testing.T) {
	t.Parallel()
	running, _ := realInvitations(t)
	for name, kept := range map[string]enrol.Invitations{"fake": &invitations{}, "real": running} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := birth(t)
			h = serve(t, h.state, kept)
			token := h.token(t, identity.Site, "london")
			joined, err := enrolment.Join(t.Context(), token)
			if err != nil {
				t.Fatal(err)
			}
			if joined.Credentials.Node != token.Node || joined.Issuing != nil || len(joined.Directory) != 0 {
				t.Errorf("joined %+v", joined)
			}
			if e := h.audit.last(t); e.What != "join mss://example.org/site/london" || e.Refused != "" {
				t.Errorf("audit record %+v", e)
			}
			_, err = enrolment.Join(t.Context(), token)
			wantRefused(t, h, err, fault.Denied, "unknown, spent or expired")
		})
	}
}

func TestJoinHub(t *testing.T) {
	t.Parallel()
	a := birth(t)
	token, err := a.token(t, identity.Hub, "b").Text()
	if err != nil {
		t.Fatal(err)
	}
	state := t.TempDir()
	node, err := enrol.JoinHub(t.Context(), token, setup(state))
	if err != nil || node.URI() != "mss://example.org/hub/b" {
		t.Fatalf("%v, %v", node, err)
	}
	got, _, err := configfile.Load[config.Config](setup(state).Config)
	if err != nil || got.Hub != "b" || len(got.Directory.Endpoints) != 1 || got.Directory.Endpoints[0] != "192.0.2.7:2379" {
		t.Errorf("configuration %+v, %v", got, err)
	}
	if _, err := os.Stat(filepath.Join(state, identity.Folder, identity.RootFile)); err == nil {
		t.Error("the root key went along")
	}
	// The new hub lets sites in, and renews what the old one issued.
	b := serve(t, state, &invitations{})
	if _, err := enrolment.Join(t.Context(), b.token(t, identity.Site, "paris")); err != nil {
		t.Errorf("a site at b: %v", err)
	}
	old, err := enrolment.Join(t.Context(), a.token(t, identity.Site, "london"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := enrolment.Renew(t.Context(), identity.NewSource(old.Credentials), b.trust, []identity.HubAddress{b.address}); err != nil {
		t.Errorf("renewing at b what a issued: %v", err)
	}
	// It has no root key, and so no hub joins there; the token stays good.
	third := b.token(t, identity.Hub, "c")
	_, err = enrolment.Join(t.Context(), third)
	wantRefused(t, b, err, fault.Unavailable, "root key")
	if len(b.invitations.(*invitations).kept) != 1 {
		t.Error("the token was spent for nothing")
	}
	if _, err := enrol.JoinHub(t.Context(), token, setup(state)); fault.KindOf(err) != fault.Exists {
		t.Errorf("joining where there is an identity: %v", err)
	}
	site, err := a.token(t, identity.Site, "paris").Text()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := enrol.JoinHub(t.Context(), site, setup(t.TempDir())); fault.KindOf(err) != fault.Invalid {
		t.Errorf("a site's token: %v", err)
	}
}

// A token is for one name in one role.
func TestJoinAsSomebodyElse(t *testing.T) {
	t.Parallel()
	h := birth(t)
	for name, change := range map[string]func(n *identity.Node){
		"name": func(n *identity.Node) { n.ID = "paris" },
		"role": func(n *identity.Node) { n.Role = identity.Hub },
	} {
		token := h.token(t, identity.Site, "london")
		good := token.Node
		change(&token.Node)
		_, err := enrolment.Join(t.Context(), token)
		wantRefused(t, h, err, fault.Denied, "for another node")
		token.Node = good
		if _, err := enrolment.Join(t.Context(), token); err != nil {
			t.Errorf("%s: the right node afterwards: %v", name, err)
		}
	}
	token := h.token(t, identity.Site, "london")
	token.Node.Role = identity.Operator
	_, err := enrolment.Join(t.Context(), token)
	wantRefused(t, h, err, fault.Denied, "only hubs and sites")
	if _, err := enrol.NewToken(t.Context(), h.invitations, identity.Node{Domain: "example.org", Role: identity.Operator, ID: "bob"}, []identity.HubAddress{h.address}, h.authorities.Issuing(), "alice"); err == nil {
		t.Error("a token for an operator")
	}
}

// A node of another domain is told so, and the token that it had got hold of is still good for whom it was made for.
func TestJoinOfAnotherDomain(t *testing.T) {
	t.Parallel()
	h := birth(t)
	token := h.token(t, identity.Site, "london")
	conn, err := grpc.NewClient("passthrough:///"+h.address.Address, grpc.WithTransportCredentials(credentials.NewTLS(identity.JoinTLS(token, h.address))))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	key, err := identity.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	request, err := identity.NewRequest(key, identity.Node{Domain: "example.com", Role: identity.Site, ID: "london"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = tmssv1.NewEnrolmentClient(conn).Join(t.Context(), &tmssv1.JoinRequest{Secret: token.Secret(), Request: request})
	wantRefused(t, h, faultgrpc.Error("join", err), fault.Denied, "this is a hub of example.org")
	if _, err := enrolment.Join(t.Context(), token); err != nil {
		t.Errorf("the right node afterwards: %v", err)
	}
}

func TestJoinExpired(t *testing.T) {
	t.Parallel()
	h := birth(t)
	token := h.token(t, identity.Site, "london")
	kept := h.invitations.(*invitations).kept
	kept[token.Hash()] = discovery.Invitation{Node: token.Node.URI(), Expires: time.Now().Add(-time.Second)}
	_, err := enrolment.Join(t.Context(), token)
	wantRefused(t, h, err, fault.Denied, "expired")
}

// Without quorum nobody joins, and hears so in time; renewing goes on.
func TestNoQuorum(t *testing.T) {
	t.Parallel()
	kept, member := realInvitations(t)
	h := birth(t)
	h = serve(t, h.state, kept)
	joined, err := enrolment.Join(t.Context(), h.token(t, identity.Site, "london"))
	if err != nil {
		t.Fatal(err)
	}
	token := h.token(t, identity.Site, "paris")
	member.Kill(t)
	begin := time.Now()
	_, err = enrolment.Join(t.Context(), token)
	wantRefused(t, h, err, fault.Unavailable, "no quorum")
	if took := time.Since(begin); took > 3*time.Second {
		t.Errorf("after %v", took)
	}
	if _, err := enrolment.Renew(t.Context(), identity.NewSource(joined.Credentials), h.trust, []identity.HubAddress{h.address}); err != nil {
		t.Errorf("renewing: %v", err)
	}
}

// What cannot be recorded is not done.
func TestAuditFails(t *testing.T) {
	t.Parallel()
	h := birth(t)
	h.audit.full = true
	if joined, err := enrolment.Join(t.Context(), h.token(t, identity.Site, "london")); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("joined %v, %v", joined, err)
	}
}

func TestRenew(t *testing.T) {
	t.Parallel()
	h := birth(t)
	hubs := []identity.HubAddress{h.address}
	// Hub a was born a moment ago: its certificates are no older than that, and so are those of its nodes. What is
	// expired is proved in pkg/identity.
	source := h.made(t, "london", 0)
	fresh, err := enrolment.Renew(t.Context(), source, h.trust, hubs)
	if err != nil || fresh.Node != source.Current().Node {
		t.Fatalf("%v", err)
	}
	if e := h.audit.last(t); e.Who != "mss://example.org/site/london" || e.Refused != "" {
		t.Errorf("audit record %+v", e)
	}
	// Nobody gets the certificate of somebody else.
	impostor := *source.Current()
	impostor.Node.ID = "paris"
	_, err = enrolment.Renew(t.Context(), identity.NewSource(&impostor), h.trust, hubs)
	wantRefused(t, h, err, fault.Denied, "asks for the certificate of mss://example.org/site/paris")
	h.trust.SetRevoked(identity.RevocationList{{Node: "mss://example.org/site/london", Before: time.Now().Add(time.Minute), Reason: "stolen"}})
	if _, err := enrolment.Renew(t.Context(), source, identity.NewTrust("example.org", source.Current().Root), hubs); err == nil {
		t.Error("a revoked node renewed")
	}
}

// On a connection without a certificate there is nothing to renew.
func TestRenewWithoutCertificate(t *testing.T) {
	t.Parallel()
	h := birth(t)
	token := h.token(t, identity.Site, "london")
	conn, err := grpc.NewClient("passthrough:///"+h.address.Address, grpc.WithTransportCredentials(credentials.NewTLS(identity.JoinTLS(token, h.address))))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, err = tmssv1.NewEnrolmentClient(conn).Renew(t.Context(), &tmssv1.RenewRequest{})
	wantRefused(t, h, faultgrpc.Error("renew", err), fault.Unauthenticated, "join with a token")
	for _, request := range []*tmssv1.JoinRequest{{}, {Secret: []byte("x"), Request: []byte("y")}} {
		_, err = tmssv1.NewEnrolmentClient(conn).Join(t.Context(), request)
		wantRefused(t, h, faultgrpc.Error("join", err), fault.Invalid, "certificate request")
	}
}

// A hub renews itself, without anybody.
func TestSelfIssue(t *testing.T) {
	t.Parallel()
	h := birth(t)
	own := h.source.Current()
	fresh, err := h.authorities.SelfIssue(own.Node)(context.Background())
	if err != nil || fresh.Node != own.Node || fresh.Leaf().Equal(own.Leaf()) {
		t.Fatal(err)
	}
	h.source.Set(fresh)
	config := identity.ClientTLS(h.source, h.trust, own.Node)
	config.NextProtos = []string{"h2"}
	conn, err := tls.Dial("tcp", h.address.Address, config)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Read(make([]byte, 1)); err != nil { // the server's settings: it took us
		t.Error(err)
	}
}

func TestOperator(t *testing.T) {
	t.Parallel()
	h := birth(t)
	bob, err := h.authorities.Operator("bob")
	if err != nil || bob.Node.URI() != "mss://example.org/operator/bob" {
		t.Fatal(err)
	}
	fresh, err := enrolment.Renew(t.Context(), identity.NewSource(bob), h.trust, []identity.HubAddress{h.address})
	if err != nil || fresh.Node != bob.Node {
		t.Errorf("renewed: %v", err)
	}
	if _, err := h.authorities.Operator("Bob Smith"); fault.KindOf(err) != fault.Invalid {
		t.Errorf("a bad name: %v", err)
	}
}

// Somebody who took the hub's node certificate for a root, or another domain's root, is told.
func TestLoadAuthorities(t *testing.T) {
	t.Parallel()
	h := birth(t)
	dir := filepath.Join(h.state, identity.Folder)
	foreign := birth(t)
	text, err := os.ReadFile(filepath.Join(foreign.state, identity.Folder, identity.RootFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, identity.RootFile), text, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = enrolment.Join(t.Context(), h.token(t, identity.Hub, "b"))
	wantRefused(t, h, err, fault.Invalid, "not the root of this hub's domain")
	if err := os.WriteFile(filepath.Join(dir, identity.IssuingFile), text, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := enrol.LoadAuthorities(dir); fault.KindOf(err) != fault.Invalid {
		t.Errorf("a root as issuing authority: %v", err)
	}
}
