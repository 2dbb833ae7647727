package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mss-federation/mss/cmd/internal/daemon"
	"github.com/mss-federation/mss/cmd/internal/daemon/daemontest"
	"github.com/mss-federation/mss/cmd/internal/version"
)

func TestRunServesAndStops(t *testing.T) {
	t.Parallel()
	p := daemontest.Start(t, "run", "--config", office(t, ""))
	out := p.See(p.Stdout, "ready\n", 1)
	if strings.Count(out, "listening udp 127.0.0.1:") != 1 || strings.Count(out, "listening tcp 127.0.0.1:") != 1 {
		t.Errorf("printed %q", out)
	}
	media, signal := p.PIDs("supervisor", "media", 1)[0], p.PIDs("supervisor", "signal", 1)[0]
	for pid, want := range map[int]string{media: "lmss-media", signal: "lmss-signal"} {
		if comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)); err != nil || strings.TrimSpace(string(comm)) != want {
			t.Errorf("process %d is named %q, %v, want %s", pid, comm, err, want)
		}
	}
	if err := p.Cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := p.Exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	log := p.Stderr.String()
	if s, m := strings.Index(log, "child exited\" process=supervisor child=signal"), strings.Index(log, "child exited\" process=supervisor child=media"); s < 0 || m < s {
		t.Error("signal has to stop first, then media")
	}
}

func TestSystemdIsNotified(t *testing.T) {
	path := office(t, "")
	address := filepath.Join(filepath.Dir(path), "notify")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: address, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = socket.Close() }()
	t.Setenv("NOTIFY_SOCKET", address)
	p := daemontest.Start(t, "run", "--config", path)
	if err := socket.SetReadDeadline(time.Now().Add(daemontest.Patience)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"READY=1", "STOPPING=1"} {
		buf := make([]byte, 100)
		n, err := socket.Read(buf)
		if err != nil || string(buf[:n]) != want {
			t.Fatalf("notified %q, %v, want %s", buf[:n], err, want)
		}
		if env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", p.PIDs("supervisor", "media", 1)[0])); err == nil && bytes.Contains(env, []byte("NOTIFY_SOCKET")) {
			t.Error("a child could speak for the daemon")
		}
		if err := p.Cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
	}
}

// TestFileBrokenLaterDoesNotStopARestart kills the children after the file became unreadable.
func TestFileBrokenLaterDoesNotStopARestart(t *testing.T) {
	t.Parallel()
	path := office(t, "")
	p := daemontest.Start(t, "run", "--config", path)
	p.See(p.Stdout, "ready\n", 1)
	if err := os.WriteFile(path, []byte("]broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, child := range []string{"signal", "media"} {
		if err := syscall.Kill(p.PIDs("supervisor", child, 1)[0], syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		p.See(p.Stderr, "msg=\"child ready\" process=supervisor child="+child, 2)
		if pids := p.PIDs("supervisor", child, 2); pids[0] == pids[1] {
			t.Errorf("%s was not started again: %v", child, pids)
		}
	}
	if err := p.Cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if code := p.Exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestSecondInstanceIsRefused(t *testing.T) {
	t.Parallel()
	path := office(t, "")
	first := daemontest.Start(t, "run", "--config", path)
	first.See(first.Stdout, "ready\n", 1)
	second := daemontest.Start(t, "run", "--config", path)
	if code := second.Exit(); code != daemon.ExitRunning {
		t.Errorf("exit code %d, want %d", code, daemon.ExitRunning)
	}
	if want := fmt.Sprintf("process %d runs on this state directory", first.Cmd.Process.Pid); !strings.Contains(second.Stderr.String(), want) {
		t.Errorf("said %q, want %q", second.Stderr, want)
	}
}

func TestKilledSupervisor(t *testing.T) {
	t.Parallel()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	path := office(t, fmt.Sprintf("listen: {udp: [%q]}\n", conn.LocalAddr()))
	_ = conn.Close()
	first := daemontest.Start(t, "run", "--config", path)
	first.See(first.Stdout, "ready\n", 1)
	children := []int{first.PIDs("supervisor", "media", 1)[0], first.PIDs("supervisor", "signal", 1)[0]}

	killed := time.Now()
	if err := first.Cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := first.Cmd.Process.Wait(); err != nil { // until then it has the lock
		t.Fatal(err)
	}
	second := daemontest.Start(t, "run", "--config", path)
	second.See(second.Stdout, "ready\n", 1)
	t.Logf("serves again %v after the kill", time.Since(killed))
	for _, pid := range children {
		daemontest.Eventually(t, fmt.Sprintf("end of process %d", pid), func() bool { return !daemontest.Running(pid) })
	}
	t.Logf("old children gone %v after the kill", time.Since(killed))
	if !strings.Contains(second.Stderr.String(), "did not end in order") {
		t.Error("no word about the predecessor")
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	taken, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	missing := filepath.Join(t.TempDir(), "missing.yaml")
	tests := []struct {
		name string
		args []string
		code int
		says []string
	}{
		{
			"port in use",
			[]string{"run", "--config", office(t, fmt.Sprintf("listen: {udp: [%q]}\n", taken.LocalAddr()))},
			daemon.ExitNoAddress,
			[]string{taken.LocalAddr().String(), "address already in use", "ss -lunp"},
		},
		{
			"address of others",
			[]string{"run", "--config", office(t, "listen: {tcp: [\"192.0.2.1:5060\"]}\n")},
			daemon.ExitNoAddress,
			[]string{"192.0.2.1:5060", "ip address"},
		},
		{"no file", []string{"run", "--config", missing}, daemon.ExitConfig, []string{missing, "--config"}},
		{"wrong key", []string{"run", "--check", "--config", office(t, "lisen: {}\n")}, daemon.ExitConfig, []string{"lmss.yaml:4:1", `did you mean "listen"?`}},
		{"wrong key", []string{"check", "--config", office(t, "lisen: {}\n")}, daemon.ExitConfig, []string{"lmss.yaml:4:1"}},
		{"wrong flag", []string{"run", "--confg", "x"}, daemon.ExitUsage, []string{"--confg", "lmss run --help"}},
		{"wrong command", []string{"rum"}, daemon.ExitUsage, []string{"rum", "lmss --help"}},
		{"argument", []string{"run", "x"}, daemon.ExitUsage, []string{"lmss run --help"}},
		{"child by hand", []string{"signal"}, daemon.ExitUsage, []string{"started by \"lmss run\""}},
	}
	for _, tt := range tests {
		p := daemontest.Start(t, tt.args...)
		if code := p.Exit(); code != tt.code {
			t.Errorf("%s: exit code %d, want %d", tt.name, code, tt.code)
		}
		for _, want := range tt.says {
			if !strings.Contains(p.Stderr.String(), want) {
				t.Errorf("%s: said %q, want %q", tt.name, p.Stderr, want)
			}
		}
	}
}

func TestCheckAndVersion(t *testing.T) {
	t.Parallel()
	var out, errs bytes.Buffer
	path := office(t, "")
	if code := execute(context.Background(), []string{"check", "--config", path}, &out, &errs); code != 0 || out.String() != path+": ok\n" {
		t.Errorf("check: %d, %q, %q", code, out.String(), errs.String())
	}
	if _, err := os.Stat(filepath.Join(filepath.Dir(path), "state")); !os.IsNotExist(err) {
		t.Errorf("check made the state directory: %v", err)
	}
	out.Reset()
	if code := execute(context.Background(), []string{"--version"}, &out, &errs); code != 0 || !strings.Contains(out.String(), "protocol "+version.Protocol) {
		t.Errorf("version: %d, %q", code, out.String())
	}
}
