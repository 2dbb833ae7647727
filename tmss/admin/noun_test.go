package admin

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/mss-federation/mss/pkg/siptransport"
	commonv1 "github.com/mss-federation/mss/proto/mss/common/v1"
	tmssv1 "github.com/mss-federation/mss/proto/mss/tmss/v1"
	"github.com/mss-federation/mss/tmss/discovery"
	"github.com/mss-federation/mss/tmss/peering"
)

// Every method that changes something leaves a record before it does; a new one without a row here fails.
func TestAuditRecord(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	london := &tmssv1.Site{Name: "london", Prefixes: []string{"4xxx", "+4420"}}
	steps := []struct {
		method, what      string
		request, response proto.Message
	}{
		{tmssv1.Sites_AddSite_FullMethodName, "add site london", &tmssv1.AddSiteRequest{Site: london}, &tmssv1.AddSiteResponse{}},
		{tmssv1.Sites_IssueSiteToken_FullMethodName, "make token for site london", &tmssv1.IssueSiteTokenRequest{Name: "london"}, &tmssv1.IssueSiteTokenResponse{}},
		{tmssv1.Hubs_IssueHubToken_FullMethodName, "make token for hub b", &tmssv1.IssueHubTokenRequest{Id: "b"}, &tmssv1.IssueHubTokenResponse{}},
		{
			tmssv1.Routes_AddRoute_FullMethodName, "add route e4420-site-london",
			&tmssv1.AddRouteRequest{Route: &tmssv1.StaticRoute{Prefix: "+4420", Via: "site/london"}}, &tmssv1.AddRouteResponse{},
		},
		{tmssv1.Routes_DeleteRoute_FullMethodName, "delete route e4420-site-london", &tmssv1.DeleteRouteRequest{Id: "e4420-site-london"}, &tmssv1.DeleteRouteResponse{}},
		{commonv1.Logs_SetLogLevel_FullMethodName, "set log level debug", &commonv1.SetLogLevelRequest{Level: "debug"}, &commonv1.SetLogLevelResponse{}},
		{tmssv1.Sites_DeleteSite_FullMethodName, "delete site london", &tmssv1.DeleteSiteRequest{Name: "london"}, &tmssv1.DeleteSiteResponse{}},
	}
	tried := map[string]bool{}
	for i, step := range steps {
		tried[step.method] = true
		if err := h.conn.Invoke(t.Context(), step.method, step.request, step.response, grpc.WaitForReady(true)); err != nil {
			t.Fatalf("%s: %v", step.method, err)
		}
		records := h.audit.all()
		if len(records) != i+1 || records[i].What != step.what || !strings.Contains(records[i].Who, "uid ") {
			t.Fatalf("%s left %+v, want %q", step.method, records, step.what)
		}
		if text := records[i].Before + records[i].After; strings.Contains(text, "token of") {
			t.Errorf("a secret in the record: %s", text)
		}
	}
	for method, rule := range Rules {
		if rule.Writes && !tried[method] {
			t.Errorf("%s changes something and is not tried here", method)
		}
	}
	records := h.audit.all()
	if !strings.Contains(records[0].After, "+4420") || records[0].Before != "" || !strings.Contains(records[6].Before, "4xxx") || records[6].After != "" {
		t.Errorf("before and after: %+v", records)
	}
}

// What could not be recorded is not done, and what was not done is recorded as refused.
func TestChangesThatFail(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	sites := tmssv1.NewSitesClient(h.conn)
	add := &tmssv1.AddSiteRequest{Site: &tmssv1.Site{Name: "london", Prefixes: []string{"4xxx"}}}
	h.directory.err = errNoQuorum
	if _, err := sites.AddSite(t.Context(), add); status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "no quorum") {
		t.Errorf("without quorum: %v", err)
	}
	if len(h.audit.refused) != 1 {
		t.Errorf("refusals %v", h.audit.refused)
	}
	h.directory.err, h.audit.err = nil, errors.New("no space left on device")
	if _, err := sites.AddSite(t.Context(), add); err == nil || len(h.directory.View().Sites) != 0 {
		t.Errorf("without a record: %v, %v", err, h.directory.View().Sites)
	}
}

func TestSites(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	sites := tmssv1.NewSitesClient(h.conn)
	add := func(name string, prefixes ...string) error {
		_, err := sites.AddSite(t.Context(), &tmssv1.AddSiteRequest{Site: &tmssv1.Site{Name: name, Prefixes: prefixes}})
		return err
	}
	if err := add("london", "4xxx"); err != nil {
		t.Fatal(err)
	}
	if err := add("cellar", "44xx"); err != nil {
		t.Errorf("a longer prefix inside a block: %v", err)
	}
	for name, c := range map[string]struct {
		err  error
		want codes.Code
	}{
		"name taken":      {add("london", "5xxx"), codes.AlreadyExists},
		"numbers taken":   {add("paris", "4xxx"), codes.FailedPrecondition},
		"numbers of file": {add("paris", "7xxx"), codes.FailedPrecondition},
		"no numbers":      {add("paris", "4x4"), codes.InvalidArgument},
	} {
		if status.Code(c.err) != c.want {
			t.Errorf("%s: %v, want %v", name, c.err, c.want)
		}
	}
	for _, static := range []string{"udp lab.example.org:5060", "tls 192.0.2.7:5061", "192.0.2.7:5060"} {
		req := &tmssv1.AddSiteRequest{Site: &tmssv1.Site{Name: "paris", Prefixes: []string{"6xxx"}, Static: static}}
		if _, err := sites.AddSite(t.Context(), req); status.Code(err) != codes.InvalidArgument {
			t.Errorf("at %s: %v", static, err)
		}
	}
	h.peers.list = []peering.Peer{{Node: "site/london", Phase: peering.Up, Routes: 3}}
	stream, err := sites.ListSites(t.Context(), &tmssv1.ListSitesRequest{})
	var lines []string
	for _, m := range receive(t, stream, err) {
		s := m.GetSite()
		lines = append(lines, strings.Join([]string{s.GetName(), strings.Join(s.GetPrefixes(), " "), s.GetSession(), s.GetTrunk(), s.GetStatic()}, ","))
	}
	want := "cellar,44xx,down,down,; lab,7xxx,,alive,udp 192.0.2.7:5060; london,4xxx,up,down,"
	if got := strings.Join(lines, "; "); got != want {
		t.Errorf("listed %q, want %q", got, want)
	}
	if _, err := sites.DeleteSite(t.Context(), &tmssv1.DeleteSiteRequest{Name: "lab"}); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("delete what the file has: %v", err)
	}
	if _, err := sites.IssueSiteToken(t.Context(), &tmssv1.IssueSiteTokenRequest{Name: "nowhere"}); status.Code(err) != codes.NotFound {
		t.Errorf("token for nobody: %v", err)
	}
}

func TestHubsAndPeers(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.directory.view.Hubs = []discovery.Hub{
		{ID: "a", GRPC: "192.0.2.1:5443", SIP: map[string]string{"udp": "192.0.2.1:5060", "tls": "192.0.2.1:5061"}},
		{ID: "b", GRPC: "192.0.2.2:5443", Gone: time.Now()},
	}
	h.peers.list = []peering.Peer{{Node: "site/london", Phase: peering.Synchronising, Reason: "before \xff"}}
	hubs := tmssv1.NewHubsClient(h.conn)
	stream, err := hubs.ListHubs(t.Context(), &tmssv1.ListHubsRequest{})
	list := receive(t, stream, err)
	if len(list) != 2 || !list[0].GetHub().GetSelf() || list[0].GetHub().GetSip()[0] != "tls 192.0.2.1:5061" || list[1].GetHub().GetGoneAt() == nil {
		t.Errorf("hubs %v", list)
	}
	if _, err := hubs.IssueHubToken(t.Context(), &tmssv1.IssueHubTokenRequest{Id: "a"}); status.Code(err) != codes.AlreadyExists {
		t.Errorf("token for a hub that is there: %v", err)
	}
	if _, err := hubs.IssueHubToken(t.Context(), &tmssv1.IssueHubTokenRequest{Id: "A b"}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("token for no name: %v", err)
	}
	peers, err := commonv1.NewPeersClient(h.conn).ListPeers(t.Context(), &commonv1.ListPeersRequest{})
	all := receive(t, peers, err)
	if len(all) != 3 || all[1].GetPeer().GetNode() != "site/lab" || all[1].GetPeer().GetTrunk() != "alive" ||
		all[2].GetPeer().GetSession() != commonv1.Session_SESSION_SYNCHRONISING {
		t.Errorf("peers %v", all)
	}
	if hub := all[0].GetPeer(); hub.GetNode() != "hub/b" || hub.GetTrunk() != "down" || hub.GetBreaker() != "" || all[1].GetPeer().GetBreaker() != "open" {
		t.Errorf("peers %v", all)
	}
	if got := all[1].GetPeer().GetTrunkAddress(); got != "udp 192.0.2.7:5060" {
		t.Errorf("trunk address %q", got)
	}
}

func TestRoutes(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	if _, err := tmssv1.NewSitesClient(h.conn).AddSite(t.Context(), &tmssv1.AddSiteRequest{Site: &tmssv1.Site{Name: "london", Prefixes: []string{"4xxx"}}}); err != nil {
		t.Fatal(err)
	}
	h.announce(t, "4xxx")
	h.announce(t, "5xxx")
	routes := tmssv1.NewRoutesClient(h.conn)
	for prefix, want := range map[string]string{
		"":     "4xxx 1 site/london; 4xxx 2 ; 5xxx 0 site/london",
		"4001": "4xxx 1 site/london; 4xxx 2 ", "4xxx": "4xxx 1 site/london; 4xxx 2 ", "5": "5xxx 0 site/london", "+4": "", "40011": "",
	} {
		stream, err := routes.ListRoutes(t.Context(), &tmssv1.ListRoutesRequest{Prefix: prefix})
		var lines []string
		for _, m := range receive(t, stream, err) {
			p := m.GetPath()
			lines = append(lines, p.GetPrefix()+" "+string('0'+rune(p.GetRank()))+" "+p.GetNextHop())
		}
		if got := strings.Join(lines, "; "); got != want {
			t.Errorf("list %q: %q, want %q", prefix, got, want)
		}
	}
	m, err := routes.ExplainRoute(t.Context(), &tmssv1.ExplainRouteRequest{Number: "4001"})
	if err != nil || m.GetOutcome() != "chosen" || m.GetCandidates()[0].GetNextHop() != "site/london" || m.GetCandidates()[0].GetRule() != "ownership" {
		t.Errorf("explain: %v, %v", m, err)
	}
	m, err = routes.ExplainRoute(t.Context(), &tmssv1.ExplainRouteRequest{Number: "400"})
	if err != nil || m.GetOutcome() != "no route" || len(m.GetMisses()) == 0 {
		t.Errorf("explain a short number: %v, %v", m, err)
	}
	for name, c := range map[string]struct {
		route *tmssv1.StaticRoute
		want  codes.Code
	}{
		"nowhere":   {&tmssv1.StaticRoute{Prefix: "5xxx", Via: "site/paris"}, codes.NotFound},
		"no number": {&tmssv1.StaticRoute{Prefix: "x"}, codes.InvalidArgument},
	} {
		if _, err := routes.AddRoute(t.Context(), &tmssv1.AddRouteRequest{Route: c.route}); status.Code(err) != c.want {
			t.Errorf("add route %s: %v, want %v", name, err, c.want)
		}
	}
	if _, err := routes.DeleteRoute(t.Context(), &tmssv1.DeleteRouteRequest{Id: "x"}); status.Code(err) != codes.NotFound {
		t.Errorf("delete route: %v", err)
	}
}

// A watch begins with the table as it is, and goes on with every change.
func TestWatch(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.announce(t, "5xxx")
	stream, err := tmssv1.NewRoutesClient(h.conn).WatchRoutes(t.Context(), &tmssv1.WatchRoutesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	next := func(change tmssv1.WatchRoutesResponse_Change, prefix string, paths int) {
		t.Helper()
		m, err := stream.Recv()
		if err != nil || m.GetChange() != change || m.GetPrefix() != prefix || len(m.GetPaths()) != paths {
			t.Fatalf("got %v, %v; want %v %s with %d paths", m, err, change, prefix, paths)
		}
	}
	next(tmssv1.WatchRoutesResponse_CHANGE_PRESENT, "5xxx", 1)
	next(tmssv1.WatchRoutesResponse_CHANGE_SYNCED, "", 0)
	if err := h.directory.PutSite(t.Context(), discovery.Site{ID: "london", Owns: []discovery.Block{{Prefix: "4", MinLen: 4, MaxLen: 4}}}, "test"); err != nil {
		t.Fatal(err)
	}
	h.announce(t, "4xxx")
	next(tmssv1.WatchRoutesResponse_CHANGE_SET, "4xxx", 2)
	h.directory.view.Sites = nil
	h.announce(t, "5xxx") // the null route of the site that is gone goes
	next(tmssv1.WatchRoutesResponse_CHANGE_SET, "4xxx", 1)
}

func TestTraceAndStatus(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	session := strings.Repeat("0123456789abcdef", 2)
	flow := siptransport.Flow{Transport: siptransport.UDP, Local: netip.MustParseAddrPort("192.0.2.1:5060"), Remote: netip.MustParseAddrPort("192.0.2.7:5060")}
	for _, id := range []string{"one", "two"} {
		h.trace.Add(0, false, flow, time.Now(), []byte("INVITE sip:1001@example.org SIP/2.0\r\nCall-ID: "+id+"\r\nSession-ID: "+session+"\r\n\r\n"))
	}
	h.trace.Add(0, false, flow, time.Now(), []byte("BYE sip:1001@example.org SIP/2.0\r\nCall-ID: two\r\n\r\n"))
	traces := tmssv1.NewTracesClient(h.conn)
	for id, want := range map[string]int{"one": 1, "two": 2, session: 3} {
		stream, err := traces.TraceCall(t.Context(), &tmssv1.TraceCallRequest{Id: id})
		entries := receive(t, stream, err)
		if len(entries) != want || entries[0].GetEntry().GetRemoteName() != "site/lab" || entries[0].GetEntry().GetLocalName() != "hub a" {
			t.Errorf("%s: %v", id, entries)
		}
	}
	stream, err := traces.TraceCall(t.Context(), &tmssv1.TraceCallRequest{Id: "three"})
	if err == nil {
		_, err = stream.Recv()
	}
	if status.Code(err) != codes.NotFound {
		t.Errorf("unknown: %v", err)
	}
	m, err := tmssv1.NewNodeClient(h.conn).GetStatus(t.Context(), &tmssv1.GetStatusRequest{})
	if err != nil || m.GetStatus().GetDirectory() != "live" || m.GetStatus().GetProcesses()[0].GetPid() != 7 || m.GetStatus().GetSites() != 1 {
		t.Errorf("status %v, %v", m, err)
	}
}
