package supervise

import (
	"bufio"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// daemon is a supervisor in a process of its own.
type daemon struct {
	t      *testing.T
	cmd    *exec.Cmd
	lines  chan string
	stderr strings.Builder
}

func startDaemon(t *testing.T, addr netip.AddrPort, dir string) *daemon {
	t.Helper()
	d := &daemon{t: t, lines: make(chan string, 100)}
	d.cmd = exec.Command("/proc/self/exe", addr.String(), dir)
	d.cmd.Env = append(os.Environ(), roleVariable+"=supervisor", "GORACE=atexit_sleep_ms=0") // nobody lingers for the race detector
	d.cmd.Stderr = &d.stderr
	out, err := d.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(d.lines)
		for scanner := bufio.NewScanner(out); scanner.Scan(); {
			d.lines <- scanner.Text()
		}
	}()
	t.Cleanup(func() { _ = d.cmd.Process.Kill() })
	return d
}

// expect waits for a line with this event and gives the pid in it.
func (d *daemon) expect(event, child string) (pid int) {
	d.t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case line, ok := <-d.lines:
			if !ok {
				d.t.Fatalf("supervisor ended before %s of %s", event, child)
			}
			if _, err := fmt.Sscanf(line, event+" "+child+" %d", &pid); err == nil {
				return pid
			}
		case <-timeout:
			d.t.Fatalf("no %s of %s", event, child)
		}
	}
}

// freePort finds a UDP port that was free a moment ago.
func freePort(t *testing.T) netip.AddrPort {
	t.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	return conn.LocalAddr().(*net.UDPAddr).AddrPort()
}

func eventually(t *testing.T, within time.Duration, what string, cond func() bool) {
	t.Helper()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	timeout := time.After(within)
	for !cond() {
		select {
		case <-ticker.C:
		case <-timeout:
			t.Fatalf("not within %v: %s", within, what)
		}
	}
}

// running says whether the process is there and no zombie.
func running(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	return !strings.HasPrefix(rest, "Z")
}

func TestKilledSupervisorLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	addr, dir := freePort(t), t.TempDir()
	first := startDaemon(t, addr, dir)
	media, sig := 0, 0
	media = first.expect("child-started", "media")
	sig = first.expect("child-ready", "signal")

	refused := startDaemon(t, addr, dir)
	if err := refused.cmd.Wait(); err == nil {
		t.Error("a second supervisor runs on the same directory")
	}
	if want := fmt.Sprintf("process %d", first.cmd.Process.Pid); !strings.Contains(refused.stderr.String(), want) {
		t.Errorf("refusal %q does not name %q", refused.stderr.String(), want)
	}

	killed := time.Now()
	if err := first.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := first.cmd.Process.Wait(); err != nil { // until then it has the lock
		t.Fatal(err)
	}
	// The next one, started at once, has to wait for the port until the orphans ended.
	second := startDaemon(t, addr, dir)
	first.expect("child-ended", "signal") // of its own accord, not by the axe of OrphanGrace
	eventually(t, patience, "children end", func() bool { return !running(media) && !running(sig) })
	t.Logf("children gone %v after their supervisor", time.Since(killed))
	if took := time.Since(killed); took > 2*time.Second {
		t.Errorf("children gone after %v, want within 1s (2s on a busy machine)", took)
	}
	second.expect("child-ready", "signal")

	if err := second.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := second.cmd.Wait(); err != nil {
		t.Errorf("stop: %v, %s", err, second.stderr.String())
	}
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(addr))
	if err != nil {
		t.Fatalf("port still taken: %v", err)
	}
	_ = conn.Close()
}

func TestSupervisorStopsInOrder(t *testing.T) {
	t.Parallel()
	d := startDaemon(t, freePort(t), t.TempDir())
	d.expect("child-ready", "signal")
	if err := d.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	d.expect("child-exited", "signal")
	d.expect("child-exited", "media")
	if err := d.cmd.Wait(); err != nil {
		t.Errorf("%v: %s", err, d.stderr.String())
	}
}

func TestSecondSignalEndsAtOnce(t *testing.T) {
	t.Parallel()
	addr := freePort(t)
	d := startDaemon(t, addr, t.TempDir())
	pid := d.expect("child-ready", "signal")
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(addr))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.Write([]byte("stubborn")); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	asked := time.Now()
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	d.expect("stop-asked", "supervisor")
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := d.cmd.Wait(); err != nil {
		t.Errorf("%v: %s", err, d.stderr.String())
	}
	if took := time.Since(asked); took > DefaultStopTimeout/2 {
		t.Errorf("ended after %v", took)
	}
	if running(pid) {
		t.Error("the child that would not stop is still there")
	}
}
