package enrol_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/identity"
	"github.com/mss-federation/mss/pkg/identity/identitytest"
	tmssv1 "github.com/mss-federation/mss/proto/mss/tmss/v1"
	"github.com/mss-federation/mss/tmss/directory/directorytest"
	"github.com/mss-federation/mss/tmss/discovery"
	"github.com/mss-federation/mss/tmss/enrol"
)

func TestMain(m *testing.M) { directorytest.Main(m) }

// invitations are a directory in memory. refuse makes all calls fail.
type invitations struct {
	mu     sync.Mutex
	kept   map[string]discovery.Invitation
	refuse error
}

func (i *invitations) Invite(_ context.Context, hash string, invitation discovery.Invitation) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.refuse != nil {
		return i.refuse
	}
	if i.kept == nil {
		i.kept = map[string]discovery.Invitation{}
	}
	i.kept[hash] = invitation
	return nil
}

func (i *invitations) Spend(_ context.Context, hash string, admit func(discovery.Invitation) error) (discovery.Invitation, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.refuse != nil {
		return discovery.Invitation{}, i.refuse
	}
	got, ok := i.kept[hash]
	if !ok {
		return got, fault.New("spend token", fault.NotFound, "", "")
	}
	if err := admit(got); err != nil {
		return got, err
	}
	delete(i.kept, hash)
	return got, nil
}

// audit keeps records in memory; full makes it fail.
type audit struct {
	mu      sync.Mutex
	entries []enrol.Entry
	full    bool
}

func (a *audit) Audit(_ context.Context, e enrol.Entry) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.full {
		return errors.New("disk full")
	}
	a.entries = append(a.entries, e)
	return nil
}

// last is the newest record.
func (a *audit) last(t *testing.T) enrol.Entry {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.entries) == 0 {
		t.Fatal("no audit record")
	}
	return a.entries[len(a.entries)-1]
}

// hub is one hub that serves enrolment.
type hub struct {
	invitations enrol.Invitations
	audit       *audit
	authorities *enrol.Authorities
	source      *identity.Source
	trust       *identity.Trust
	address     identity.HubAddress
	state       string
}

// birth makes a domain with hub a.
func birth(t *testing.T) *hub {
	t.Helper()
	state := t.TempDir()
	_, err := enrol.Init(enrol.Domain{Setup: setup(state), Name: "example.org", Hub: "a", Operator: "alice"})
	if err != nil {
		t.Fatal(err)
	}
	return serve(t, state, &invitations{})
}

func setup(state string) enrol.Setup {
	return enrol.Setup{
		StateDir: state, Config: filepath.Join(state, "etc", "tmss.yaml"),
		TLS: netip.MustParseAddrPort("192.0.2.7:5061"), GRPC: netip.MustParseAddrPort("192.0.2.7:5443"),
	}
}

// serve runs the hub of a state directory.
func serve(t *testing.T, state string, invitations enrol.Invitations) *hub {
	t.Helper()
	dir := filepath.Join(state, identity.Folder)
	own, err := identity.LoadCredentials(filepath.Join(dir, identity.NodeFile))
	if err != nil {
		t.Fatal(err)
	}
	authorities, err := enrol.LoadAuthorities(dir)
	if err != nil {
		t.Fatal(err)
	}
	h := &hub{
		invitations: invitations, audit: &audit{}, authorities: authorities, state: state,
		source: identity.NewSource(own), trust: identity.NewTrust(own.Node.Domain, own.Root),
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.Creds(credentials.NewTLS(identity.HubTLS(h.source, h.trust))))
	tmssv1.RegisterEnrolmentServer(server, enrol.NewService(enrol.Options{
		Authorities: authorities, Trust: h.trust, Invitations: invitations, Auditor: h.audit,
		Directory: []string{"192.0.2.7:2379"}, Logger: slog.New(slog.DiscardHandler),
	}))
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	h.address = identity.HubAddress{Hub: own.Node.ID, Address: listener.Addr().String()}
	return h
}

// token makes one on this hub.
func (h *hub) token(t *testing.T, role identity.Role, id string) *identity.Token {
	t.Helper()
	node := identity.Node{Domain: "example.org", Role: role, ID: id}
	text, err := enrol.NewToken(t.Context(), h.invitations, node, []identity.HubAddress{h.address}, h.authorities.Issuing(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	token, err := identity.ParseToken(text)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// realInvitations are those of a directory that runs.
func realInvitations(t *testing.T) (enrol.Invitations, *directorytest.Member) {
	t.Helper()
	m := directorytest.Start(t, identitytest.NewDomain(t, "example.org"))
	d, err := discovery.New(discovery.Options{Domain: "example.org", Client: m.Client(t), Cache: filepath.Join(t.TempDir(), "directory.json")})
	if err != nil {
		t.Fatal(err)
	}
	return d, m
}

func wantRefused(t *testing.T, h *hub, err error, kind fault.Kind, text string) {
	t.Helper()
	if err == nil || fault.KindOf(err) != kind || !strings.Contains(err.Error(), text) {
		t.Errorf("got %v, want %v with %q", err, kind, text)
	}
	if e := h.audit.last(t); !strings.Contains(e.Refused, text) || e.Who == "" {
		t.Errorf("audit record %+v", e)
	}
}

// made are credentials of a site, as if issued so long ago.
func (h *hub) made(t *testing.T, id string, age time.Duration) *identity.Source {
	t.Helper()
	key, err := identity.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	chain, err := h.authorities.Issuing().Issue(key.Public(), identity.Node{Domain: "example.org", Role: identity.Site, ID: id}, time.Now().Add(-age))
	if err != nil {
		t.Fatal(err)
	}
	return identity.NewSource(&identity.Credentials{Node: identity.Node{Domain: "example.org", Role: identity.Site, ID: id}, Key: key, Chain: chain, Root: h.authorities.Issuing().Root()})
}
