package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"github.com/mss-federation/mss/cmd/internal/daemon"
	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/network"
	"github.com/mss-federation/mss/tmss/config"
)

// sockets are all that the hub listens on.
type sockets struct {
	udp      []network.PacketConn
	tcp, tls []net.Listener
	grpc     []net.Listener
	http     []net.Listener // for monitoring
}

// bindAgain is how often a port that a killed predecessor may still hold is tried.
const bindAgain = 20 * time.Millisecond

// bind makes the sockets and prints each. On an error what it made is still there: see close.
func (s *sockets) bind(ctx context.Context, c *config.Config, patience time.Duration, out io.Writer) (err error) {
	var system network.System
	listen := func(addr netip.AddrPort, name string) net.Listener {
		if err != nil {
			return nil
		}
		ln, bindErr := try(ctx, patience, func() (net.Listener, error) { return system.ListenTCP(ctx, addr) })
		if bindErr != nil {
			err = refused(name, addr, bindErr)
			return nil
		}
		_, err = fmt.Fprintln(out, "listening", name, ln.Addr())
		return ln
	}
	for _, addr := range c.Listen.UDP {
		conn, bindErr := try(ctx, patience, func() (network.PacketConn, error) { return system.ListenUDP(ctx, addr) })
		if bindErr != nil {
			return refused("udp", addr, bindErr)
		}
		s.udp = append(s.udp, conn)
		if _, err := fmt.Fprintln(out, "listening udp", conn.LocalAddr()); err != nil {
			return err
		}
	}
	for _, addr := range c.Listen.TLS {
		s.tls = appendListener(s.tls, listen(addr, "tls"))
	}
	for _, addr := range c.Listen.TCP {
		s.tcp = appendListener(s.tcp, listen(addr, "tcp"))
	}
	for _, addr := range c.Listen.GRPC {
		s.grpc = appendListener(s.grpc, listen(addr, "grpc"))
	}
	for _, addr := range c.Admin.HTTP {
		s.http = appendListener(s.http, listen(addr, "http"))
	}
	return err
}

func appendListener(list []net.Listener, l net.Listener) []net.Listener {
	if l == nil {
		return list
	}
	return append(list, l)
}

// try binds again while the port is in use, as it may be for a moment after the last hub was killed.
func try[T any](ctx context.Context, patience time.Duration, bind func() (T, error)) (T, error) {
	deadline := time.Now().Add(patience)
	for {
		made, err := bind()
		if err == nil || !errors.Is(err, syscall.EADDRINUSE) || !time.Now().Before(deadline) {
			return made, err
		}
		timer := time.NewTimer(bindAgain)
		select {
		case <-ctx.Done():
			timer.Stop()
			return made, err
		case <-timer.C:
		}
	}
}

// refused says what to do about an address that cannot be had.
func refused(name string, addr netip.AddrPort, err error) error {
	hint := "choose another address in listen"
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		hint = "see who has it: ss -lunp for UDP, ss -ltnp for others"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		hint = "this machine has no such address: ip address shows those that it has"
	case errors.Is(err, syscall.EACCES):
		hint = "ports below 1024 are root's: choose a higher one"
	}
	return daemon.Exit(daemon.ExitNoAddress, &fault.Error{
		Op: "listen " + name, Kind: fault.Unavailable, Subject: addr.String(), Err: fmt.Errorf("%w; %s", err, hint),
	})
}

func (s *sockets) close() error {
	var failures []error
	for _, c := range s.udp {
		failures = append(failures, c.Close())
	}
	for _, l := range slices.Concat(s.tcp, s.tls, s.grpc, s.http) {
		failures = append(failures, l.Close())
	}
	return errors.Join(failures...)
}
