package contender

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	startLimit = 10 * time.Second
	stopLimit  = 5 * time.Second
)

// program is a foreign server: a process group of its own.
type program struct {
	name  string
	cmd   *exec.Cmd
	ended chan struct{}
	log   string // file of what it writes
}

// openFiles is what a server may have open: five for each call, and room.
const openFiles = 16384

// startProgram starts a server. The caller ends it with Stop.
func startProgram(name, path, log string, args ...string) (*program, error) {
	p := &program{name: name, ended: make(chan struct{}), log: log}
	out, err := os.Create(log)
	if err != nil {
		return nil, p.failed(err)
	}
	defer out.Close()
	// Not CommandContext, which would leave its children behind: Stop ends them all.
	p.cmd = exec.Command(path, args...)
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		return nil, p.failed(err)
	}
	go func() {
		_ = p.cmd.Wait() // it is asked to end; ready tells of an end that comes too early
		close(p.ended)
	}()
	if err := p.allowFiles(); err != nil {
		return nil, errors.Join(p.failed(err), p.Stop())
	}
	return p, nil
}

func (p *program) failed(err error) error { return fmt.Errorf("start %s: %w", p.name, err) }

// allowFiles lets it open so many files, as a service's settings would: a shell often allows only 1024.
func (p *program) allowFiles() error {
	var limit unix.Rlimit
	err := unix.Prlimit(p.PID(), unix.RLIMIT_NOFILE, nil, &limit)
	if err == nil && limit.Cur < openFiles {
		limit.Cur = min(openFiles, limit.Max)
		err = unix.Prlimit(p.PID(), unix.RLIMIT_NOFILE, &limit, nil)
	}
	if errors.Is(err, unix.ESRCH) { // it has ended: ready tells why
		return nil
	}
	return err
}

// ready waits for its socket. What is sent from then on waits there until it is read.
func (p *program) ready(ctx context.Context, addr netip.AddrPort) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	err := WaitBound(ctx, addr, p.ended)
	if errors.Is(err, ErrEnded) {
		said, rerr := os.ReadFile(p.log)
		return errors.Join(p.failed(fmt.Errorf("%w; it said: %s", err, said)), rerr)
	}
	if err != nil {
		return p.failed(err)
	}
	return nil
}

// PID is its first process.
func (p *program) PID() int { return p.cmd.Process.Pid }

// Stop ends all its processes.
func (p *program) Stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop %s: %w", p.name, err)
	}
	timer := time.NewTimer(stopLimit)
	defer timer.Stop()
	select {
	case <-p.ended:
	case <-timer.C:
	}
	if err := syscall.Kill(-p.PID(), syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("stop %s: %w", p.name, err)
	}
	<-p.ended
	return nil
}
