package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

const (
	startLimit = 20 * time.Second
	stopLimit  = 20 * time.Second
	goneLimit  = 3 * time.Second // from the supervisor's end to that of the last child and socket
	pollEvery  = 10 * time.Millisecond
	askEvery   = 50 * time.Millisecond // through mssctl, which is a process
)

// tree is one node of the network as the tree of processes that it is: a supervisor and its children, in one folder and
// on one address.
type tree struct {
	bin     string // folder of the built programs
	program string // its own
	verb    string // its subcommand that runs until it is stopped
	inside  Inside
	dir     string
	addr    netip.Addr
	config  string

	mu      sync.Mutex
	cmd     *exec.Cmd     // the supervisor
	exited  chan struct{} // closed when cmd was waited for
	exitErr error
	seen    map[int]uint64 // every process that ever belonged to the node, and when it started
}

// newTree makes the folder of a node. An address that is not valid becomes a new one.
func newTree(bin, program string, addr netip.Addr) (*tree, error) {
	dir, err := os.MkdirTemp("", "mss-") // short: paths of Unix sockets end at 107 bytes
	if err != nil {
		return nil, fmt.Errorf("make node's folder: %w", err)
	}
	if !addr.IsValid() {
		addr = NewAddress()
	}
	return &tree{
		bin: bin, program: program, verb: Supervisor, inside: here, dir: dir, addr: addr,
		config: filepath.Join(dir, program+".yaml"), seen: map[int]uint64{},
	}, nil
}

// launch starts the supervisor, which must not run.
func (n *tree) launch() error {
	log, err := os.OpenFile(n.logPath(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("start node: %w", err)
	}
	defer log.Close()
	// Not CommandContext: the node is ended by Stop, which looks for what is left.
	cmd := exec.Command(filepath.Join(n.bin, n.program), n.verb, "--config", n.config) //nolint:noctx // see above
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // the terminal's Ctrl-C is for the demonstration
	if err := n.inside(cmd.Start); err != nil {
		return fmt.Errorf("start node: %w", err)
	}
	exited := make(chan struct{})
	n.mu.Lock()
	n.cmd, n.exited, n.exitErr = cmd, exited, nil
	n.mu.Unlock()
	go func() {
		err := cmd.Wait()
		n.mu.Lock()
		n.exitErr = err
		n.mu.Unlock()
		close(exited)
	}()
	return nil
}

// whileRunning runs ready, whose context ends with the supervisor, or after startLimit. The supervisor's end is the better
// error.
func (n *tree) whileRunning(ctx context.Context, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	n.mu.Lock()
	exited := n.exited
	n.mu.Unlock()
	go func() {
		select {
		case <-exited:
			cancel()
		case <-ctx.Done():
		}
	}()
	err := ready(ctx)
	n.note()
	select {
	case <-exited:
		return fmt.Errorf("node ended while it was starting: %w", n.exitError())
	default:
	}
	if err != nil {
		return fmt.Errorf("node does not answer: %w", err)
	}
	return nil
}

func (n *tree) exitError() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.exitErr == nil {
		return errors.New("exit status 0")
	}
	return n.exitErr
}

// failed ends a node that did not start, and says what it wrote.
func (n *tree) failed(err error) error {
	if log := n.Log(); log != "" {
		err = fmt.Errorf("%w; its log:\n%s", err, log)
	}
	return errors.Join(err, n.Stop(), n.Remove())
}

// Stop asks the node to stop, waits for it, and checks that nothing is left: no process, no socket on its address.
// A node that is gone already is only checked.
func (n *tree) Stop() error {
	n.mu.Lock()
	cmd, exited := n.cmd, n.exited
	n.mu.Unlock()
	if cmd == nil {
		return nil
	}
	n.note()
	ctx, cancel := context.WithTimeout(context.Background(), stopLimit)
	defer cancel()
	select {
	case <-exited:
	default:
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return fmt.Errorf("stop node: %w", err)
		}
	}
	select {
	case <-exited:
	case <-ctx.Done():
		return errors.Join(fmt.Errorf("stop node: it did not end within %v", stopLimit), n.destroy())
	}
	leaving, done := context.WithTimeout(context.Background(), goneLimit)
	defer done()
	return errors.Join(n.Gone(leaving), n.destroy())
}

// destroy kills whatever the node left behind, so that a failed test does not disturb the next.
func (n *tree) destroy() error {
	var errs []error
	for _, pid := range n.alive() {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Gone waits until none of the node's processes runs and no socket is bound to its address.
func (n *tree) Gone(ctx context.Context) error {
	for {
		alive, bound := n.alive(), n.bound()
		if len(alive) == 0 && len(bound) == 0 {
			return nil
		}
		if err := pause(ctx, pollEvery); err != nil {
			return fmt.Errorf("left behind: processes %v, sockets %v: %w", alive, bound, err)
		}
	}
}

// Remove deletes the node's folder; Stop comes first.
func (n *tree) Remove() error {
	if err := os.RemoveAll(n.dir); err != nil {
		return fmt.Errorf("remove node's folder: %w", err)
	}
	return nil
}

func (n *tree) logPath() string { return filepath.Join(n.dir, "node.log") }

// Log is what the processes wrote; empty if none was started.
func (n *tree) Log() string {
	data, err := os.ReadFile(n.logPath())
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err.Error()
	}
	return string(data)
}

// Dir is the node's folder: configuration, state, log.
func (n *tree) Dir() string { return n.dir }

// Addr is the node's own address.
func (n *tree) Addr() netip.Addr { return n.addr }

// ConfigPath is the node's configuration file.
func (n *tree) ConfigPath() string { return n.config }

// Ctl runs mssctl against the node and gives what it printed.
func (n *tree) Ctl(ctx context.Context, args ...string) (string, error) {
	text, err := n.command(ctx, "mssctl", append([]string{"--socket", filepath.Join(n.dir, "admin.sock")}, args...))
	if err != nil {
		return text, fmt.Errorf("mssctl %v: %w", args, err)
	}
	return text, nil
}

// own runs a command of the node's own program that ends by itself. Its error does not repeat args: a token is a secret.
func (n *tree) own(ctx context.Context, verb string, args ...string) error {
	if _, err := n.command(ctx, n.program, append([]string{verb, "--config", n.config}, args...)); err != nil {
		return fmt.Errorf("%s %s: %w", n.program, verb, err)
	}
	return nil
}

func (n *tree) command(ctx context.Context, program string, args []string) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, filepath.Join(n.bin, program), args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := n.inside(cmd.Start)
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		return stdout.String(), fmt.Errorf("%w: %s", err, bytes.TrimSpace(stderr.Bytes()))
	}
	return stdout.String(), nil
}
