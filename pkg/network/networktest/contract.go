// Package networktest is the contract of network.Network as a test suite, run on every implementation.
// Start at [Contract].
package networktest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/mss-federation/mss/pkg/network"
)

// patience bounds what must happen; nothing waits for it when all is well.
const patience = 5 * time.Second

// Host is a machine: its network and one address that it has.
type Host struct {
	Network network.Network
	Addr    netip.Addr
}

// Contract tests two hosts that reach each other without loss.
func Contract(t *testing.T, a, b Host) {
	t.Helper()
	for name, test := range map[string]func(t *testing.T, a, b Host){
		"datagrams keep their borders": datagrams,
		"wildcard is refused":          wildcard,
		"address in use":               inUse,
		"close wakes the reader":       closeWakes,
		"datagram too large":           tooLarge,
		"stream both ways":             stream,
		"half close":                   halfClose,
		"dial from an address":         dialFrom,
		"nobody listens":               refused,
		"read deadline":                readDeadline,
		"write deadline":               writeDeadline,
		"close wakes accept":           closeAccept,
		"context ended":                contextEnded,
		"route":                        route,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, a, b)
		})
	}
}

func datagrams(t *testing.T, a, b Host) {
	t.Helper()
	x, y := listenUDP(t, a), listenUDP(t, b)
	toY, fromX := network.AddrPort(y.LocalAddr()), network.AddrPort(x.LocalAddr())
	for _, size := range []int{1, 0, 1300, 60000} {
		if _, err := x.WriteToUDPAddrPort(bytes.Repeat([]byte{'m'}, size), toY); err != nil {
			t.Fatalf("write %d bytes: %v", size, err)
		}
		buf := make([]byte, 1<<16)
		n, from, err := y.ReadFromUDPAddrPort(buf)
		if err != nil || n != size || netip.AddrPortFrom(from.Addr().Unmap(), from.Port()) != fromX {
			t.Fatalf("read %d bytes from %v, %v; want %d from %v", n, from, err, size, fromX)
		}
	}
}

func wildcard(t *testing.T, a, _ Host) {
	t.Helper()
	if conn, err := a.Network.ListenUDP(t.Context(), netip.AddrPortFrom(netip.IPv4Unspecified(), 0)); err == nil {
		t.Fatalf("bound %v", conn.LocalAddr())
	}
}

func inUse(t *testing.T, a, _ Host) {
	t.Helper()
	conn := listenUDP(t, a)
	if _, err := a.Network.ListenUDP(t.Context(), network.AddrPort(conn.LocalAddr())); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("second socket: %v, want EADDRINUSE", err)
	}
	ln := listenTCP(t, a)
	if _, err := a.Network.ListenTCP(t.Context(), network.AddrPort(ln.Addr())); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("second listener: %v, want EADDRINUSE", err)
	}
}

func closeWakes(t *testing.T, a, _ Host) {
	t.Helper()
	conn := listenUDP(t, a)
	ended := make(chan error, 1)
	go func() {
		_, _, err := conn.ReadFromUDPAddrPort(make([]byte, 10))
		ended <- err
	}()
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("read after close: %v, want net.ErrClosed", err)
	}
	to := netip.AddrPortFrom(a.Addr, 9)
	if _, err := conn.WriteToUDPAddrPort([]byte("x"), to); !errors.Is(err, net.ErrClosed) {
		t.Errorf("write after close: %v, want net.ErrClosed", err)
	}
}

func tooLarge(t *testing.T, a, b Host) {
	t.Helper()
	x, y := listenUDP(t, a), listenUDP(t, b)
	if _, err := x.WriteToUDPAddrPort(make([]byte, 70000), network.AddrPort(y.LocalAddr())); !errors.Is(err, syscall.EMSGSIZE) {
		t.Errorf("%v, want EMSGSIZE", err)
	}
}

func stream(t *testing.T, a, b Host) {
	t.Helper()
	client, server := connect(t, a, b)
	if network.AddrPort(client.RemoteAddr()) != network.AddrPort(server.LocalAddr()) ||
		network.AddrPort(server.RemoteAddr()) != network.AddrPort(client.LocalAddr()) {
		t.Errorf("%v > %v is not %v > %v", client.LocalAddr(), client.RemoteAddr(), server.RemoteAddr(), server.LocalAddr())
	}
	sent := bytes.Repeat([]byte("0123456789"), 50_000) // more than any window
	wrote := make(chan error, 1)
	go func() {
		_, err := client.Write(sent)
		wrote <- errors.Join(err, client.Close())
	}()
	got, err := io.ReadAll(server)
	if err != nil || !bytes.Equal(got, sent) {
		t.Errorf("read %d bytes, %v; want %d", len(got), err, len(sent))
	}
	if err := <-wrote; err != nil {
		t.Error(err)
	}
	if _, err := client.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("read after close: %v, want net.ErrClosed", err)
	}
}

func halfClose(t *testing.T, a, b Host) {
	t.Helper()
	client, server := connect(t, a, b)
	half, ok := client.(interface{ CloseWrite() error })
	if !ok {
		t.Fatal("a stream cannot be closed one way")
	}
	if err := half.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(server); err != nil || len(got) > 0 {
		t.Errorf("read %q, %v; want the end", got, err)
	}
	if _, err := server.Write([]byte("x")); err != nil {
		t.Error(err)
	}
	if n, err := client.Read(make([]byte, 1)); n != 1 || err != nil {
		t.Errorf("the other direction: %d, %v", n, err)
	}
	if _, err := client.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("write after the end: %v, want EPIPE", err)
	}
}

func dialFrom(t *testing.T, a, b Host) {
	t.Helper()
	ln := listenTCP(t, b)
	conn, err := a.Network.DialTCP(t.Context(), netip.AddrPortFrom(a.Addr, 0), network.AddrPort(ln.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	defer closing(t, conn)
	if got := network.AddrPort(conn.LocalAddr()).Addr(); got != a.Addr {
		t.Errorf("dialled from %v, want %v", got, a.Addr)
	}
}

func refused(t *testing.T, a, b Host) {
	t.Helper()
	ln := listenTCP(t, b)
	to := network.AddrPort(ln.Addr())
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Network.DialTCP(t.Context(), netip.AddrPort{}, to); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("%v, want ECONNREFUSED", err)
	}
}

func readDeadline(t *testing.T, a, b Host) {
	t.Helper()
	client, server := connect(t, a, b)
	ended := make(chan error, 1)
	go func() {
		_, err := server.Read(make([]byte, 1))
		ended <- err
	}()
	if err := server.SetReadDeadline(time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v, want a deadline error", err)
	}
	if err := server.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if n, err := server.Read(make([]byte, 1)); n != 1 || err != nil {
		t.Errorf("read after the deadline was lifted: %d, %v", n, err)
	}
}

func writeDeadline(t *testing.T, a, b Host) {
	t.Helper()
	client, _ := connect(t, a, b)
	if err := client.SetWriteDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, err := client.Write(make([]byte, 64<<20)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("wrote %d bytes to a peer that does not read: %v, want a deadline error", n, err)
	}
}

func closeAccept(t *testing.T, a, _ Host) {
	t.Helper()
	ln := listenTCP(t, a)
	ended := make(chan error, 1)
	go func() {
		_, err := ln.Accept()
		ended <- err
	}()
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("%v, want net.ErrClosed", err)
	}
}

func contextEnded(t *testing.T, a, b Host) {
	t.Helper()
	ln := listenTCP(t, b)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := a.Network.DialTCP(ctx, netip.AddrPort{}, network.AddrPort(ln.Addr())); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want context.Canceled", err)
	}
}

func route(t *testing.T, a, b Host) {
	t.Helper()
	got, err := a.Network.Route(b.Addr)
	if err != nil || got.Is4() != b.Addr.Is4() || got.IsUnspecified() {
		t.Errorf("route to %v from %v, %v", b.Addr, got, err)
	}
}

func listenUDP(t *testing.T, h Host) network.PacketConn {
	t.Helper()
	conn, err := h.Network.ListenUDP(t.Context(), netip.AddrPortFrom(h.Addr, 0))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closing(t, conn) })
	return conn
}

func listenTCP(t *testing.T, h Host) net.Listener {
	t.Helper()
	ln, err := h.Network.ListenTCP(t.Context(), netip.AddrPortFrom(h.Addr, 0))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closing(t, ln) })
	return ln
}

func connect(t *testing.T, a, b Host) (client, server net.Conn) {
	t.Helper()
	ln := listenTCP(t, b)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	client, err := a.Network.DialTCP(ctx, netip.AddrPort{}, network.AddrPort(ln.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closing(t, client) })
	server, err = ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closing(t, server) })
	return client, server
}

// closing tolerates what the test has closed already.
func closing(t *testing.T, c io.Closer) {
	t.Helper()
	if err := c.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}
