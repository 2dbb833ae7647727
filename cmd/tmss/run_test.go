package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/mss-federation/mss/cmd/internal/daemon"
	"github.com/mss-federation/mss/cmd/internal/daemon/daemontest"
	"github.com/mss-federation/mss/cmd/internal/version"
	tmssv1 "github.com/mss-federation/mss/proto/mss/tmss/v1"
)

// A domain begins without a prepared configuration, and says what comes next.
func TestInit(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	config, state := filepath.Join(dir, "etc", "tmss.yaml"), filepath.Join(dir, "state")
	args := []string{"init", "--domain", "example.org", "--hub", "b", "--address", "127.0.0.1", "--state-dir", state, "--config", config}
	out, code := command(t, args...)
	if code != 0 || !strings.Contains(out, "domain example.org begins with hub b") || !strings.HasSuffix(out, "next: tmss run --config "+config+"\n") {
		t.Fatalf("init: %d, %s", code, out)
	}
	for _, file := range []string{"root.pem", "issuing.pem", "node.pem", "operator-admin.pem"} {
		path := filepath.Join(state, "identity", file)
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", path, info, err)
		}
	}
	if out, code := command(t, "check", "--config", config); code != 0 {
		t.Errorf("the configuration that was written: %d, %s", code, out)
	}
	if out, code := command(t, args...); code != daemon.ExitUsage || !strings.Contains(out, "is there already") {
		t.Errorf("again, with flags that the file answers: %d, %s", code, out)
	}
	if out, code := command(t, "init", "--config", config); code != daemon.ExitFailure || !strings.Contains(out, "has an identity already") {
		t.Errorf("again: %d, %s", code, out)
	}
}

func TestRunServesAndStops(t *testing.T) {
	t.Parallel()
	path := born(t, "")
	p := running(t, path)
	if out := p.Stdout.String(); strings.Count(out, "listening ") != 3 {
		t.Errorf("printed %q", out)
	}
	conn := api(t, path)
	addSite(t, conn, "london", "4xxx")
	s := getStatus(t.Context(), t, conn)
	if s.GetHub() != "a" || s.GetSites() != 1 || s.GetRoutes() != 1 || len(s.GetListeners()) != 3 || s.GetDirectory() != "live" {
		t.Errorf("status %v", s)
	}
	if s.GetProcesses()[0].GetPid() != uint32(p.Cmd.Process.Pid) || s.GetProcesses()[1].GetPid() != uint32(p.PIDs("hub", "directory", 1)[0]) {
		t.Errorf("processes %v", s.GetProcesses())
	}
	if err := p.Cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := p.Exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if daemontest.Running(p.PIDs("hub", "directory", 1)[0]) {
		t.Error("the directory outlived the hub")
	}
	for line := range strings.Lines(p.Stderr.String()) {
		if strings.Contains(line, "level=WARN") || strings.Contains(line, "level=ERROR") {
			t.Errorf("start, service and an end that was asked for are nothing to worry about: %s", line)
		}
	}
	running(t, path)
	if s := getStatus(t.Context(), t, api(t, path)); s.GetSites() != 1 {
		t.Errorf("after a restart: %v", s)
	}
}

// The directory is killed and comes back; the hub goes on meanwhile, and starts without it.
func TestDirectoryIsKilled(t *testing.T) {
	t.Parallel()
	path := born(t, "")
	p := running(t, path)
	conn := api(t, path)
	addSite(t, conn, "london", "4xxx")
	if err := syscall.Kill(p.PIDs("hub", "directory", 1)[0], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if s := getStatus(t.Context(), t, conn); s.GetSites() != 1 || s.GetRoutes() != 1 {
		t.Errorf("without the directory: %v", s)
	}
	p.See(p.Stderr, "msg=\"child ready\" process=hub child=directory", 2)
	daemontest.Eventually(t, "directory live again", func() bool { return getStatus(t.Context(), t, conn).GetDirectory() == "live" })
	addSite(t, conn, "hongkong", "1xxx")
	token, err := tmssv1.NewSitesClient(conn).IssueSiteToken(t.Context(), &tmssv1.IssueSiteTokenRequest{Name: "hongkong"})
	if err != nil || !strings.HasPrefix(token.GetToken(), "mss1-") {
		t.Errorf("token %v, %v", token, err)
	}
}

// A hub whose directory is elsewhere and gone serves from its own disk, and refuses changes with a reason.
func TestStartsWithoutDirectory(t *testing.T) {
	t.Parallel()
	path := born(t, "")
	p := running(t, path)
	addSite(t, api(t, path), "london", "4xxx")
	if err := p.Cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := p.Exit(); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := strings.Replace(string(text), "directory: {listen: ", "directory: {endpoints: [", 1)
	elsewhere = strings.Replace(elsewhere, "}\n", "]}\n", 2)
	elsewhere = strings.Replace(elsewhere, "\"127.0.0.1:0\"]}", "\"127.0.0.1:0\"}", 1)
	if err := os.WriteFile(path, []byte(elsewhere), 0o600); err != nil {
		t.Fatal(err)
	}
	running(t, path)
	conn := api(t, path)
	s := getStatus(t.Context(), t, conn)
	if s.GetSites() != 1 || s.GetRoutes() != 1 || !strings.Contains(s.GetDirectory(), "out of reach") || len(s.GetAlarms()) == 0 {
		t.Errorf("status %v", s)
	}
	_, err = tmssv1.NewSitesClient(conn).AddSite(t.Context(), &tmssv1.AddSiteRequest{Site: &tmssv1.Site{Name: "x", Prefixes: []string{"2xxx"}}})
	if err == nil || !strings.Contains(err.Error(), "no quorum") {
		t.Errorf("a change: %v", err)
	}
}

func TestSecondInstanceIsRefused(t *testing.T) {
	t.Parallel()
	path := born(t, "")
	first := running(t, path)
	second := daemontest.Start(t, "run", "--config", path)
	if code := second.Exit(); code != daemon.ExitRunning {
		t.Errorf("exit code %d, want %d", code, daemon.ExitRunning)
	}
	if want := fmt.Sprintf("process %d runs on this state directory", first.Cmd.Process.Pid); !strings.Contains(second.Stderr.String(), want) {
		t.Errorf("said %q, want %q", second.Stderr, want)
	}
}

// Another hub joins with a token, once, and uses the directory of the first.
func TestHubJoins(t *testing.T) {
	t.Parallel()
	first := born(t, "")
	running(t, first)
	conn := api(t, first)
	addSite(t, conn, "london", "4xxx")
	token, err := tmssv1.NewHubsClient(conn).IssueHubToken(t.Context(), &tmssv1.IssueHubTokenRequest{Id: "b"})
	if err != nil {
		t.Fatal(err)
	}
	dir := folder(t)
	second := filepath.Join(dir, "tmss.yaml")
	args := []string{
		"join", token.GetToken(), "--config", second, "--state-dir", filepath.Join(dir, "state"), "--address", "127.0.0.1",
		"--sip-port", fmt.Sprint(freePort(t)), "--grpc-port", fmt.Sprint(freePort(t)),
	}
	if out, code := command(t, args...); code != 0 || !strings.Contains(out, "hub b of domain example.org") {
		t.Fatalf("join: %d, %s", code, out)
	}
	running(t, second)
	b := api(t, second)
	daemontest.Eventually(t, "hub b knows the site", func() bool { return getStatus(t.Context(), t, b).GetSites() == 1 })
	other := folder(t)
	args[3], args[5] = filepath.Join(other, "tmss.yaml"), filepath.Join(other, "state")
	if out, code := command(t, args...); code == 0 || !strings.Contains(out, "spent") {
		t.Errorf("the token a second time: %d, %s", code, out)
	}
	if out, code := command(t, "join", token.GetToken(), "--config", prepared(t, "c", "")); code == 0 || !strings.Contains(out, "mssctl hub token c") {
		t.Errorf("the token of another hub: %d, %s", code, out)
	}
}

// A hub whose prepared configuration does not say where the directory is uses that of its domain, and begins none.
func TestPreparedHubJoins(t *testing.T) {
	t.Parallel()
	first := born(t, "")
	running(t, first)
	conn := api(t, first)
	addSite(t, conn, "london", "4xxx")
	token, err := tmssv1.NewHubsClient(conn).IssueHubToken(t.Context(), &tmssv1.IssueHubTokenRequest{Id: "b"})
	if err != nil {
		t.Fatal(err)
	}
	second := prepared(t, "b", "# directory: as told when it joins\n")
	if out, code := command(t, "join", token.GetToken(), "--config", second); code != 0 {
		t.Fatalf("join: %d, %s", code, out)
	}
	p := running(t, second)
	b := api(t, second)
	daemontest.Eventually(t, "hub b knows the site", func() bool { return getStatus(t.Context(), t, b).GetSites() == 1 })
	if strings.Contains(p.Stderr.String(), "child=directory") {
		t.Error("hub b has begun a directory of its own")
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	missing := filepath.Join(t.TempDir(), "missing.yaml")
	for name, tt := range map[string]struct {
		args []string
		code int
		says []string
	}{
		"port in use": {
			[]string{"run", "--config", born(t, fmt.Sprintf("listen: {tls: [%q], grpc: \"127.0.0.1:0\"}\n", taken.Addr()))},
			daemon.ExitNoAddress,
			[]string{taken.Addr().String(), "address already in use", "ss -ltnp"},
		},
		"address of others": {
			[]string{"run", "--config", born(t, "listen: {tls: [\"192.0.2.1:5061\"], grpc: \"127.0.0.1:0\"}\n")},
			daemon.ExitNoAddress,
			[]string{"192.0.2.1:5061", "ip address"},
		},
		"no domain":      {[]string{"run", "--config", prepared(t, "a", "")}, daemon.ExitFailure, []string{"tmss init", "mssctl hub token a"}},
		"no file":        {[]string{"run", "--config", missing}, daemon.ExitConfig, []string{missing}},
		"wrong key":      {[]string{"run", "--check", "--config", prepared(t, "a", "lisen: {}\n")}, daemon.ExitConfig, []string{"tmss.yaml:", `did you mean "listen"?`}},
		"wrong flag":     {[]string{"run", "--confg", "x"}, daemon.ExitUsage, []string{"tmss run --help"}},
		"no address":     {[]string{"init", "--domain", "example.org", "--config", missing}, daemon.ExitUsage, []string{"--address"}},
		"no token":       {[]string{"join"}, daemon.ExitUsage, []string{"tmss join --help"}},
		"a broken token": {[]string{"join", "mss1-x", "--config", prepared(t, "a", "")}, daemon.ExitFailure, []string{"copy all of it"}},
	} {
		p := daemontest.Start(t, tt.args...)
		if code := p.Exit(); code != tt.code {
			t.Errorf("%s: exit code %d, want %d", name, code, tt.code)
		}
		for _, want := range tt.says {
			if !strings.Contains(p.Stderr.String(), want) {
				t.Errorf("%s: said %q, want %q", name, p.Stderr, want)
			}
		}
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	if out, code := command(t, "--version"); code != 0 || !strings.Contains(out, "protocol "+version.Protocol) {
		t.Errorf("version: %d, %q", code, out)
	}
}

// A hub that is killed takes its directory with it and starts again on the same ports and state.
func TestKilledHub(t *testing.T) {
	t.Parallel()
	sip, control := freePort(t), freePort(t)
	path := born(t, fmt.Sprintf("listen: {tls: [\"127.0.0.1:%d\"], grpc: \"127.0.0.1:%d\"}\n", sip, control))
	first := running(t, path)
	addSite(t, api(t, path), "london", "4xxx")
	directory := first.PIDs("hub", "directory", 1)[0]
	if err := first.Cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := first.Cmd.Process.Wait(); err != nil { // until then it has the lock
		t.Fatal(err)
	}
	second := running(t, path)
	conn := api(t, path)
	daemontest.Eventually(t, "end of the old directory", func() bool { return !daemontest.Running(directory) })
	daemontest.Eventually(t, "the site is known again", func() bool {
		s := getStatus(t.Context(), t, conn)
		return s.GetDirectory() == "live" && s.GetSites() == 1
	})
	if !strings.Contains(second.Stderr.String(), "did not end in order") {
		t.Error("no word about the predecessor")
	}
}
