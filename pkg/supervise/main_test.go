package supervise

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// roleVariable makes this test binary play a process of the tests.
const roleVariable = "MSS_SUPERVISE_TEST_ROLE"

func TestMain(m *testing.M) {
	switch role := os.Getenv(roleVariable); role {
	case "":
		os.Exit(m.Run())
	case "child":
		os.Exit(playChild())
	case "supervisor":
		os.Exit(playSupervisor())
	case "fail":
		os.Exit(7)
	default:
		panic("unknown role " + role)
	}
}

// playChild serves its sockets: over UDP it answers each datagram with its pid, its configuration and the text, over
// TCP it says its pid. Some texts make it misbehave.
func playChild() int {
	in, err := Inherit()
	if err != nil {
		fmt.Fprintln(os.Stderr, "child:", err)
		return 1
	}
	ctx, stop := in.Context(context.Background())
	defer stop()
	var hung atomic.Bool
	go in.Beat(ctx, func() bool { return !hung.Load() })
	for _, ln := range in.Listeners("tcp") {
		go acceptAll(ln)
	}
	for _, conn := range in.UDP("udp") {
		go answerAll(conn, in, &hung)
	}
	in.Ready()
	<-ctx.Done()
	fmt.Fprintln(os.Stdout, "child-ended", in.Name, os.Getpid())
	return 0
}

func acceptAll(ln net.Listener) {
	for {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		_, _ = fmt.Fprintf(conn, "%d", os.Getpid())
		_ = conn.Close()
	}
}

func answerAll(conn *net.UDPConn, in *Inheritance, hung *atomic.Bool) {
	buf := make([]byte, 1500)
	for {
		n, from, err := conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		text := string(buf[:n])
		switch text {
		case "hang":
			hung.Store(true)
		case "panic":
			panic("told to")
		case "stubborn":
			signal.Ignore(syscall.SIGTERM)
		case "deadline":
			text = deadlineOf(conn)
		case "close":
			_ = conn.Close()
			os.Exit(0)
		}
		_, _ = conn.WriteToUDPAddrPort(fmt.Appendf(nil, "%d %s%s %s", os.Getpid(), in.Config, in.Fresh, text), from)
	}
}

// deadlineOf proves that the inherited socket is on the poller: a read deadline works and the read comes back.
func deadlineOf(conn *net.UDPConn) string {
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
	defer func() { _ = conn.SetReadDeadline(time.Time{}) }()
	if _, _, err := conn.ReadFromUDPAddrPort(make([]byte, 1)); os.IsTimeout(err) {
		return "kept"
	}
	return "broken"
}

// playSupervisor supervises two children on the UDP address of its first argument, with the state directory of the
// second.
func playSupervisor() int {
	addr, dir := os.Args[1], os.Args[2]
	lock, err := LockDir(dir)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	patience := time.Duration(0)
	if lock.Predecessor() != 0 {
		patience = 2 * time.Second
	}
	ctx, hurry, stop := Signals(context.Background())
	defer stop()
	socket, err := BindUDP(ctx, Bind{Name: "udp", Addr: netip.MustParseAddrPort(addr), Patience: patience})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer context.AfterFunc(ctx, func() { fmt.Fprintln(os.Stdout, "stop-asked supervisor", os.Getpid()) })()
	env := []string{roleVariable + "=child"}
	err = Run(ctx, Options{
		Children: []Child{
			{Name: "media", Env: env},
			{Name: "signal", Env: env, Sockets: []*Socket{socket}},
		},
		Hurry: hurry,
		OnEvent: func(e Event) {
			fmt.Fprintln(os.Stdout, strings.ReplaceAll(e.Kind.String(), " ", "-"), e.Child, e.PID)
		},
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if err := lock.Release(); err != nil {
		return 1
	}
	return 0
}
