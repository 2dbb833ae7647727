package adminapi

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/identity"
	"github.com/mss-federation/mss/pkg/identity/identitytest"
	commonv1 "github.com/mss-federation/mss/proto/mss/common/v1"
)

const method = commonv1.Peers_ListPeers_FullMethodName

// peers answers with one peer.
type peers struct {
	commonv1.UnimplementedPeersServer
	list func(context.Context) string
}

func (p *peers) ListPeers(_ *commonv1.ListPeersRequest, stream grpc.ServerStreamingServer[commonv1.ListPeersResponse]) error {
	return stream.Send(&commonv1.ListPeersResponse{Peer: &commonv1.Peer{Node: p.list(stream.Context())}})
}

// A service that nobody thought of is noticed.
func TestMethodWithoutRule(t *testing.T) {
	t.Parallel()
	defer func() {
		if text, _ := recover().(string); !strings.Contains(text, method) {
			t.Errorf("New did not name %s: %q", method, text)
		}
	}()
	New(Options{Logger: slog.New(slog.DiscardHandler), Register: func(r grpc.ServiceRegistrar) { commonv1.RegisterPeersServer(r, &peers{}) }})
}

func TestAuthorize(t *testing.T) {
	t.Parallel()
	from := func(c Caller) context.Context {
		return peer.NewContext(context.Background(), &peer.Peer{AuthInfo: c})
	}
	own, stranger := Caller{UID: os.Geteuid()}, Caller{UID: os.Geteuid() + 1}
	operator := Caller{Node: identity.Node{Domain: "example.org", Role: identity.Operator, ID: "ann"}}
	site := Caller{Node: identity.Node{Domain: "example.org", Role: identity.Site, ID: "london"}}
	rules := Rules{method: {Roles: []identity.Role{identity.Operator}}, "/open": {Open: true}, "/socket": {}}
	for name, c := range map[string]struct {
		ctx    context.Context
		method string
		want   fault.Kind
	}{
		"stranger":                {from(stranger), method, fault.Denied},
		"no credentials":          {context.Background(), method, fault.Unauthenticated},
		"no certificate":          {peer.NewContext(context.Background(), &peer.Peer{AuthInfo: credentials.TLSInfo{}}), method, fault.Unauthenticated},
		"no rule":                 {from(own), "/mss.lmss.v1.Node/Destroy", fault.Denied},
		"no rule for an operator": {from(operator), "/mss.lmss.v1.Node/Destroy", fault.Denied},
		"wrong role":              {from(site), method, fault.Denied},
		"only on the socket":      {from(operator), "/socket", fault.Denied},
	} {
		if _, err := rules.Authorize(c.ctx, c.method); err == nil || fault.KindOf(err) != c.want {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	for name, ctx := range map[string]context.Context{"own user": from(own), "root": from(Caller{UID: 0}), "operator": from(operator)} {
		if _, err := rules.Authorize(ctx, method); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := rules.Authorize(context.Background(), "/open"); err != nil {
		t.Errorf("open: %v", err)
	}
}

// serve runs a server on the socket until the test ends.
func serve(t *testing.T, options Options, list func(context.Context) string) (address string) {
	t.Helper()
	folder, err := os.MkdirTemp("", "mss")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	listener, err := Listen(filepath.Join(folder, "admin.sock"))
	if err != nil {
		t.Fatal(err)
	}
	options.Logger = slog.New(slog.DiscardHandler)
	options.Rules = Rules{method: {Roles: []identity.Role{identity.Operator}}}
	options.Register = func(r grpc.ServiceRegistrar) { commonv1.RegisterPeersServer(r, &peers{list: list}) }
	server := New(options)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx, listener) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return "unix:" + listener.Addr().String()
}

func list(t *testing.T, address string, creds credentials.TransportCredentials) (string, error) {
	t.Helper()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(creds))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	stream, err := commonv1.NewPeersClient(conn).ListPeers(t.Context(), &commonv1.ListPeersRequest{})
	if err != nil {
		return "", err
	}
	m, err := stream.Recv()
	return m.GetPeer().GetNode(), err
}

func who(ctx context.Context) string {
	caller, err := CallerOf(ctx)
	if err != nil {
		return err.Error()
	}
	return caller.String()
}

// The kernel names the caller on the socket, the certificate elsewhere; a role that may not is refused.
func TestCallersOverRealConnections(t *testing.T) {
	t.Parallel()
	if got, err := list(t, serve(t, Options{}, who), insecure.NewCredentials()); err != nil || !strings.Contains(got, "uid ") {
		t.Errorf("on the socket: %q, %v", got, err)
	}
	d := identitytest.NewDomain(t, "example.org")
	hub := d.Node(identity.Hub, "a")
	creds := credentials.NewTLS(identity.HubTLS(d.Source(t, identity.Hub, "a"), d.Trust))
	address := serve(t, Options{TLS: creds}, who)
	as := func(role identity.Role, id string) credentials.TransportCredentials {
		return credentials.NewTLS(identity.ClientTLS(d.Source(t, role, id), d.Trust, hub))
	}
	if got, err := list(t, address, as(identity.Operator, "ann")); err != nil || got != "mss://example.org/operator/ann" {
		t.Errorf("operator: %q, %v", got, err)
	}
	if _, err := list(t, address, as(identity.Site, "london")); status.Code(err) != codes.PermissionDenied {
		t.Errorf("site: %v", err)
	}
}

// A request that panics ends alone.
func TestPanicEndsItsRequestAlone(t *testing.T) {
	t.Parallel()
	address := serve(t, Options{}, func(context.Context) string { panic("at the disco") })
	for range 2 {
		if _, err := list(t, address, insecure.NewCredentials()); status.Code(err) != codes.Internal {
			t.Errorf("got %v", err)
		}
	}
}
