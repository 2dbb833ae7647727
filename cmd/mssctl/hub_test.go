package main

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/fault/faultgrpc"
	"github.com/mss-federation/mss/pkg/identity"
	"github.com/mss-federation/mss/pkg/identity/identitytest"
	commonv1 "github.com/mss-federation/mss/proto/mss/common/v1"
	tmssv1 "github.com/mss-federation/mss/proto/mss/tmss/v1"
)

// hub answers as a hub does.
type hub struct {
	tmssv1.UnimplementedHubsServer
	tmssv1.UnimplementedSitesServer
	tmssv1.UnimplementedRoutesServer
	tmssv1.UnimplementedNodeServer
	tmssv1.UnimplementedTracesServer
	commonv1.UnimplementedPeersServer
}

func newHub(t *testing.T) (socket string) {
	t.Helper()
	return serve(t, func(r grpc.ServiceRegistrar) {
		h := &hub{}
		tmssv1.RegisterHubsServer(r, h)
		tmssv1.RegisterSitesServer(r, h)
		tmssv1.RegisterRoutesServer(r, h)
		tmssv1.RegisterNodeServer(r, h)
		tmssv1.RegisterTracesServer(r, h)
		commonv1.RegisterPeersServer(r, h)
	})
}

func ago(d time.Duration) *timestamppb.Timestamp { return timestamppb.New(start.Add(-d)) }

// stream sends messages.
func stream[T any](to grpc.ServerStreamingServer[T], messages ...*T) error {
	for _, m := range messages {
		if err := to.Send(m); err != nil {
			return err
		}
	}
	return nil
}

func (*hub) ListHubs(_ *tmssv1.ListHubsRequest, to grpc.ServerStreamingServer[tmssv1.ListHubsResponse]) error {
	return stream(to,
		&tmssv1.ListHubsResponse{Hub: &tmssv1.Hub{Id: "a", Grpc: "192.0.2.1:5443", Sip: []string{"tls 192.0.2.1:5061"}, Version: "tmss v1", Self: true}},
		&tmssv1.ListHubsResponse{Hub: &tmssv1.Hub{Id: "b", Grpc: "192.0.2.2:5443", Version: "tmss v1", GoneAt: ago(time.Hour)}})
}

func (*hub) IssueHubToken(context.Context, *tmssv1.IssueHubTokenRequest) (*tmssv1.IssueHubTokenResponse, error) {
	return &tmssv1.IssueHubTokenResponse{Token: "mss1-HUB", ExpiresAt: timestamppb.New(start.Add(10 * time.Minute))}, nil
}

func (*hub) ListSites(req *tmssv1.ListSitesRequest, to grpc.ServerStreamingServer[tmssv1.ListSitesResponse]) error {
	if req.GetName() == "nowhere" {
		return notFound("list sites", req.GetName())
	}
	return stream(to,
		&tmssv1.ListSitesResponse{Site: &tmssv1.Site{Name: "lab", Prefixes: []string{"7xxx"}, Static: "udp 192.0.2.7:5060", Trunk: "alive", Configured: true}},
		&tmssv1.ListSitesResponse{Site: &tmssv1.Site{Name: "london", Prefixes: []string{"4xxx", "+4420"}, Session: "up", Trunk: "alive", Routes: 2}})
}

func (*hub) AddSite(_ context.Context, req *tmssv1.AddSiteRequest) (*tmssv1.AddSiteResponse, error) {
	if req.GetSite().GetName() == "cutoff" {
		return nil, faultgrpc.Status(fault.New("put site", fault.Unavailable, "cutoff", "no quorum: nothing can be changed"))
	}
	return &tmssv1.AddSiteResponse{Site: req.GetSite()}, nil
}

func (*hub) DeleteSite(_ context.Context, req *tmssv1.DeleteSiteRequest) (*tmssv1.DeleteSiteResponse, error) {
	return &tmssv1.DeleteSiteResponse{Site: &tmssv1.Site{Name: req.GetName()}}, nil
}

func (*hub) IssueSiteToken(context.Context, *tmssv1.IssueSiteTokenRequest) (*tmssv1.IssueSiteTokenResponse, error) {
	return &tmssv1.IssueSiteTokenResponse{Token: "mss1-SITE", ExpiresAt: timestamppb.New(start.Add(10 * time.Minute))}, nil
}

func paths() []*tmssv1.Path {
	return []*tmssv1.Path{
		{Prefix: "4xxx", Rank: 1, Neighbour: "site/london", Site: "london", Class: "learned", NextHop: "site/london", Step: "first", Rule: "ownership", Path: []string{"site/london"}, Revision: 3},
		{Prefix: "4xxx", Rank: 2, Neighbour: "hub/a", Site: "london", Class: "null", Step: "class", Rule: "owned by london", Revision: 3},
		{Prefix: "5xxx", Neighbour: "site/london", Site: "london", Class: "learned", NextHop: "site/london", Reason: "not authorised", Rule: "ownership: 5/4 is not among the prefixes of the site london", Stale: true},
		{Prefix: "+4420", Rank: 1, Neighbour: "hub/a", Class: "static", NextHop: "site/london", Rule: "static e4420-site"},
	}
}

func (*hub) ListRoutes(_ *tmssv1.ListRoutesRequest, to grpc.ServerStreamingServer[tmssv1.ListRoutesResponse]) error {
	for _, p := range paths() {
		if err := to.Send(&tmssv1.ListRoutesResponse{Path: p}); err != nil {
			return err
		}
	}
	return nil
}

func (*hub) AddRoute(_ context.Context, req *tmssv1.AddRouteRequest) (*tmssv1.AddRouteResponse, error) {
	return &tmssv1.AddRouteResponse{Route: &tmssv1.StaticRoute{Id: "e4420-" + req.GetRoute().GetVia()[:4], Prefix: req.GetRoute().GetPrefix()}}, nil
}

func (*hub) DeleteRoute(_ context.Context, req *tmssv1.DeleteRouteRequest) (*tmssv1.DeleteRouteResponse, error) {
	return &tmssv1.DeleteRouteResponse{Route: &tmssv1.StaticRoute{Id: req.GetId()}}, nil
}

func (*hub) ExplainRoute(_ context.Context, req *tmssv1.ExplainRouteRequest) (*tmssv1.ExplainRouteResponse, error) {
	if req.GetNumber() == "400" {
		return &tmssv1.ExplainRouteResponse{Number: "400", Outcome: "no route", Misses: []string{"4/4: the number is too short"}}, nil
	}
	return &tmssv1.ExplainRouteResponse{Number: req.GetNumber(), Outcome: "chosen", Candidates: paths()[:2]}, nil
}

// WatchRoutes ends where a real hub's would go on.
func (*hub) WatchRoutes(_ *tmssv1.WatchRoutesRequest, to grpc.ServerStreamingServer[tmssv1.WatchRoutesResponse]) error {
	return stream(to,
		&tmssv1.WatchRoutesResponse{Change: tmssv1.WatchRoutesResponse_CHANGE_PRESENT, Prefix: "4xxx", Paths: paths()[:2], Revision: 3},
		&tmssv1.WatchRoutesResponse{Change: tmssv1.WatchRoutesResponse_CHANGE_SYNCED, Revision: 3},
		&tmssv1.WatchRoutesResponse{Change: tmssv1.WatchRoutesResponse_CHANGE_SET, Prefix: "4xxx", Paths: paths()[1:2], Revision: 4},
		&tmssv1.WatchRoutesResponse{Change: tmssv1.WatchRoutesResponse_CHANGE_GONE, Prefix: "4xxx", Revision: 5})
}

func (*hub) ListPeers(_ *commonv1.ListPeersRequest, to grpc.ServerStreamingServer[commonv1.ListPeersResponse]) error {
	return stream(to,
		&commonv1.ListPeersResponse{Peer: &commonv1.Peer{
			Node: "site/hongkong", Session: commonv1.Session_SESSION_DOWN, Reason: "session ended by neighbour: shutdown", Since: ago(time.Minute), Trunk: "down", Sessions: 2,
		}},
		&commonv1.ListPeersResponse{Peer: &commonv1.Peer{
			Node: "site/london", Session: commonv1.Session_SESSION_UP, Since: ago(time.Hour), Trunk: "alive", TrunkAddress: "tls 192.0.2.9:40000", Breaker: "open",
			RoutesIn: 2, Sessions: 1, Software: "lmss v1",
		}})
}

func (*hub) GetStatus(context.Context, *tmssv1.GetStatusRequest) (*tmssv1.GetStatusResponse, error) {
	return &tmssv1.GetStatusResponse{Status: &tmssv1.Status{
		Hub: "a", Domain: "example.org", Version: "v1", Commit: "abc", Uptime: durationpb.New(time.Minute),
		Processes: []*commonv1.Process{{Name: "hub", Pid: 7}, {Name: "directory"}}, Listeners: []string{"tls 192.0.2.1:5061", "grpc 192.0.2.1:5443"},
		Directory: "live", DirectoryRevision: 9, CertificateExpires: timestamppb.New(start.Add(12 * time.Hour)), Sites: 2, Sessions: 1, Routes: 2, Paths: 3,
		Counters: []*commonv1.Counter{{Name: "requests_forwarded", Value: 4}}, Alarms: []string{"the directory is out of reach"},
	}}, nil
}

func (*hub) TraceCall(req *tmssv1.TraceCallRequest, to grpc.ServerStreamingServer[tmssv1.TraceCallResponse]) error {
	if req.GetId() != "call-1@192.0.2.9" {
		return notFound("trace call", req.GetId())
	}
	return stream(to, &tmssv1.TraceCallResponse{Entry: &commonv1.TraceEntry{
		At: timestamppb.New(start), Transport: "tls", Local: "192.0.2.1:5061", Remote: "192.0.2.9:40000", FlowId: 1, CallId: req.GetId(),
		LocalName: "hub a", RemoteName: "site/london", Message: []byte("INVITE sip:1001@example.org SIP/2.0\r\nCall-ID: call-1@192.0.2.9\r\n\r\n"),
	}})
}

// The transcript is what an operator of a hub sees.
func TestHubTranscript(t *testing.T) {
	t.Parallel()
	transcript(t, "hub-transcript.txt", newHub(t),
		"hub list", "hub token b", "hub token b -o json",
		"site list", "site list nowhere", "site add london --prefix 4xxx --prefix +4420", "site add london", "site add cutoff --prefix 9xxx",
		"site delete london", "site token london",
		"route list", "route list 4 -o yaml", "route add +4420 --via site/london", "route delete e4420-site", "route explain 4001", "route explain 400",
		"route explain 400 -o json", "route watch", "route watch -o json",
		"peer list", "status", "status -o json", "call trace call-1@192.0.2.9", "call trace other",
		"user list", "call list", "cdr list", "site", "route", "peer", "hub nonsense",
	)
}

// A hub's verbs on an office's server say where they belong.
func TestHubVerbsOnASite(t *testing.T) {
	t.Parallel()
	transcript(t, "hub-verbs-on-a-site.txt", newNode(t).socket, "site list", "hub list", "route explain 1001", "route watch")
}

// A hub elsewhere is reached with an operator's certificate, and with nothing less.
func TestHubOverTheNetwork(t *testing.T) {
	t.Parallel()
	d := identitytest.NewDomain(t, "example.org")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.Creds(credentials.NewTLS(identity.HubTLS(d.Source(t, identity.Hub, "a"), d.Trust))))
	tmssv1.RegisterHubsServer(server, &hub{})
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	defer func() {
		server.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	operator := func(c *identity.Credentials) string {
		path := filepath.Join(t.TempDir(), "operator.pem")
		if err := c.Save(path); err != nil {
			t.Fatal(err)
		}
		return path
	}
	// The made-up clock of these tests stands before the certificate was made: that is not what is looked at here.
	good, expired := operator(d.Credentials(t, identity.Operator, "ann")), operator(d.CredentialsAt(t, identity.Operator, "ann", start.Add(-48*time.Hour)))
	stranger := operator(identitytest.NewDomain(t, "example.org").Credentials(t, identity.Operator, "ann"))
	address := listener.Addr().String()
	if r := run(t, map[string]string{operatorVariable: good}, "", "--node", address, "hub", "list"); r.code != 0 || !strings.Contains(r.out, "this one") {
		t.Errorf("an operator: %+v", r)
	}
	for name, c := range map[string]struct {
		args []string
		code int
		want string
	}{
		"no certificate":    {[]string{"--node", address, "hub", "list"}, exitUsage, "--operator FILE"},
		"socket too":        {[]string{"--node", address, "--socket", "x", "hub", "list"}, exitUsage, "exclude each other"},
		"expired":           {[]string{"--node", address, "--operator", expired, "hub", "list"}, exitFailure, "ended at"},
		"of another domain": {[]string{"--node", address, "--operator", stranger, "hub", "list"}, exitUnavailable, "certificate"},
		"no file":           {[]string{"--node", address, "--operator", "/nowhere.pem", "hub", "list"}, exitNotFound, "/nowhere.pem"},
	} {
		if r := run(t, nil, "", c.args...); r.code != c.code || !strings.Contains(fmt.Sprint(r.err), c.want) {
			t.Errorf("%s: %d %v, want %d %q", name, r.code, r.err, c.code, c.want)
		}
	}
}

// The shell is offered what the hub knows.
func TestCompletionAtAHub(t *testing.T) {
	t.Parallel()
	env := map[string]string{socketVariable: newHub(t)}
	for line, want := range map[string]string{
		"site token":          "lab\t7xxx\nlondon\t4xxx +4420\n",
		"peer list":           "site/hongkong\tsession down\nsite/london\tsession up\n",
		"route add 7xx --via": "site/lab\t7xxx\nsite/london\t4xxx +4420\nhub/a\tthis one\nhub/b\t",
		"route delete":        "e4420-site\t+4420\n",
		"node log-level":      "debug\ninfo\nwarn\nerror\n",
		"":                    "audit\t",
		"route":               "add\t",
	} {
		if r := run(t, env, "", append(append([]string{"__complete"}, strings.Fields(line)...), "")...); !strings.HasPrefix(r.out, want) {
			t.Errorf("%q completes to %q, want %q", line, r.out, want)
		}
	}
}
