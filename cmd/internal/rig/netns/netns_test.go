package netns

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// twoSpaces is two spaces on one switch.
func twoSpaces(t *testing.T) (a, b *Wire) {
	t.Helper()
	n, err := New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	s, err := n.Switch(netip.MustParsePrefix("10.1.0.0/24"))
	if err != nil {
		t.Fatal(err)
	}
	wires := make([]*Wire, 2)
	for i, name := range []string{"a", "b"} {
		space, err := n.Space(name)
		if err == nil {
			wires[i], err = s.Plug(space)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return wires[0], wires[1]
}

// passes sends datagrams from one wire to the other until one arrives, or the time is up.
func passes(t *testing.T, from, to *Wire, within time.Duration) bool {
	t.Helper()
	in, err := to.space.ListenUDP(netip.AddrPortFrom(to.addr, 0))
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := from.space.ListenUDP(netip.AddrPortFrom(from.addr, 0))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	for until := time.Now().Add(within); time.Now().Before(until); {
		if _, err := out.WriteTo([]byte("x"), in.LocalAddr()); err != nil {
			t.Errorf("the sender noticed: %v", err)
			return false
		}
		if err := in.SetReadDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if _, _, err := in.ReadFrom(make([]byte, 1)); err == nil {
			return true
		} else if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal(err)
		}
	}
	return false
}

func TestWiresAreCutAndMended(t *testing.T) {
	t.Parallel()
	a, b := twoSpaces(t)
	for _, c := range []struct {
		name       string
		cut, mend  func() error
		other, ask *Wire
	}{
		{"cut", a.Cut, a.Mend, a, b},
		{"the other end cut", a.Cut, a.Mend, b, a},
		{"separate", func() error { return Separate(a, b) }, func() error { return Rejoin(a, b) }, a, b},
		{"separate, the other way", func() error { return Separate(a, b) }, func() error { return Rejoin(a, b) }, b, a},
	} {
		if !passes(t, c.other, c.ask, 5*time.Second) {
			t.Errorf("%s: nothing passes before", c.name)
		}
		if err := c.cut(); err != nil {
			t.Fatal(err)
		}
		if passes(t, c.other, c.ask, 300*time.Millisecond) {
			t.Errorf("%s: a datagram passed", c.name)
		}
		if err := c.mend(); err != nil {
			t.Fatal(err)
		}
		if !passes(t, c.other, c.ask, 10*time.Second) {
			t.Errorf("%s: nothing passes afterwards", c.name)
		}
	}
}

func TestSocketsAndProgramsAreInside(t *testing.T) {
	t.Parallel()
	a, b := twoSpaces(t)
	l, err := b.space.ListenTCP(netip.AddrPortFrom(b.addr, 0))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	c, err := a.space.DialTCP(ctx, l.Addr().(*net.TCPAddr).AddrPort())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if host, _, _ := net.SplitHostPort(c.LocalAddr().String()); host != a.addr.String() {
		t.Errorf("connected from %v, want %v", c.LocalAddr(), a.addr)
	}
	text, err := a.space.Run("ip", "-4", "-o", "addr")
	if err != nil || !strings.Contains(text, a.addr.String()) || strings.Contains(text, b.addr.String()) {
		t.Errorf("addresses inside: %s%v", text, err)
	}
	if _, err := a.space.Run("ip", "link", "show", "nothing-of-that-name"); err == nil || !strings.Contains(err.Error(), "nothing-of-that-name") {
		t.Errorf("a command that fails: %v", err)
	}
	if _, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(a.addr, 0))); err == nil {
		t.Error("the thread stayed inside")
	}
}

// What a dead process left is removed by the next, with what runs in it; what a living one has stays.
func TestOrphansAreSwept(t *testing.T) {
	t.Parallel()
	a, _ := twoSpaces(t)
	const dead = family + "1-never-1-orphan" // there is a process 1, but it did not start then
	if _, err := tool("ip", "netns", "add", dead); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = remove(dead) })
	stdin, stdout, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	p, err := os.StartProcess("/bin/sh", []string{"sh", "-c", "exec ip netns exec " + dead + " sh -c 'echo ready; exec sleep 300'"},
		&os.ProcAttr{Files: []*os.File{nil, stdout, os.Stderr}})
	if err != nil {
		t.Fatal(err)
	}
	_ = stdout.Close()
	if line, err := bufio.NewReader(stdin).ReadString('\n'); err != nil || line != "ready\n" {
		t.Fatalf("in the orphan: %q, %v", line, err)
	}
	if err := sweep(); err != nil {
		t.Fatal(err)
	}
	state, err := p.Wait()
	if err != nil {
		t.Fatal(err)
	}
	if status, ok := state.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
		t.Errorf("the process inside: %v", state)
	}
	if _, err := os.Stat(filepath.Join(folder, dead)); err == nil {
		t.Error("the orphan is still there")
	}
	if _, err := os.Stat(filepath.Join(folder, a.space.name)); err != nil {
		t.Errorf("a living process lost its namespace: %v", err)
	}
	for _, name := range []string{"other", family + "x-1-1-a", family + "1"} {
		if orphan(name) {
			t.Errorf("%s is not ours to remove", name)
		}
	}
}
