// Package node runs one L-MSS as the processes that it is in production: from the built program, with a generated
// configuration, in its own folder and on its own loopback address. It finds and kills those processes, asks them
// through mssctl, and shows that nothing is left after them. Start at [Start].
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

// Options say what node to start.
type Options struct {
	Bin    string     // folder of the built programs
	Site   string     // zero: london
	Domain string     // zero: example.org
	Addr   netip.Addr // zero: an own address in 127.0.0.0/8
	Port   uint16     // for UDP and TCP; zero: free ones
	Users  []User
	// Extra is YAML that is added to the configuration at top level, such as "timers: {no_answer: 5s}".
	Extra string
}

// User is an extension of the node.
type User struct{ Name, Password, Display string }

const (
	startLimit = 20 * time.Second
	stopLimit  = 20 * time.Second
	goneLimit  = 3 * time.Second // from the supervisor's end to that of the last child and socket
	pollEvery  = 10 * time.Millisecond
)

// Node is a running L-MSS.
type Node struct {
	opt    Options
	dir    string
	addr   netip.Addr
	udp    netip.AddrPort
	tcp    netip.AddrPort
	config string

	mu      sync.Mutex
	cmd     *exec.Cmd     // the supervisor
	exited  chan struct{} // closed when cmd was waited for
	exitErr error
	seen    map[int]uint64 // every process that ever belonged to the node, and when it started
}

// Start writes the configuration, starts the node and waits until it answers SIP. The caller ends it with Stop.
func Start(ctx context.Context, opt Options) (*Node, error) {
	if opt.Site == "" {
		opt.Site = "london"
	}
	if opt.Domain == "" {
		opt.Domain = "example.org"
	}
	dir, err := os.MkdirTemp("", "mss-") // short: paths of Unix sockets end at 107 bytes
	if err != nil {
		return nil, fmt.Errorf("start node: %w", err)
	}
	n := &Node{opt: opt, dir: dir, addr: opt.Addr, config: filepath.Join(dir, "lmss.yaml"), seen: map[int]uint64{}}
	if err := n.prepare(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if err := n.Run(ctx); err != nil {
		log := n.Log()
		return nil, errors.Join(fmt.Errorf("%w; its log:\n%s", err, log), n.Stop(), n.Remove())
	}
	return n, nil
}

func (n *Node) prepare() error {
	if !n.addr.IsValid() {
		n.addr = NewAddress()
	}
	var err error
	if n.udp, n.tcp, err = freePorts(n.addr, n.opt.Port); err != nil {
		return err
	}
	if err := os.WriteFile(n.config, n.yaml(), 0o600); err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	return nil
}

func (n *Node) yaml() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "site: %s\ndomain: %s\nstate_dir: %s\n", n.opt.Site, n.opt.Domain, n.dir)
	fmt.Fprintf(&b, "listen:\n  udp: [%q]\n  tcp: [%q]\n", n.udp, n.tcp)
	if len(n.opt.Users) > 0 {
		b.WriteString("users:\n")
	}
	for _, u := range n.opt.Users {
		fmt.Fprintf(&b, "  - {name: %q, password: %q, display: %q}\n", u.Name, u.Password, u.Display)
	}
	b.WriteString(n.opt.Extra + "\n")
	return b.Bytes()
}

// Run starts the supervisor of a node that is not running, on the same state, and waits until it answers.
func (n *Node) Run(ctx context.Context) error {
	log, err := os.OpenFile(n.logPath(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("start node: %w", err)
	}
	defer log.Close()
	// Not CommandContext: the node is ended by Stop, which looks for what is left.
	cmd := exec.Command(filepath.Join(n.opt.Bin, "lmss"), "run", "--config", n.config) //nolint:noctx // see above
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // the terminal's Ctrl-C is for the demonstration
	if err := cmd.Start(); err != nil {
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
	return n.WaitReady(ctx)
}

func (n *Node) logPath() string { return filepath.Join(n.dir, "node.log") }

// Log is what the processes wrote.
func (n *Node) Log() string {
	data, err := os.ReadFile(n.logPath())
	if err != nil {
		return err.Error()
	}
	return string(data)
}

// Dir is the node's folder: configuration, state, log.
func (n *Node) Dir() string { return n.dir }

// Addr is the node's own address.
func (n *Node) Addr() netip.Addr { return n.addr }

// UDP is where phones register over UDP.
func (n *Node) UDP() netip.AddrPort { return n.udp }

// TCP is where phones register over TCP.
func (n *Node) TCP() netip.AddrPort { return n.tcp }

// ConfigPath is the node's configuration file.
func (n *Node) ConfigPath() string { return n.config }

// Realm is what its passwords are made for.
func (n *Node) Realm() string { return n.opt.Site + "." + n.opt.Domain }

// WaitReady waits until the node answers SIP on its UDP and TCP addresses. It fails at once when the supervisor ended.
func (n *Node) WaitReady(ctx context.Context) error {
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
	err := errors.Join(probeUDP(ctx, n.udp), probeTCP(ctx, n.tcp))
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

func (n *Node) exitError() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.exitErr == nil {
		return errors.New("exit status 0")
	}
	return n.exitErr
}

// Ctl runs mssctl against the node and gives what it printed.
func (n *Node) Ctl(ctx context.Context, args ...string) (string, error) {
	var stdout, stderr bytes.Buffer
	args = append([]string{"--socket", filepath.Join(n.dir, "admin.sock")}, args...)
	cmd := exec.CommandContext(ctx, filepath.Join(n.opt.Bin, "mssctl"), args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("mssctl %v: %w: %s", args[2:], err, bytes.TrimSpace(stderr.Bytes()))
	}
	return stdout.String(), nil
}

// Remove deletes the node's folder; Stop comes first.
func (n *Node) Remove() error {
	if err := os.RemoveAll(n.dir); err != nil {
		return fmt.Errorf("remove node's folder: %w", err)
	}
	return nil
}
