package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience bounds every wait of these tests; the machine may be busy.
const patience = 30 * time.Second

// program is one run of lmss in a process of its own.
type program struct {
	t      *testing.T
	cmd    *exec.Cmd
	stdout *transcript
	stderr *transcript
}

// transcript collects the lines of a stream and wakes those that wait for one.
type transcript struct {
	mu struct {
		sync.Mutex
		text strings.Builder
	}
	grew  chan struct{}
	ended chan struct{}
}

func record(r io.Reader) *transcript {
	tr := &transcript{grew: make(chan struct{}, 1), ended: make(chan struct{})}
	go func() {
		defer close(tr.ended)
		for scanner := bufio.NewScanner(r); scanner.Scan(); {
			tr.mu.Lock()
			tr.mu.text.WriteString(scanner.Text() + "\n")
			tr.mu.Unlock()
			select {
			case tr.grew <- struct{}{}:
			default:
			}
		}
	}()
	return tr
}

func (tr *transcript) String() string {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.mu.text.String()
}

func start(t *testing.T, args ...string) *program {
	t.Helper()
	p := &program{t: t, cmd: exec.Command("/proc/self/exe", args...)}
	p.cmd.Env = append(os.Environ(), playVariable+"=1", "GORACE=atexit_sleep_ms=0") // a dying process must not linger for the race detector
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.stdout, p.stderr = record(stdout), record(stderr)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		if t.Failed() {
			t.Logf("lmss %s\n%s%s", strings.Join(args, " "), p.stdout, p.stderr)
		}
	})
	return p
}

// see waits until a stream has count times the text and returns all that it has.
func (p *program) see(tr *transcript, text string, count int) string {
	p.t.Helper()
	timeout := time.After(patience)
	for {
		all := tr.String()
		if strings.Count(all, text) >= count {
			return all
		}
		select {
		case <-tr.grew:
		case <-tr.ended:
			if strings.Count(tr.String(), text) < count {
				p.t.Fatalf("ended without %q", text)
			}
		case <-timeout:
			p.t.Fatalf("no %q", text)
		}
	}
}

// exit waits for the end and returns the exit code.
func (p *program) exit() int {
	p.t.Helper()
	timer := time.AfterFunc(patience, func() { _ = p.cmd.Process.Kill() })
	defer timer.Stop()
	for _, tr := range []*transcript{p.stdout, p.stderr} {
		<-tr.ended
	}
	_ = p.cmd.Wait() // its error is the exit code
	return p.cmd.ProcessState.ExitCode()
}

// pids gives the pid of each start of a child, from the supervisor's log.
func (p *program) pids(child string, count int) []int {
	p.t.Helper()
	var pids []int
	for line := range strings.Lines(p.see(p.stderr, "msg=\"child started\" process=supervisor child="+child, count)) {
		_, rest, found := strings.Cut(line, "msg=\"child started\" process=supervisor child="+child+" pid=")
		var pid int
		if _, err := fmt.Sscan(rest, &pid); found && err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// office writes a configuration with free ports in a directory of its own and returns its path.
func office(t *testing.T, more string) string {
	t.Helper()
	// Not t.TempDir: its name would make the paths of the sockets too long.
	dir, err := os.MkdirTemp("", "lmss")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	text := "site: london\ndomain: example.org\nstate_dir: " + dir + "/state\n" + more
	if !strings.Contains(more, "listen:") {
		text += "listen: {udp: [\"127.0.0.1:0\"], tcp: [\"127.0.0.1:0\"]}\n"
	}
	path := filepath.Join(dir, "lmss.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
