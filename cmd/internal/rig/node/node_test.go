package node

import (
	"context"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// program writes a stand-in for lmss: a shell script.
func program(t *testing.T, script string) (bin string) {
	t.Helper()
	bin = t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "lmss"), []byte("#!/bin/sh\n"+script), 0o700); err != nil {
		t.Fatal(err)
	}
	return bin
}

func TestStartSaysWhyANodeEnded(t *testing.T) {
	t.Parallel()
	_, err := Start(t.Context(), Options{Bin: program(t, "echo the disk is on fire >&2; exit 3\n")})
	if err == nil || !strings.Contains(err.Error(), "exit status 3") || !strings.Contains(err.Error(), "the disk is on fire") {
		t.Errorf("error %v", err)
	}
}

func TestStopFindsWhatIsLeft(t *testing.T) {
	t.Parallel()
	// The stand-in never answers, so Start gives up; its child outlives it.
	n, err := Prepare(Options{Bin: program(t, "sleep 300 & trap 'exit 0' TERM; while :; do sleep 0.01; done\n")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Remove() })
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := n.Run(ctx); err == nil {
		t.Fatal("a shell script answered SIP")
	}
	waiting, stop := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer stop()
	if err := n.Gone(waiting); err == nil {
		t.Error("nothing seems to be left while the node runs")
	}
	began := time.Now()
	err = n.Stop()
	if err == nil || !strings.Contains(err.Error(), "left behind") {
		t.Errorf("stop: %v (%v)", err, time.Since(began))
	}
	ending, done := context.WithTimeout(t.Context(), 5*time.Second)
	defer done()
	if err := n.Gone(ending); err != nil {
		t.Errorf("after the stop: %v", err)
	}
}

func TestBoundSeesSockets(t *testing.T) {
	t.Parallel()
	addr := NewAddress()
	if got := Bound(addr); len(got) != 0 {
		t.Fatalf("bound before anything was: %v", got)
	}
	udp, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, 0)))
	if err != nil {
		t.Fatal(err)
	}
	tcp, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(addr, 0)))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"udp " + udp.LocalAddr().String(), "tcp " + tcp.Addr().String()}
	if got := Bound(addr); len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("bound %v, want %v", got, want)
	}
	udp.Close()
	tcp.Close()
	if got := Bound(addr); len(got) != 0 {
		t.Errorf("still bound: %v", got)
	}
}

func TestChildrenAreFound(t *testing.T) {
	t.Parallel()
	s, ok := statusOf(os.Getpid())
	if !ok || s.parent != os.Getppid() || s.started == 0 {
		t.Errorf("own status %+v", s)
	}
	if _, ok := statusOf(-1); ok {
		t.Error("a process that cannot be was found")
	}
}

func TestAPortThatIsTaken(t *testing.T) {
	t.Parallel()
	addr := NewAddress()
	free, err := freePorts(addr, 0)
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(free.udp))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := freePorts(addr, free.udp.Port()); err == nil {
		t.Error("a taken port was given out")
	}
}
