// Package netns makes network namespaces for tests in which a wire must be cut or an address translated: spaces, each
// like a machine of its own, and switches that wires plug them into. Names carry the process that made them, so that runs
// side by side do not meet; what a process that died left behind is removed by the next one. It needs root and iproute2.
// It runs no node: nodes and phones are given [Space.Do], and so make their sockets and processes inside. Start at [New].
package netns

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// toolLimit bounds one command of iproute2 or iptables; the machine may be busy.
const toolLimit = 20 * time.Second

// nets counts the networks of this process.
var nets atomic.Uint32

// Net is a set of spaces and of the switches between them.
type Net struct {
	prefix   string
	switches *Space // where the switches are: no test speaks from there

	mu struct {
		sync.Mutex
		spaces []*Space
		ports  int // of all switches
		bridge int
	}
}

// New begins an empty network, and removes those of processes that are dead. The caller ends it with Close, after
// everything that runs in it.
func New() (*Net, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("make network namespaces: not root: run the tests as root, such as with sudo make wires")
	}
	for _, tool := range []string{"ip", "iptables"} {
		if _, err := exec.LookPath(tool); err != nil {
			return nil, fmt.Errorf("make network namespaces: %w: run make setup-packages (Debian's iproute2 and iptables)", err)
		}
	}
	if err := sweep(); err != nil {
		return nil, err
	}
	own, err := ownPrefix()
	if err != nil {
		return nil, err
	}
	n := &Net{prefix: fmt.Sprintf("%s%d-", own, nets.Add(1))}
	if n.switches, err = n.Space("switches"); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

// Close removes all spaces. What still runs inside is killed: nothing of a network outlives it.
func (n *Net) Close() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	var errs []error
	for _, s := range n.mu.spaces {
		errs = append(errs, remove(s.name))
	}
	n.mu.spaces = nil
	return errors.Join(errs...)
}

// Space adds a namespace whose loopback is up and that has no other interface yet.
func (n *Net) Space(name string) (*Space, error) {
	s := &Space{name: n.prefix + name}
	if _, err := tool("ip", "netns", "add", s.name); err != nil {
		return nil, fmt.Errorf("add namespace %s: %w", name, err)
	}
	n.mu.Lock()
	n.mu.spaces = append(n.mu.spaces, s)
	n.mu.Unlock()
	if _, err := s.Run("ip", "link", "set", "lo", "up"); err != nil {
		return nil, fmt.Errorf("add namespace %s: %w", name, err)
	}
	return s, nil
}

// Switch adds a switch whose ports have addresses in an IPv4 subnet.
func (n *Net) Switch(subnet netip.Prefix) (*Switch, error) {
	n.mu.Lock()
	n.mu.bridge++
	w := &Switch{net: n, name: fmt.Sprintf("br%d", n.mu.bridge), subnet: subnet.Masked()}
	n.mu.Unlock()
	w.next = w.subnet.Addr()
	for _, args := range [][]string{{"add", w.name, "type", "bridge"}, {"set", w.name, "up"}} {
		if _, err := n.switches.Run("ip", append([]string{"link"}, args...)...); err != nil {
			return nil, fmt.Errorf("add switch %v: %w", subnet, err)
		}
	}
	return w, nil
}

// tool runs a command here.
func tool(program string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), toolLimit)
	defer cancel()
	return output(ctx, func(f func() error) error { return f() }, program, args)
}

// output runs a command where inside starts it, and gives what it printed.
func output(ctx context.Context, inside func(func() error) error, program string, args []string) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := inside(cmd.Start)
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		return stdout.String(), fmt.Errorf("%s %s: %w: %s", program, strings.Join(args, " "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return stdout.String(), nil
}
