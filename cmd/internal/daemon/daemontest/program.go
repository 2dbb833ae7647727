// Package daemontest runs a program's test binary as the program itself, in processes of its own, and waits for what it
// prints. TestMain must begin with [Play]. Start at [Start].
package daemontest

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// Patience bounds every wait of these tests; the machine may be busy.
const Patience = 30 * time.Second

// Program is one run of the program in a process of its own.
type Program struct {
	t      *testing.T
	Cmd    *exec.Cmd
	Stdout *Transcript
	Stderr *Transcript
}

// Transcript collects the lines of a stream and wakes those that wait for one.
type Transcript struct {
	mu struct {
		sync.Mutex
		text strings.Builder
	}
	grew  chan struct{}
	ended chan struct{}
}

func record(r io.Reader) *Transcript {
	tr := &Transcript{grew: make(chan struct{}, 1), ended: make(chan struct{})}
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

// String is what was printed so far.
func (tr *Transcript) String() string {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.mu.text.String()
}

// Start runs the program until the test ends.
func Start(t *testing.T, args ...string) *Program {
	t.Helper()
	p := &Program{t: t, Cmd: exec.Command("/proc/self/exe", args...)}
	p.Cmd.Env = append(os.Environ(), playVariable+"=1", "GORACE=atexit_sleep_ms=0") // a dying process must not linger for the race detector
	stdout, err := p.Cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := p.Cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.Stdout, p.Stderr = record(stdout), record(stderr)
	if err := p.Cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.Cmd.Process.Kill()
		if t.Failed() {
			t.Logf("%s\n%s%s", strings.Join(args, " "), p.Stdout, p.Stderr)
		}
	})
	return p
}

// See waits until a stream has count times the text and returns all that it has.
func (p *Program) See(tr *Transcript, text string, count int) string {
	p.t.Helper()
	timeout := time.After(Patience)
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

// Exit waits for the end and returns the exit code.
func (p *Program) Exit() int {
	p.t.Helper()
	timer := time.AfterFunc(Patience, func() { _ = p.Cmd.Process.Kill() })
	defer timer.Stop()
	for _, tr := range []*Transcript{p.Stdout, p.Stderr} {
		<-tr.ended
	}
	_ = p.Cmd.Wait() // its error is the exit code
	return p.Cmd.ProcessState.ExitCode()
}

// PIDs gives the pid of each start of a child, from the supervisor's log.
func (p *Program) PIDs(process, child string, count int) []int {
	p.t.Helper()
	var pids []int
	for line := range strings.Lines(p.See(p.Stderr, "msg=\"child started\" process="+process+" child="+child, count)) {
		_, rest, found := strings.Cut(line, "msg=\"child started\" process="+process+" child="+child+" pid=")
		var pid int
		if _, err := fmt.Sscan(rest, &pid); found && err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// playVariable makes a test binary the program itself.
const playVariable = "MSS_TEST_PLAY"

// Play says whether this process is to be the program: TestMain then runs that instead of tests.
func Play() bool { return os.Getenv(playVariable) != "" }

// Running says whether a process is there and no zombie.
func Running(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, state, _ := strings.Cut(string(stat), ") ")
	return err == nil && !strings.HasPrefix(state, "Z")
}

// Eventually waits until something holds.
func Eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	timeout := time.After(Patience)
	for !cond() {
		select {
		case <-ticker.C:
		case <-timeout:
			t.Fatalf("never: %s", what)
		}
	}
}
