// Package sipp runs SIPp as caller or callee and reads what it counted. It does not judge the counts. Start at [Call]
// and [Answer].
package sipp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// Options say what a SIPp does.
type Options struct {
	// Dir is a folder of its own, for what it writes. Required.
	Dir string
	// Scenario is the file with the messages that it sends and expects. Required.
	Scenario string
	// Local is its address. Required.
	Local netip.AddrPort
	// Limit is when SIPp ends by itself, as a failure. Zero means 10m.
	Limit time.Duration
}

// Calls say what calls a caller makes.
type Calls struct {
	Server netip.AddrPort // where they are sent
	Called string         // the user part of the Request-URI
	User   string         // the name for digest
	Secret string         // the password for digest; not used by scenarios without it
	Rate   int            // new calls a second
	Count  int            // calls in all
	Open   int            // calls that may be open at a time; when they are, new ones wait
	Hold   time.Duration  // between ACK and BYE
}

// Process is a running SIPp.
type Process struct {
	dir    string
	cmd    *exec.Cmd
	output *os.File
	ended  chan struct{}
	err    error // set before ended is closed
}

// ErrMissing says that SIPp is not installed.
var ErrMissing = errors.New("sipp is not installed: run make setup-packages, or apt-get install sip-tester")

// Version is the first line that SIPp says of itself.
func Version(ctx context.Context) (string, error) {
	if _, err := exec.LookPath("sipp"); err != nil {
		return "", ErrMissing
	}
	// SIPp leaves with 99 after -v: that is how it says that it made no calls.
	out, err := exec.CommandContext(ctx, "sipp", "-v").Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return "", fmt.Errorf("ask sipp for its version: %w", err)
	}
	line, _, _ := bytes.Cut(bytes.TrimSpace(out), []byte("\n"))
	return string(bytes.TrimSpace(line)), nil
}

// Call starts a caller. It ends by itself when all calls have ended.
func Call(ctx context.Context, opt Options, calls Calls) (*Process, error) {
	uri := calls.Called + "@" + calls.Server.String()
	return start(
		ctx, opt, "-s", calls.Called, "-auth_uri", uri, "-au", calls.User, "-ap", calls.Secret,
		"-r", strconv.Itoa(calls.Rate), "-m", strconv.Itoa(calls.Count), "-l", strconv.Itoa(calls.Open),
		"-d", strconv.FormatInt(calls.Hold.Milliseconds(), 10), calls.Server.String(),
	)
}

// Answer starts a callee. It runs until Finish.
func Answer(ctx context.Context, opt Options) (*Process, error) { return start(ctx, opt) }

func start(ctx context.Context, opt Options, more ...string) (*Process, error) {
	path, err := exec.LookPath("sipp")
	if err != nil {
		return nil, ErrMissing
	}
	if opt.Limit == 0 {
		opt.Limit = 10 * time.Minute
	}
	// SIPp names its files after its scenario's, and puts them beside it.
	scenario := filepath.Join(opt.Dir, filepath.Base(opt.Scenario))
	if err := copyFile(scenario, opt.Scenario); err != nil {
		return nil, fmt.Errorf("start sipp: %w", err)
	}
	out, err := os.Create(filepath.Join(opt.Dir, "output"))
	if err != nil {
		return nil, fmt.Errorf("start sipp: %w", err)
	}
	args := append([]string{
		"-sf", scenario, "-i", opt.Local.Addr().String(), "-p", strconv.Itoa(int(opt.Local.Port())), "-nostdin",
		"-trace_counts", "-trace_stat", "-stf", filepath.Join(opt.Dir, statFile), "-fd", "1", "-trace_err",
		// Without these SIPp itself loses messages and finds calls that are over, at a thousand calls a second and more.
		"-buff_size", "4194304", "-deadcall_wait", "0", "-max_recv_loops", "200",
		"-timeout", strconv.Itoa(int(opt.Limit.Seconds())), "-timeout_error",
	}, more...)
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = opt.Dir, out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for the program that started it
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start sipp: %w", err), out.Close())
	}
	p := &Process{dir: opt.Dir, cmd: cmd, output: out, ended: make(chan struct{})}
	go p.wait()
	return p, nil
}

func copyFile(to, from string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o600)
}

func (p *Process) wait() {
	err := p.cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) && (exit.ExitCode() == exitSomeFailed || exit.ExitCode() == exitNoCalls) {
		err = nil // the counts say so
	}
	if err != nil {
		err = fmt.Errorf("sipp: %w: %s", err, p.Trouble())
	}
	p.err = errors.Join(err, p.output.Close())
	close(p.ended)
}

// SIPp's exit codes that say what calls came to, and not that it could not run.
const (
	exitSomeFailed = 1
	exitNoCalls    = 99
)

// PID is the process.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Ended is closed when the process has ended.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Wait waits for the end. It gives what the process counted, and the processor time it used.
func (p *Process) Wait() (Counts, time.Duration, error) {
	<-p.ended
	used := p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()
	if p.err != nil {
		return Counts{}, used, p.err
	}
	counts, err := p.Counts()
	return counts, used, err
}

// Finish asks the process to end when its open calls have ended, and kills it when that takes longer than patience.
func (p *Process) Finish(patience time.Duration) (Counts, time.Duration, error) {
	if err := p.cmd.Process.Signal(syscall.SIGUSR1); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return Counts{}, 0, fmt.Errorf("finish sipp: %w", err)
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-p.ended:
		return p.Wait()
	case <-timer.C:
		if err := p.Kill(); err != nil {
			return Counts{}, 0, err
		}
		counts, err := p.Counts()
		return counts, p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime(), err
	}
}

// Kill ends the process at once and waits until it is gone.
func (p *Process) Kill() error {
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill sipp: %w", err)
	}
	<-p.ended
	return nil
}
