package hub

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/mss-federation/mss/pkg/configfile"
	"github.com/mss-federation/mss/pkg/identity"
	"github.com/mss-federation/mss/pkg/identity/identitytest"
	"github.com/mss-federation/mss/pkg/network"
	tmssv1 "github.com/mss-federation/mss/proto/mss/tmss/v1"
	"github.com/mss-federation/mss/tmss/config"
	"github.com/mss-federation/mss/tmss/directory/directorytest"
)

func TestMain(m *testing.M) { directorytest.Main(m) }

// patience bounds every wait; the machine may be busy.
const patience = 20 * time.Second

// running is a hub on real sockets, with a real directory.
type running struct {
	t      *testing.T
	name   string
	domain *identitytest.Domain
	conn   *grpc.ClientConn // to its Unix socket
	grpc   string
	tls    string
	stop   func()
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// stateDir is a short folder with the identity of hub a.
func stateDir(t *testing.T, d *identitytest.Domain) string {
	t.Helper()
	return stateDirOf(t, d, "a")
}

func stateDirOf(t *testing.T, d *identitytest.Domain, hub string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "tmss")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	folder := filepath.Join(dir, identity.Folder)
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := d.Credentials(t, identity.Hub, hub).Save(filepath.Join(folder, identity.NodeFile)); err != nil {
		t.Fatal(err)
	}
	if err := d.Issuer.Save(filepath.Join(folder, identity.IssuingFile)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// start runs a hub on a state directory until the test ends.
func start(t *testing.T, d *identitytest.Domain, dir, directory, more string) *running {
	t.Helper()
	return startNamed(t, d, "a", dir, directory, more)
}

func startNamed(t *testing.T, d *identitytest.Domain, name, dir, directory, more string) *running {
	t.Helper()
	text := fmt.Sprintf("hub: "+name+"\ndomain: %s\nstate_dir: %s\nlisten: {tls: [\"127.0.0.1:5061\"], udp: [\"127.0.0.1:5060\"], grpc: \"127.0.0.1:5443\"}\ndirectory: {endpoints: [%q]}\n%s",
		d.Name, dir, directory, more)
	c, err := configfile.Parse[config.Config]("test", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	trunks, control := listen(t), listen(t)
	udp, err := network.System{}.ListenUDP(t.Context(), netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan struct{}), make(chan error, 1)
	go func() {
		done <- Run(ctx, Options{Config: c, UDP: []network.PacketConn{udp}, TLS: []net.Listener{trunks}, GRPC: []net.Listener{control}, Software: "tmss test", Logger: slog.New(slog.NewTextHandler(t.Output(), nil)), Ready: func() { close(ready) }})
	}()
	select {
	case <-ready:
	case err := <-done:
		cancel()
		t.Fatalf("the hub ended: %v", err)
	}
	conn, err := grpc.NewClient("unix:"+c.Admin.Socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	r := &running{t: t, name: name, domain: d, conn: conn, grpc: control.Addr().String(), tls: trunks.Addr().String()}
	stopped := false
	r.stop = func() {
		if stopped {
			return
		}
		stopped = true
		_ = conn.Close()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	}
	t.Cleanup(r.stop)
	return r
}

func (r *running) addSite(name, prefix string) {
	r.t.Helper()
	_, err := tmssv1.NewSitesClient(r.conn).AddSite(r.t.Context(), &tmssv1.AddSiteRequest{Site: &tmssv1.Site{Name: name, Prefixes: []string{prefix}}})
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *running) explain(number string) *tmssv1.ExplainRouteResponse {
	r.t.Helper()
	m, err := tmssv1.NewRoutesClient(r.conn).ExplainRoute(r.t.Context(), &tmssv1.ExplainRouteRequest{Number: number})
	if err != nil {
		r.t.Fatal(err)
	}
	return m
}

func (r *running) status() *tmssv1.Status {
	r.t.Helper()
	m, err := tmssv1.NewNodeClient(r.conn).GetStatus(r.t.Context(), &tmssv1.GetStatusRequest{})
	if err != nil {
		r.t.Fatal(err)
	}
	return m.GetStatus()
}

func counter(s *tmssv1.Status, name string) uint64 {
	for _, c := range s.GetCounters() {
		if c.GetName() == name {
			return c.GetValue()
		}
	}
	return 0
}

// eventually waits until something holds.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	timeout := time.After(patience)
	for !cond() {
		select {
		case <-ticker.C:
		case <-timeout:
			t.Fatalf("never: %s", what)
		}
	}
}

// A call between two offices passes the hub: set up by the number that one announced, ended by the cookie.
func TestCallBetweenOffices(t *testing.T) {
	t.Parallel()
	d := identitytest.NewDomain(t, "example.org")
	r := start(t, d, stateDir(t, d), directorytest.Start(t, d).Address, "")
	r.addSite("london", "4xxx")
	r.addSite("hongkong", "1xxx")
	london, hongkong := r.office("london"), r.office("hongkong")
	london.announce("4xxx")
	hongkong.announce("1xxx")
	eventually(t, "both offices are up", func() bool { return r.status().GetSessions() == 2 })
	eventually(t, "routes are there", func() bool { return len(london.hubs()) == 1 && r.explain("1001").GetOutcome() == "chosen" })
	eventually(t, "keys for cookies", func() bool { return len(r.status().GetAlarms()) == 0 })
	if got := london.hubs()[0]; got.GRPC != r.grpc || len(got.SIP) != 2 || got.SIP[0].HostPort != r.tls {
		t.Errorf("london was told of %+v", got)
	}

	london.send(request("INVITE", "sip:1001@example.org", "z9hG4bK-1", ""))
	invite := hongkong.read("INVITE")
	if !strings.Contains(invite, "Record-Route: ") || !strings.Contains(invite, ";mss=") || strings.Count(invite, "Via: ") != 2 {
		t.Errorf("INVITE came as\n%s", invite)
	}
	hongkong.send(answer(invite, "200 OK"))
	ok := london.read("SIP/2.0 200")
	route := strings.Replace(line(ok, "Record-Route: "), "Record-Route", "Route", 1)
	if !strings.Contains(route, ";mss=") || strings.Count(ok, "Via: ") != 1 {
		t.Errorf("200 came as\n%s", ok)
	}
	london.send(request("ACK", "sip:1001@192.0.2.9", "z9hG4bK-2", route))
	hongkong.read("ACK")
	london.send(request("BYE", "sip:1001@192.0.2.9", "z9hG4bK-3", route))
	hongkong.send(answer(hongkong.read("BYE"), "200 OK"))
	london.read("SIP/2.0 200")

	s := r.status()
	if counter(s, "requests_forwarded") < 2 || counter(s, "acks_forwarded") != 1 || len(s.GetAlarms()) != 0 {
		t.Errorf("status %v", s)
	}
	stream, err := tmssv1.NewTracesClient(r.conn).TraceCall(t.Context(), &tmssv1.TraceCallRequest{Id: callID})
	if err != nil {
		t.Fatal(err)
	}
	first, err := stream.Recv()
	if err != nil || first.GetEntry().GetRemoteName() != "site/london" || first.GetEntry().GetLocalName() != "hub a" {
		t.Errorf("trace %v, %v", first, err)
	}
}

// A number in an office's block that it does not announce ends at the hub, and an office that is deleted is cut off.
func TestUnassignedAndDeleted(t *testing.T) {
	t.Parallel()
	d := identitytest.NewDomain(t, "example.org")
	r := start(t, d, stateDir(t, d), directorytest.Start(t, d).Address, "")
	r.addSite("london", "4xxx")
	r.addSite("hongkong", "1xxx")
	london := r.office("london")
	london.announce("4xxx")
	eventually(t, "london is up", func() bool { return r.explain("4001").GetOutcome() == "chosen" })
	eventually(t, "new calls are taken", func() bool { return len(r.status().GetAlarms()) == 0 })
	london.send(request("INVITE", "sip:1001@example.org", "z9hG4bK-1", ""))
	if refused := london.read("SIP/2.0 404"); !strings.Contains(refused, "X-MSS-By: ") {
		t.Errorf("refused by\n%s", refused)
	}
	if _, err := tmssv1.NewSitesClient(r.conn).DeleteSite(t.Context(), &tmssv1.DeleteSiteRequest{Name: "london"}); err != nil {
		t.Fatal(err)
	}
	london.closed()
	eventually(t, "its routes are gone", func() bool { return r.explain("4001").GetOutcome() == "no route" })
}

// A hub starts without its directory from what it knew, refuses changes, and names the reason.
func TestStartsFromItsDisk(t *testing.T) {
	t.Parallel()
	d := identitytest.NewDomain(t, "example.org")
	dir, member := stateDir(t, d), directorytest.Start(t, d)
	r := start(t, d, dir, member.Address, "")
	r.addSite("london", "4xxx")
	r.stop()
	nobody := listen(t)
	address := nobody.Addr().String()
	if err := nobody.Close(); err != nil {
		t.Fatal(err)
	}
	r = start(t, d, dir, address, "")
	london := r.office("london")
	london.announce("4xxx")
	eventually(t, "london is up", func() bool { return r.explain("4001").GetOutcome() == "chosen" })
	_, err := tmssv1.NewSitesClient(r.conn).IssueSiteToken(t.Context(), &tmssv1.IssueSiteTokenRequest{Name: "london"})
	if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "no quorum") {
		t.Errorf("a token without quorum: %v", err)
	}
}

// An office of the configuration file needs no certificate, no session and no directory.
func TestStaticOffice(t *testing.T) {
	t.Parallel()
	d := identitytest.NewDomain(t, "example.org")
	r := start(t, d, stateDir(t, d), "127.0.0.1:1", "sites: [{name: lab, prefixes: [7xxx], address: \"udp 127.0.0.1:5070\"}]\n")
	m := r.explain("7001")
	if m.GetOutcome() != "chosen" || m.GetCandidates()[0].GetNextHop() != "site/lab" || m.GetCandidates()[0].GetClass() != "static" {
		t.Errorf("7001: %v", m)
	}
	stream, err := tmssv1.NewSitesClient(r.conn).ListSites(t.Context(), &tmssv1.ListSitesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if lab, err := stream.Recv(); err != nil || lab.GetSite().GetTrunk() != "alive" || !lab.GetSite().GetConfigured() {
		t.Errorf("site %v, %v", lab, err)
	}
	// Without a key there is no cookie, and a call that began could not be hung up.
	alarms := func() string { return strings.Join(r.status().GetAlarms(), "; ") }
	eventually(t, "offices are awaited no more", func() bool { return !strings.Contains(alarms(), "offices") })
	if got := alarms(); !strings.Contains(got, "a key") {
		t.Errorf("alarms %q", got)
	}
	lab := r.office("lab")
	lab.send(request("INVITE", "sip:7002@example.org", "z9hG4bK-1", ""))
	lab.read("SIP/2.0 503")
}

// A hub that belongs to nobody, or to somebody else, says what to do.
func TestRefusesWrongIdentity(t *testing.T) {
	t.Parallel()
	d := identitytest.NewDomain(t, "example.org")
	for name, c := range map[string]struct{ hub, dir, want string }{
		"no identity": {"a", t.TempDir(), "tmss init"},
		"another hub": {"b", stateDir(t, d), "correct hub, domain or state_dir"},
	} {
		text := fmt.Sprintf("hub: %s\ndomain: example.org\nstate_dir: %s\nlisten: {tls: [\"127.0.0.1:5061\"], grpc: \"127.0.0.1:5443\"}\nadmin: {socket: /tmp/never.sock}\n", c.hub, c.dir)
		cfg, err := configfile.Parse[config.Config]("test", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		trunks, control := listen(t), listen(t)
		err = Run(t.Context(), Options{Config: cfg, TLS: []net.Listener{trunks}, GRPC: []net.Listener{control}})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if _, err := trunks.Accept(); err == nil {
			t.Errorf("%s: a listener is left open", name)
		}
	}
}

// Operators reach the API over the network with their certificate; offices and strangers do not.
func TestOperatorsOverTheNetwork(t *testing.T) {
	t.Parallel()
	d := identitytest.NewDomain(t, "example.org")
	dir := stateDir(t, d)
	r := start(t, d, dir, directorytest.Start(t, d).Address, "")
	add := func(role identity.Role, of *identitytest.Domain) error {
		t.Helper()
		config := identity.ClientTLS(of.Source(t, role, "ann"), d.Trust, d.Node(identity.Hub, "a"))
		conn, err := grpc.NewClient("passthrough:///"+r.grpc, grpc.WithTransportCredentials(credentials.NewTLS(config)))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_, err = tmssv1.NewSitesClient(conn).AddSite(t.Context(), &tmssv1.AddSiteRequest{Site: &tmssv1.Site{Name: "london", Prefixes: []string{"4xxx"}}})
		return err
	}
	for name, c := range map[string]struct {
		err  error
		want codes.Code
	}{
		"office":   {add(identity.Site, d), codes.PermissionDenied},
		"stranger": {add(identity.Operator, identitytest.NewDomain(t, "example.org")), codes.Unavailable},
	} {
		if status.Code(c.err) != c.want {
			t.Errorf("%s: %v, want %v", name, c.err, c.want)
		}
	}
	if r.status().GetSites() != 0 {
		t.Error("somebody changed something")
	}
	if err := add(identity.Operator, d); err != nil {
		t.Errorf("operator: %v", err)
	}
	records, err := os.ReadFile(filepath.Join(dir, auditFile))
	if err != nil || strings.Count(string(records), "\n") != 1 || !strings.Contains(string(records), `"who":"mss://example.org/operator/ann","what":"add site london"`) {
		t.Errorf("records %s, %v", records, err)
	}
}
