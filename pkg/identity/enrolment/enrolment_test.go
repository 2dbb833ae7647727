package enrolment_test

import (
	"bytes"
	"context"
	"net"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/fault/faultgrpc"
	"github.com/mss-federation/mss/pkg/identity"
	"github.com/mss-federation/mss/pkg/identity/enrolment"
	"github.com/mss-federation/mss/pkg/identity/identitytest"
	tmssv1 "github.com/mss-federation/mss/proto/mss/tmss/v1"
)

// hub answers as one that believes everybody, unless refuse is set.
type hub struct {
	tmssv1.UnimplementedEnrolmentServer
	domain  *identitytest.Domain
	as      func(identity.Node) identity.Node // who the certificate is for
	refuse  error
	secrets chan []byte
}

// start serves and gives the address.
func (h *hub) start(t *testing.T, id string) identity.HubAddress {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h.secrets = make(chan []byte, 8)
	server := grpc.NewServer(grpc.Creds(credentials.NewTLS(identity.HubTLS(h.domain.Source(t, identity.Hub, id), h.domain.Trust))))
	tmssv1.RegisterEnrolmentServer(server, h)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return identity.HubAddress{Hub: id, Address: listener.Addr().String()}
}

func (h *hub) issue(request []byte) ([][]byte, error) {
	public, node, err := identity.ParseRequest(request)
	if err != nil {
		return nil, err
	}
	if h.as != nil {
		node = h.as(node)
	}
	chain, err := h.domain.Issuer.Issue(public, node, time.Now())
	if err != nil {
		return nil, err
	}
	return [][]byte{chain[0].Raw, chain[1].Raw}, nil
}

func (h *hub) Join(_ context.Context, r *tmssv1.JoinRequest) (*tmssv1.JoinResponse, error) {
	h.secrets <- r.GetSecret()
	if h.refuse != nil {
		return nil, faultgrpc.Status(h.refuse)
	}
	chain, err := h.issue(r.GetRequest())
	response := &tmssv1.JoinResponse{Chain: chain}
	if len(r.GetIssuingRequest()) > 0 {
		public, node, err := identity.ParseRequest(r.GetIssuingRequest())
		if err != nil {
			return nil, err
		}
		certificate, err := h.domain.Root.Authorize(public, node, time.Now())
		if err != nil {
			return nil, err
		}
		response.Issuing = certificate.Raw
	}
	return response, err
}

func (h *hub) Renew(ctx context.Context, r *tmssv1.RenewRequest) (*tmssv1.RenewResponse, error) {
	p, _ := peer.FromContext(ctx)
	if _, err := identity.RenewingNode(h.domain.Trust, p.AuthInfo.(credentials.TLSInfo).State, time.Now()); err != nil {
		return nil, faultgrpc.Status(err)
	}
	if h.refuse != nil {
		return nil, faultgrpc.Status(h.refuse)
	}
	chain, err := h.issue(r.GetRequest())
	return &tmssv1.RenewResponse{Chain: chain}, err
}

func token(t *testing.T, d *identitytest.Domain, role identity.Role, id string, hubs ...identity.HubAddress) *identity.Token {
	t.Helper()
	made, err := identity.NewToken(d.Node(role, id), d.Root.Certificate(), hubs...)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// nobody is an address where no one answers.
func nobody(t *testing.T) identity.HubAddress {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return identity.HubAddress{Hub: "gone", Address: listener.Addr().String()}
}

func TestJoinAsSite(t *testing.T) {
	t.Parallel()
	d := identitytest.NewDomain(t, "example.org")
	h := &hub{domain: d}
	a := h.start(t, "a")
	joined, err := enrolment.Join(t.Context(), token(t, d, identity.Site, "london", nobody(t), a))
	if err != nil {
		t.Fatal(err)
	}
	if joined.Credentials.Node != d.Node(identity.Site, "london") || joined.Issuing != nil {
		t.Errorf("joined as %v", joined.Credentials.Node)
	}
}

func TestJoinAsHub(t *testing.T) {
	t.Parallel()
	d := identitytest.NewDomain(t, "example.org")
	h := &hub{domain: d}
	joined, err := enrolment.Join(t.Context(), token(t, d, identity.Hub, "b", h.start(t, "a")))
	if err != nil {
		t.Fatal(err)
	}
	key, err := identity.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := joined.Issuing.Issue(key.Public(), d.Node(identity.Site, "london"), time.Now()); err != nil {
		t.Errorf("the new hub cannot issue: %v", err)
	}
}

// The secret goes to nobody who cannot prove to be the hub, under the root in the token.
func TestSecretStaysHome(t *testing.T) {
	t.Parallel()
	d, impostor := identitytest.NewDomain(t, "example.org"), identitytest.NewDomain(t, "example.org")
	foreign, renamed := &hub{domain: impostor}, &hub{domain: d}
	a, b := foreign.start(t, "a"), renamed.start(t, "b")
	b.Hub = "c"
	if _, err := enrolment.Join(t.Context(), token(t, d, identity.Site, "london", a, b)); err == nil {
		t.Fatal("joined at an impostor")
	}
	if len(foreign.secrets)+len(renamed.secrets) != 0 {
		t.Error("the secret was sent")
	}
}

// A refused token is not carried to the next hub; a hub that cannot answer is passed over.
func TestJoinAsksOn(t *testing.T) {
	t.Parallel()
	d := identitytest.NewDomain(t, "example.org")
	first, second := &hub{domain: d}, &hub{domain: d}
	a, b := first.start(t, "a"), second.start(t, "b")
	first.refuse = fault.New("join", fault.Denied, "", "spent")
	if _, err := enrolment.Join(t.Context(), token(t, d, identity.Site, "london", a, b)); fault.KindOf(err) != fault.Denied || len(second.secrets) != 0 {
		t.Errorf("refused: %v, %d questions to b", err, len(second.secrets))
	}
	first.refuse = fault.New("join", fault.Unavailable, "", "no quorum")
	if _, err := enrolment.Join(t.Context(), token(t, d, identity.Site, "london", a, b)); err != nil {
		t.Errorf("unavailable: %v", err)
	}
}

// A hub that hands out another identity is not believed.
func TestJoinChecksWhatItGets(t *testing.T) {
	t.Parallel()
	d := identitytest.NewDomain(t, "example.org")
	h := &hub{domain: d, as: func(n identity.Node) identity.Node { n.ID = "paris"; return n }}
	if joined, err := enrolment.Join(t.Context(), token(t, d, identity.Site, "london", h.start(t, "a"))); err == nil {
		t.Errorf("joined as %v", joined.Credentials.Node)
	}
}

func TestRenew(t *testing.T) {
	t.Parallel()
	d := identitytest.NewDomain(t, "example.org")
	first, second := &hub{domain: d, refuse: fault.New("renew", fault.Denied, "", "for a test")}, &hub{domain: d}
	hubs := []identity.HubAddress{nobody(t), first.start(t, "a"), second.start(t, "b")}
	for _, age := range []time.Duration{0, 48 * time.Hour} {
		old := d.CredentialsAt(t, identity.Site, "london", time.Now().Add(-age))
		source := identity.NewSource(old)
		fresh, err := enrolment.Renew(t.Context(), source, d.Trust, hubs)
		if err != nil {
			t.Errorf("%v old: %v", age, err)
			continue
		}
		if fresh.Node != old.Node || !fresh.Leaf().NotAfter.After(time.Now().Add(23*time.Hour)) || bytes.Equal(fresh.Leaf().RawSubjectPublicKeyInfo, old.Leaf().RawSubjectPublicKeyInfo) {
			t.Errorf("renewed as %v until %v", fresh.Node, fresh.Leaf().NotAfter)
		}
	}
	if _, err := enrolment.Renew(t.Context(), d.Source(t, identity.Site, "london"), d.Trust, nil); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("no hubs: %v", err)
	}
}

func TestJoinSite(t *testing.T) {
	t.Parallel()
	d := identitytest.NewDomain(t, "example.org")
	a := (&hub{domain: d}).start(t, "a")
	text := func(role identity.Role) string {
		made, err := token(t, d, role, "london", a).Text()
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	state := t.TempDir()
	got, err := enrolment.JoinSite(t.Context(), text(identity.Site), state)
	if err != nil || got.Node != d.Node(identity.Site, "london") || got.Hubs[0] != a {
		t.Fatalf("%v, %v", got, err)
	}
	stored, err := identity.LoadCredentials(filepath.Join(state, identity.Folder, identity.NodeFile))
	if err != nil || stored.Node != got.Node {
		t.Errorf("stored: %v", err)
	}
	if _, err := enrolment.JoinSite(t.Context(), text(identity.Site), state); fault.KindOf(err) != fault.Exists {
		t.Errorf("joined twice: %v", err)
	}
	if _, err := enrolment.JoinSite(t.Context(), text(identity.Hub), t.TempDir()); fault.KindOf(err) != fault.Invalid {
		t.Errorf("a hub's token: %v", err)
	}
	if _, err := enrolment.JoinSite(t.Context(), "mss1-x", t.TempDir()); fault.KindOf(err) != fault.Invalid {
		t.Errorf("no token: %v", err)
	}
}
