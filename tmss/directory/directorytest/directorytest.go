// Package directorytest runs real members of the directory for tests, each in a process of its own, as in the
// product: the test binary starts itself again. A package that uses it calls [Main] from TestMain. Start at
// [Start].
package directorytest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/mss-federation/mss/pkg/identity"
	"github.com/mss-federation/mss/pkg/identity/identitytest"
	"github.com/mss-federation/mss/tmss/directory"
	"github.com/mss-federation/mss/tmss/discovery"
)

// variable carries a child's options.
const variable = "MSS_TEST_DIRECTORY"

// childOptions is what a member process is told.
type childOptions struct {
	Name, Dir, Credentials, Listen string
	Members                        map[string]string
	Debug                          bool
}

// Main runs the tests, or a member if this process was started to be one.
func Main(m *testing.M) {
	text := os.Getenv(variable)
	if text == "" {
		os.Exit(m.Run()) //nolint:forbidigo // it is called by TestMain
	}
	if err := child(text); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1) //nolint:forbidigo // as above
	}
	os.Exit(0) //nolint:forbidigo // as above
}

// child serves until its standard input ends.
func child(text string) error {
	var o childOptions
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	level := slog.LevelError
	if o.Debug {
		level = slog.LevelDebug
	}
	return directory.Run(ctx, directory.Options{
		Name: o.Name, Dir: o.Dir, Credentials: o.Credentials, Listen: o.Listen, Members: o.Members,
		Ready:  func(address string) { fmt.Fprintln(os.Stdout, address) },
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})),
	})
}

// Member is one member process, which may be killed, stopped and started again on its data.
type Member struct {
	Address string // where hubs reach it; the same after a restart
	Domain  *identitytest.Domain

	options childOptions
	process *exec.Cmd
	stdin   io.Closer
	ready   chan string
}

// Start runs a directory of one member, of hub a.
func Start(tb testing.TB, domain *identitytest.Domain) *Member {
	tb.Helper()
	m := newMember(tb, domain, "a", "127.0.0.1:0", nil)
	m.Run(tb)
	m.Await(tb)
	return m
}

// newMember prepares a member that does not run yet.
func newMember(tb testing.TB, domain *identitytest.Domain, name, listen string, members map[string]string) *Member {
	tb.Helper()
	dir, err := os.MkdirTemp("", "mss-dir-") // short: it has sockets
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			tb.Error(err)
		}
	})
	credentials := filepath.Join(dir, identity.NodeFile)
	if err := domain.Credentials(tb, identity.Hub, name).Save(credentials); err != nil {
		tb.Fatal(err)
	}
	m := &Member{Domain: domain, options: childOptions{
		Name: name, Dir: filepath.Join(dir, "d"), Credentials: credentials, Listen: listen, Members: members,
	}}
	tb.Cleanup(func() { m.end(tb) })
	return m
}

// Run starts the process.
func (m *Member) Run(tb testing.TB) {
	tb.Helper()
	text, err := json.Marshal(m.options)
	if err != nil {
		tb.Fatal(err)
	}
	c := exec.Command(os.Args[0], "-test.run=^$") //nolint:gosec // the test itself
	c.Env = append(os.Environ(), variable+"="+string(text))
	c.Stderr = tb.Output()
	stdin, err := c.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	stdout, err := c.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := c.Start(); err != nil {
		tb.Fatal(err)
	}
	ready := make(chan string, 1)
	go func() {
		defer close(ready)
		if lines := bufio.NewScanner(stdout); lines.Scan() {
			ready <- lines.Text()
		}
	}()
	m.process, m.stdin, m.ready = c, stdin, ready
}

// Await waits until the member serves.
func (m *Member) Await(tb testing.TB) {
	tb.Helper()
	select {
	case address, ok := <-m.ready:
		if !ok {
			tb.Fatal("the member ended before it served")
		}
		m.Address, m.options.Listen = address, address
	case <-time.After(30 * time.Second):
		tb.Fatal("the member does not serve")
	}
}

// Kill ends the process at once (SIGKILL).
func (m *Member) Kill(tb testing.TB) {
	tb.Helper()
	m.signal(tb, syscall.SIGKILL)
	_ = m.process.Wait() // it was killed
	m.process = nil
}

// Stop holds the process (SIGSTOP).
func (m *Member) Stop(tb testing.TB) {
	tb.Helper()
	m.signal(tb, syscall.SIGSTOP)
}

// Continue lets a stopped process go on.
func (m *Member) Continue(tb testing.TB) {
	tb.Helper()
	m.signal(tb, syscall.SIGCONT)
}

func (m *Member) signal(tb testing.TB, s syscall.Signal) {
	tb.Helper()
	if err := m.process.Process.Signal(s); err != nil {
		tb.Fatal(err)
	}
}

// Exited waits for the process to end by itself, after its standard input was closed.
func (m *Member) Exited(tb testing.TB) error {
	tb.Helper()
	p := m.process
	m.process = nil
	return errors.Join(m.stdin.Close(), p.Wait())
}

func (m *Member) end(tb testing.TB) {
	tb.Helper()
	if m.process == nil {
		return
	}
	if err := m.process.Process.Kill(); err != nil {
		tb.Error(err)
	}
	_ = m.process.Wait() // it was killed
}

// Client is a hub's client of the directory.
func (m *Member) Client(tb testing.TB) *clientv3.Client {
	tb.Helper()
	return Client(tb, m.Domain, m.Address)
}

// Client is a client of several members.
func Client(tb testing.TB, domain *identitytest.Domain, addresses ...string) *clientv3.Client {
	tb.Helper()
	client, err := discovery.Dial(addresses, identity.DirectoryTLS(domain.Source(tb, identity.Hub, "a"), domain.Trust))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = client.Close() })
	return client
}

// Options are those that the member runs with.
func (m *Member) Options() directory.Options {
	o := m.options
	return directory.Options{Name: o.Name, Dir: o.Dir, Credentials: o.Credentials, Listen: o.Listen, Members: o.Members}
}

// StartThree runs a directory of three members, of hubs a, b and c.
func StartThree(tb testing.TB, domain *identitytest.Domain) [3]*Member {
	tb.Helper()
	names := [3]string{"a", "b", "c"}
	addresses := map[string]string{}
	var held []net.Listener
	for _, name := range names {
		// The list is fixed before the first start, so the ports must be known: the system names free ones.
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			tb.Fatal(err)
		}
		addresses[name] = listener.Addr().String()
		held = append(held, listener)
	}
	for _, listener := range held { // all at once, so that no two are the same
		if err := listener.Close(); err != nil {
			tb.Fatal(err)
		}
	}
	var members [3]*Member
	for i, name := range names {
		members[i] = newMember(tb, domain, name, "127.0.0.1:0", addresses)
		members[i].Run(tb)
	}
	for _, m := range members {
		m.Await(tb)
	}
	return members
}
