package netns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"
)

// folder is where iproute2 keeps the names of namespaces.
const folder = "/run/netns"

// Space is one namespace: a machine of its own, as far as the network goes.
type Space struct {
	name       string
	interfaces int // how many it has, guarded by its Net
}

// Name is what `ip netns exec` calls it.
func (s *Space) Name() string { return s.name }

// Do calls f on a thread that is inside, and gives its error. Sockets that f makes and processes that it starts are
// inside for good; goroutines that it starts are not. It does not matter which goroutine uses such a socket.
func (s *Space) Do(f func() error) error {
	runtime.LockOSThread() // without the unlock, the thread ends with its goroutine: never back to others from elsewhere
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("enter namespace %s: %w", s.name, err)
	}
	defer home.Close()
	there, err := os.Open(filepath.Join(folder, s.name))
	if err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("enter namespace %s: %w", s.name, err)
	}
	defer there.Close()
	if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("enter namespace %s: %w", s.name, err)
	}
	err = f()
	if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back != nil {
		return errors.Join(err, fmt.Errorf("leave namespace %s: %w", s.name, back))
	}
	runtime.UnlockOSThread()
	return err
}

// Run runs a program such as ip or iptables inside until it ends, and gives what it printed.
func (s *Space) Run(program string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), toolLimit)
	defer cancel()
	return s.RunContext(ctx, program, args...)
}

// RunContext is Run for a program that may take as long as the context.
func (s *Space) RunContext(ctx context.Context, program string, args ...string) (string, error) {
	return output(ctx, s.Do, program, args)
}

// ListenUDP binds a UDP socket inside.
func (s *Space) ListenUDP(at netip.AddrPort) (conn *net.UDPConn, err error) {
	err = s.Do(func() error {
		conn, err = net.ListenUDP("udp4", net.UDPAddrFromAddrPort(at))
		return err
	})
	return conn, err
}

// ListenTCP listens inside.
func (s *Space) ListenTCP(at netip.AddrPort) (l *net.TCPListener, err error) {
	err = s.Do(func() error {
		l, err = net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(at))
		return err
	})
	return l, err
}

// DialTCP connects from inside to an address.
func (s *Space) DialTCP(ctx context.Context, to netip.AddrPort) (conn net.Conn, err error) {
	err = s.Do(func() error {
		// An address, not a name: nothing is looked up, so the socket is made on this thread.
		conn, err = (&net.Dialer{}).DialContext(ctx, "tcp4", to.String())
		return err
	})
	return conn, err
}
