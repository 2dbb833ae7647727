package uplink_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/mss-federation/mss/lmss/uplink"
	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/fault/faultgrpc"
	"github.com/mss-federation/mss/pkg/identity"
	"github.com/mss-federation/mss/pkg/identity/identitytest"
	"github.com/mss-federation/mss/pkg/siptransport"
	tmssv1 "github.com/mss-federation/mss/proto/mss/tmss/v1"
)

// registry is a hub that lets each token in once.
type registry struct {
	tmssv1.UnimplementedEnrolmentServer
	domain *identitytest.Domain
	joins  atomic.Int32
}

func (r *registry) Join(_ context.Context, request *tmssv1.JoinRequest) (*tmssv1.JoinResponse, error) {
	if r.joins.Add(1) > 1 {
		return nil, faultgrpc.Status(fault.New("join", fault.Denied, "token", "it was spent"))
	}
	public, node, err := identity.ParseRequest(request.GetRequest())
	if err != nil {
		return nil, err
	}
	chain, err := r.domain.Issuer.Issue(public, node, time.Now())
	if err != nil {
		return nil, err
	}
	return &tmssv1.JoinResponse{Chain: [][]byte{chain[0].Raw, chain[1].Raw}}, nil
}

func (r *registry) Renew(_ context.Context, request *tmssv1.RenewRequest) (*tmssv1.RenewResponse, error) {
	public, node, err := identity.ParseRequest(request.GetRequest())
	if err != nil {
		return nil, err
	}
	chain, err := r.domain.Issuer.Issue(public, node, time.Now())
	if err != nil {
		return nil, err
	}
	return &tmssv1.RenewResponse{Chain: [][]byte{chain[0].Raw, chain[1].Raw}}, nil
}

func (r *registry) start(t *testing.T) identity.HubAddress {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.Creds(credentials.NewTLS(identity.HubTLS(r.domain.Source(t, identity.Hub, "a"), r.domain.Trust))))
	tmssv1.RegisterEnrolmentServer(server, r)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-served; err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			t.Error(err)
		}
	})
	return identity.HubAddress{Hub: "a", Address: listener.Addr().String()}
}

func tokenFor(t *testing.T, d *identitytest.Domain, role identity.Role, id string, hub identity.HubAddress) string {
	t.Helper()
	token, err := identity.NewToken(d.Node(role, id), d.Root.Certificate(), hub)
	if err != nil {
		t.Fatal(err)
	}
	text, err := token.Text()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestJoin(t *testing.T) {
	t.Parallel()
	d := identitytest.NewDomain(t, "example.org")
	r := &registry{domain: d}
	hub := r.start(t)
	text := tokenFor(t, d, identity.Site, "london", hub)
	state := t.TempDir()
	home := uplink.HomeIn(state)
	if _, err := home.Credentials(); fault.KindOf(err) != fault.NotFound {
		t.Fatalf("before joining: %v", err)
	}
	if _, err := uplink.Join(t.Context(), home, d.Node(identity.Site, "london"), text); err != nil {
		t.Fatal(err)
	}
	kept, err := home.Credentials()
	if err != nil {
		t.Fatal(err)
	}
	if kept.Node != d.Node(identity.Site, "london") {
		t.Errorf("joined as %s", kept.Node)
	}
	files, err := filepath.Glob(filepath.Join(state, "identity", "*"))
	if err != nil || len(files) != 2 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", file, info.Mode())
		}
	}
	list, err := os.ReadFile(filepath.Join(state, "identity", "hubs.json"))
	if err != nil || !strings.Contains(string(list), hub.Address) {
		t.Errorf("%s %v", list, err)
	}
	_, err = uplink.Join(t.Context(), home, d.Node(identity.Site, "london"), text)
	wantAll(t, err, "hub a at "+hub.Address, "spent once", "mssctl site token london")
}

func TestJoinRefusals(t *testing.T) {
	t.Parallel()
	d, other := identitytest.NewDomain(t, "example.org"), identitytest.NewDomain(t, "example.net")
	r := &registry{domain: d}
	hub := r.start(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := identity.HubAddress{Hub: "a", Address: listener.Addr().String()}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	self := d.Node(identity.Site, "london")
	for name, test := range map[string]struct {
		text string
		want []string
	}{
		"damaged":        {"mss1-abc", []string{"copy all of it"}},
		"for a hub":      {tokenFor(t, d, identity.Hub, "b", hub), []string{"tmss join", "mssctl site token london"}},
		"another site":   {tokenFor(t, d, identity.Site, "paris", hub), []string{"site paris", "site: london", "mssctl site token london"}},
		"another domain": {tokenFor(t, other, identity.Site, "london", hub), []string{"example.net", "domain: example.org"}},
		"no hub there":   {tokenFor(t, d, identity.Site, "london", nobody), []string{"hub a at " + nobody.Address, "check that the hub runs there"}},
		"an impostor":    {tokenFor(t, identitytest.NewDomain(t, "example.org"), identity.Site, "london", hub), []string{"hub a at " + hub.Address}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			home := uplink.HomeIn(t.TempDir())
			_, err := uplink.Join(t.Context(), home, self, test.text)
			wantAll(t, err, test.want...)
			if _, err := home.Credentials(); fault.KindOf(err) != fault.NotFound {
				t.Errorf("something was kept: %v", err)
			}
		})
	}
	t.Cleanup(func() {
		if n := r.joins.Load(); n != 0 {
			t.Errorf("%d secrets were sent", n)
		}
	})
}

// TestJoinWithoutPlace wants the token unspent when there is nowhere to keep what it brings.
func TestJoinWithoutPlace(t *testing.T) {
	t.Parallel()
	d := identitytest.NewDomain(t, "example.org")
	r := &registry{domain: d}
	text := tokenFor(t, d, identity.Site, "london", r.start(t))
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := uplink.Join(t.Context(), uplink.HomeIn(file), d.Node(identity.Site, "london"), text)
	wantAll(t, err, file)
	if r.joins.Load() != 0 {
		t.Error("the token was spent")
	}
}

func wantAll(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not in: %v", part, err)
		}
	}
}

// TestRenewal lets a site come back whose certificate expired while it was off.
func TestRenewal(t *testing.T) {
	t.Parallel()
	d := identitytest.NewDomain(t, "example.org")
	r := &registry{domain: d}
	home := uplink.HomeIn(t.TempDir())
	self := d.Node(identity.Site, "london")
	if _, err := uplink.Join(t.Context(), home, self, tokenFor(t, d, identity.Site, "london", r.start(t))); err != nil {
		t.Fatal(err)
	}
	old := d.CredentialsAt(t, identity.Site, "london", time.Now().Add(-25*time.Hour))
	u, err := uplink.New(uplink.Options{Site: "london", Domain: "example.org", Home: home, Credentials: old})
	if err != nil {
		t.Fatal(err)
	}
	u.Links().Attach(siptransport.New(siptransport.Options{Receiver: deaf{}}))
	if err := old.Save(filepath.Join(string(home), identity.NodeFile)); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- u.Run(ctx) }()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(10 * time.Second); ; <-tick.C {
		kept, err := home.Credentials()
		if err != nil {
			t.Fatal(err)
		}
		if kept.Leaf().NotAfter.After(time.Now()) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("not renewed")
		}
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
