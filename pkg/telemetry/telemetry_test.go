package telemetry

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/mss-federation/mss/pkg/health"
)

// process is a process that is asked over real sockets.
type process struct {
	server Server
	socket string
	tcp    string
	set    *Set
	level  slog.LevelVar
}

func start(t *testing.T, name string, siblings ...*Sibling) *process {
	t.Helper()
	p := &process{set: New(name, "v1")}
	registry := &health.Registry{}
	registry.Part("calls").Set(nil)
	p.server = Server{Health: registry, Metrics: p.set, Siblings: siblings, Level: &p.level, Logger: slog.New(slog.DiscardHandler)}
	folder, err := os.MkdirTemp("", "mss")
	if err != nil {
		t.Fatal(err)
	}
	p.socket = filepath.Join(folder, "http.sock")
	local, err := net.Listen("unix", p.socket)
	if err != nil {
		t.Fatal(err)
	}
	open, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.tcp = open.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.server.Run(ctx, local, open) }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-done, os.RemoveAll(folder)); err != nil {
			t.Error(err)
		}
	})
	return p
}

// ask makes a request over TCP, or over the Unix socket.
func (p *process) ask(t *testing.T, network, method, path, body string) (int, string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		if network == "unix" {
			return d.DialContext(ctx, "unix", p.socket)
		}
		return d.DialContext(ctx, "tcp", p.tcp)
	}}}
	req, err := http.NewRequestWithContext(t.Context(), method, "http://node"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// Everyone may ask how the process is; what shows its memory or changes it is for the Unix socket.
func TestWhatIsServedWhere(t *testing.T) {
	t.Parallel()
	p := start(t, "signal")
	for _, c := range []struct {
		method, path, body string
		tcp, unix          int
	}{
		{"GET", "/healthz", "", 200, 200},
		{"GET", "/readyz", "", 200, 200},
		{"GET", "/metrics", "", 200, 200},
		{"GET", "/debug/pprof/", "", 404, 200},
		{"GET", "/debug/pprof/cmdline", "", 404, 200},
		{"GET", "/debug/pprof/heap", "", 404, 200},
		{"PUT", "/log-level", "debug", 404, 200},
		{"PUT", "/log-level", "loud", 404, 400},
		{"POST", "/metrics", "", 405, 405},
	} {
		if code, text := p.ask(t, "tcp", c.method, c.path, c.body); code != c.tcp {
			t.Errorf("%s %s over TCP: %d %s", c.method, c.path, code, text)
		}
		if code, text := p.ask(t, "unix", c.method, c.path, c.body); code != c.unix {
			t.Errorf("%s %s on the socket: %d %s", c.method, c.path, code, text)
		}
	}
	if p.level.Level() != slog.LevelDebug {
		t.Errorf("the level is %v", p.level.Level())
	}
}

// A scrape shows the counters as they are, and the processes beside with a label of their own.
func TestScrape(t *testing.T) {
	t.Parallel()
	media := start(t, "media")
	Gauge(media.set, "mss_relay_endpoints", "Endpoints.", func() int { return 4 })
	signal := start(t, "signal", NewSibling("media", media.socket), NewSibling("gone", "/nowhere/http.sock"))
	calls := uint64(2)
	Counter(signal.set, "mss_call_setups_total", "Calls.", func() uint64 { return calls })
	signal.set.Counters("mss_call_ended_total", "Ends.", []string{"class", "reason"}, func(emit Emit) { emit(3, "busy", "486 \"Busy\"") })
	for calls = range uint64(2) {
		_, text := signal.ask(t, "tcp", "GET", "/metrics", "")
		for _, want := range []string{
			"\nmss_call_setups_total " + string(rune('0'+calls)) + "\n",
			"\n" + `mss_call_ended_total{class="busy",reason="486 \"Busy\""} 3` + "\n",
			"\nmss_relay_endpoints 4\n",
			"\n" + `mss_process_up{process="media"} 1` + "\n",
			"\n" + `mss_process_up{process="gone"} 0` + "\n",
			"\n" + `go_goroutines{process="media"} `,
			"\n" + `go_goroutines{process="signal"} `,
			"\n" + `mss_build_info{process="signal",version="v1"} 1` + "\n",
		} {
			if !strings.Contains(text, want) {
				t.Errorf("no %q in\n%s", want, text)
			}
		}
	}
	problems, err := promlint.New(strings.NewReader(must(signal.ask(t, "unix", "GET", "/metrics", "")))).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("%v %v", problems, err)
	}
}

func must(_ int, text string) string { return text }

func TestSibling(t *testing.T) {
	t.Parallel()
	media := start(t, "media")
	sibling := NewSibling("media", media.socket)
	if err := errors.Join(sibling.Alive(), sibling.SetLogLevel("warn")); err != nil || media.level.Level() != slog.LevelWarn {
		t.Errorf("level %v, %v", media.level.Level(), err)
	}
	if err := sibling.SetLogLevel("loud"); err == nil || !strings.Contains(err.Error(), "choose one of debug") {
		t.Errorf("a level that there is not: %v", err)
	}
	media.server.Health.LiveCheck(func() bool { return false })
	if err := sibling.Alive(); err == nil || !strings.Contains(err.Error(), "does not work") {
		t.Errorf("one that hangs: %v", err)
	}
	if err := NewSibling("gone", "/nowhere/http.sock").Alive(); err == nil || !strings.Contains(err.Error(), "does not answer") {
		t.Errorf("one that is gone: %v", err)
	}
}
