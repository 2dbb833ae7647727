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
)

const (
	startLimit = 10 * time.Second
	stopLimit  = 5 * time.Second
)

// program is a contender that runs: a process and its children, which are a group of their own.
type program struct {
	addr  netip.AddrPort
	cmd   *exec.Cmd
	ended chan struct{}
	log   string
}

// launch starts a program that is to open a UDP port, and waits until it has: what is sent from then on waits there.
func launch(ctx context.Context, addr netip.AddrPort, logFile, path string, args ...string) (*program, error) {
	log, err := os.Create(logFile)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	// Not CommandContext, which would leave its children behind: Stop ends them all.
	p := &program{addr: addr, cmd: exec.Command(path, args...), ended: make(chan struct{}), log: logFile} //nolint:noctx // see above
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = p.cmd.Wait() // it is asked to end; ready tells of an end that comes too early
		close(p.ended)
	}()
	if err := p.ready(ctx); err != nil {
		return nil, errors.Join(err, p.Stop())
	}
	return p, nil
}

func (p *program) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	err := WaitBound(ctx, p.addr, p.ended)
	if errors.Is(err, ErrEnded) {
		said, rerr := os.ReadFile(p.log)
		return errors.Join(fmt.Errorf("%w; it said: %s", err, said), rerr)
	}
	return err
}

// Addr is where it takes calls.
func (p *program) Addr() netip.AddrPort { return p.addr }

// PID is its main process.
func (p *program) PID() int { return p.cmd.Process.Pid }

// Apart is none.
func (p *program) Apart() int { return 0 }

// Stop ends its processes.
func (p *program) Stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop %s: %w", p.cmd.Path, err)
	}
	timer := time.NewTimer(stopLimit)
	defer timer.Stop()
	select {
	case <-p.ended:
	case <-timer.C:
	}
	if err := syscall.Kill(-p.PID(), syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("stop %s: %w", p.cmd.Path, err)
	}
	<-p.ended
	return nil
}
