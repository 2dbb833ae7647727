package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/mss-federation/mss/cmd/internal/rig/node"
	"github.com/mss-federation/mss/cmd/internal/rig/phone"
	"github.com/mss-federation/mss/cmd/internal/rig/rigtest"
)

// monitoring is a node's HTTP service: over TCP, and on its Unix socket.
type monitoring struct{ network, address string }

// overTCP finds the address that a node printed when it started.
func overTCP(t *testing.T, log string) monitoring {
	t.Helper()
	return monitoring{"tcp", listening(t, log, "http")}
}

// listening finds the address of a listener that a node printed when it started.
func listening(t *testing.T, log, kind string) string {
	t.Helper()
	m := regexp.MustCompile(`(?m)^listening ` + kind + ` (\S+)$`).FindStringSubmatch(log)
	if m == nil {
		t.Fatalf("the node did not say where it serves %s:\n%s", kind, log)
	}
	return m[1]
}

func (m monitoring) get(ctx context.Context, path string) (int, string, error) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, m.network, m.address)
	}}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://node"+path, nil)
	if err != nil {
		return 0, "", err
	}
	response, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, string(text), err
}

// metrics are the values of a scrape, by name and labels as they stand there.
func (m monitoring) metrics(t *testing.T) map[string]float64 {
	t.Helper()
	code, text, err := m.get(limit(t), "/metrics")
	if err != nil || code != http.StatusOK {
		t.Fatalf("/metrics: %d, %v\n%s", code, err, text)
	}
	values := map[string]float64{}
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		name, value, ok := cutLast(lines.Text())
		if number, err := strconv.ParseFloat(value, 64); ok && err == nil && !strings.HasPrefix(name, "#") {
			values[name] = number
		}
	}
	return values
}

func cutLast(line string) (before, after string, ok bool) {
	i := strings.LastIndexByte(line, ' ')
	if i < 0 {
		return line, "", false
	}
	return line[:i], line[i+1:], true
}

// await waits until a scrape has these values.
func (m monitoring) await(t *testing.T, want map[string]float64) {
	t.Helper()
	ctx := limit(t)
	for {
		wrong := ""
		values := m.metrics(t)
		for name, value := range want {
			if got, ok := values[name]; !ok || got != value {
				wrong += fmt.Sprintf("%s is %v (there: %v), want %v\n", name, got, ok, value)
			}
		}
		if wrong == "" {
			return
		}
		pauseOr(ctx, t, wrong)
	}
}

// awaitProbe waits until a probe answers so, with a text in it.
func (m monitoring) awaitProbe(t *testing.T, path string, code int, says string) {
	t.Helper()
	ctx := limit(t)
	for {
		got, text, err := m.get(ctx, path)
		if err == nil && got == code && strings.Contains(text, says) {
			return
		}
		pauseOr(ctx, t, fmt.Sprintf("%s: %d %q %v, want %d %q", path, got, text, err, code, says))
	}
}

// pauseOr waits a little, or fails with what is wrong when the time is up.
func pauseOr(ctx context.Context, t *testing.T, wrong string) {
	t.Helper()
	select {
	case <-ctx.Done():
		t.Fatal(wrong)
	case <-time.After(20 * time.Millisecond):
	}
}

// TestMetrics asks a hub and an office over real sockets what they count, while a call comes and goes and processes die.
func TestMetrics(t *testing.T) {
	t.Parallel()
	hubAt, londonAt := node.NewAddress(), node.NewAddress()
	with := func(a netip.Addr) string { return fmt.Sprintf("admin: {http: [%q]}\n", netip.AddrPortFrom(a, 0)) }
	hub, err := node.StartHub(limit(t), node.HubOptions{Bin: bin, Addr: hubAt, Extra: with(hubAt)})
	must(t, err)
	rigtest.CleanUp(t, hub)
	d := &domain{hub: hub}
	d.london = d.join(t, node.Options{Site: "london", Addr: londonAt, Numbers: []string{"4xxx"}, Users: users, Extra: with(londonAt)})
	must(t, d.london.WaitUplink(limit(t), "a"))
	must(t, hub.WaitRoutes(limit(t), "london"))
	onHub, onLondon := overTCP(t, hub.Log()), overTCP(t, d.london.Log())

	for _, m := range []monitoring{onHub, onLondon} {
		m.awaitProbe(t, "/healthz", 200, "ok")
		m.awaitProbe(t, "/readyz", 200, "ok")
		namesAreGood(t, m)
	}
	onHub.await(t, map[string]float64{
		`mss_nodelink_trunk_alive{node="site/london"}`: 1, `mss_peering_session_up{node="site/london"}`: 1, `mss_peering_routes{node="site/london"}`: 1,
		`mss_discovery_directory_live`: 1, `mss_discovery_sites`: 1, `mss_discovery_hubs`: 1, `mss_forwarder_breaker_open{node="site/london"}`: 0,
	})
	onLondon.await(t, map[string]float64{
		`mss_nodelink_trunk_alive{node="hub/a"}`: 1, `mss_uplink_session_up{node="hub/a"}`: 1, `mss_user_users`: 3,
		`mss_call_live`: 0, `mss_call_setups_total`: 0, `mss_registrar_bindings`: 0, `mss_process_up{process="media"}`: 1, `mss_relay_endpoints`: 0,
		`mss_store_state{state="healthy"}`: 1, `mss_store_queued_records`: 0,
	})
	for name, m := range map[string]monitoring{"mss_identity_certificate_expires_timestamp_seconds": onHub, "mss_servercert_expires_timestamp_seconds": onLondon} {
		if ends := m.metrics(t)[name]; ends < float64(time.Now().Unix()) {
			t.Errorf("%s is %v", name, ends)
		}
	}
	for _, dir := range []string{hub.Dir(), d.london.Dir()} {
		servingByGRPC(t, filepath.Join(dir, "admin.sock"))
	}
	countACall(t, d.london, onLondon)
	allOnTheDashboard(t, onHub, onLondon)
	surviveDeaths(t, d.london, onLondon)
	onlyOnTheSocket(t, onHub, filepath.Join(hub.Dir(), "http.sock"))
	onlyOnTheSocket(t, onLondon, filepath.Join(d.london.Dir(), "http.sock"))
}

// servingByGRPC asks the API's own health service (grpc.health.v1).
func servingByGRPC(t *testing.T, socket string) {
	t.Helper()
	conn, err := grpc.NewClient("unix:"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	must(t, err)
	defer conn.Close()
	got, err := grpc_health_v1.NewHealthClient(conn).Check(limit(t), &grpc_health_v1.HealthCheckRequest{})
	if err != nil || got.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
		t.Errorf("%s: %v, %v", socket, got, err)
	}
}

// namesAreGood lints the names and texts of all metrics.
func namesAreGood(t *testing.T, m monitoring) {
	t.Helper()
	_, text, err := m.get(limit(t), "/metrics")
	must(t, err)
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	must(t, err)
	for _, p := range problems {
		t.Errorf("metric %s: %s", p.Metric, p.Text)
	}
	for _, name := range regexp.MustCompile(`(?m)^# HELP (\S+)`).FindAllStringSubmatch(text, -1) {
		if !regexp.MustCompile(`^(mss_[a-z]+_[a-z0-9_]+|go_\w+|process_\w+)$`).MatchString(name[1]) {
			t.Errorf("%s is no name of ours", name[1])
		}
	}
}

// allOnTheDashboard wants each metric of ours on the dashboard, and none there that no node has.
func allOnTheDashboard(t *testing.T, nodes ...monitoring) {
	t.Helper()
	text, err := os.ReadFile("../../deploy/grafana/mss.json")
	must(t, err)
	var dashboard struct {
		Panels []struct {
			Targets []struct{ Expr string }
		}
	}
	must(t, json.Unmarshal(text, &dashboard))
	shown := map[string]bool{}
	for _, p := range dashboard.Panels {
		for _, target := range p.Targets {
			for _, name := range regexp.MustCompile(`mss_\w+`).FindAllString(target.Expr, -1) {
				shown[name] = true
			}
		}
	}
	counted := map[string]bool{}
	for _, m := range nodes {
		for line := range m.metrics(t) {
			if name, _, _ := strings.Cut(line, "{"); strings.HasPrefix(name, "mss_") {
				counted[name] = true
			}
		}
	}
	for name := range counted {
		if !shown[name] {
			t.Errorf("%s is not on the dashboard", name)
		}
	}
	for name := range shown {
		if !counted[name] {
			t.Errorf("the dashboard shows %s, which no node has", name)
		}
	}
}

// countACall makes a call and looks for it in the counters, up and over.
func countACall(t *testing.T, london *node.Node, m monitoring) {
	t.Helper()
	a, b := register(t, london, phone.Options{Name: "4001"}), register(t, london, phone.Options{Name: "4002"})
	out, in := connect(t, a, b)
	m.await(t, map[string]float64{`mss_registrar_bindings`: 2, `mss_call_live`: 1, `mss_call_setups_total`: 1, `mss_relay_endpoints`: 2})
	must(t, out.Hangup(limit(t)))
	must(t, in.WaitEnded(limit(t)))
	m.await(t, map[string]float64{
		`mss_call_live`: 0, `mss_call_setups_total`: 1, `mss_call_ended_total{class="completed",reason="hang-up"}`: 1, `mss_relay_endpoints`: 0,
		`mss_call_unprotected_total`: 0, `mss_ingress_panics_total`: 0, `mss_siptx_panics_total`: 0,
	})
	if n := m.metrics(t)["mss_siptx_received_total"]; n < 8 {
		t.Errorf("%v SIP messages received", n)
	}
}

// surviveDeaths stops the media process, which makes the office not ready, and kills the signalling process, whose
// successor answers on the same port.
func surviveDeaths(t *testing.T, london *node.Node, m monitoring) {
	t.Helper()
	media := london.PID(node.Media)
	must(t, syscall.Kill(media, syscall.SIGSTOP))
	m.awaitProbe(t, "/readyz", 503, "media: ask the media process")
	m.await(t, map[string]float64{`mss_process_up{process="media"}`: 0})
	m.awaitProbe(t, "/healthz", 200, "ok")
	if err := syscall.Kill(media, syscall.SIGCONT); !errors.Is(err, syscall.ESRCH) { // on a busy machine its supervisor was faster
		must(t, err)
	}
	m.awaitProbe(t, "/readyz", 200, "ok")
	signal := london.PID(node.Signal)
	_, err := london.KillSignal()
	must(t, err)
	m.awaitProbe(t, "/healthz", 200, "ok")
	_, err = london.WaitRestarted(limit(t), node.Signal, signal)
	must(t, err)
	m.awaitProbe(t, "/readyz", 200, "ok")
	m.await(t, map[string]float64{`mss_registrar_bindings`: 2, `mss_call_setups_total`: 0})
}

// onlyOnTheSocket wants profiles there, and not over TCP.
func onlyOnTheSocket(t *testing.T, tcp monitoring, socket string) {
	t.Helper()
	if code, text, err := tcp.get(limit(t), "/debug/pprof/heap"); err != nil || code != http.StatusNotFound {
		t.Errorf("a profile over TCP: %d %v %s", code, err, text)
	}
	local := monitoring{"unix", socket}
	if code, text, err := local.get(limit(t), "/debug/pprof/heap"); err != nil || code != http.StatusOK || len(text) < 100 {
		t.Errorf("a profile on the socket: %d %v, %d bytes", code, err, len(text))
	}
	local.awaitProbe(t, "/readyz", 200, "ok")
}
