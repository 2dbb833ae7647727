package supervise

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mss-federation/mss/pkg/fault"
)

// ReceiveBuffer is what a UDP socket is given in bytes, as far as the kernel allows: a second's traffic waits in it for
// a new child.
const ReceiveBuffer = 4 << 20

// backlog is how many connections wait for a new child; the kernel cuts it to net.core.somaxconn.
const backlog = 4096

// Socket is a bound socket that outlives the processes that use it. The supervisor never reads it and keeps it as a
// bare descriptor: an os.File on a non-blocking socket would wake this process for each packet.
type Socket struct {
	// Name is what the child asks for, such as "udp" or "tls".
	Name string
	// Network is "udp" or "tcp".
	Network string
	// Addr is the bound address, with the port that the kernel chose if it was asked for port 0.
	Addr netip.AddrPort
	// ReceiveBuffer is what the kernel gave a UDP socket, in bytes; less than the constant of this name deserves a
	// warning. Zero for TCP.
	ReceiveBuffer int

	fd int
}

// String is the socket for people: "udp 127.0.0.1:5060".
func (s *Socket) String() string { return s.Name + " " + s.Addr.String() }

// Close gives the supervisor's hold up; children keep theirs.
func (s *Socket) Close() error {
	if s.fd < 0 {
		return nil
	}
	fd := s.fd
	s.fd = -1
	return unix.Close(fd)
}

// Bind says what socket to make.
type Bind struct {
	// Name is the [Socket.Name].
	Name string
	// Addr is one literal address, never the unspecified one: an answer must leave from the address that was asked.
	Addr netip.AddrPort
	// Patience is how long to try when the port is in use, as it may be for a moment after a supervisor was killed. Zero
	// means that the first refusal is final.
	Patience time.Duration
}

// BindUDP makes a UDP socket with a large receive buffer. An error says what has the port and what to do.
func BindUDP(ctx context.Context, b Bind) (*Socket, error) {
	return b.bind(ctx, "udp", unix.SOCK_DGRAM, func(s *Socket) error {
		var err error
		s.ReceiveBuffer, err = growReceiveBuffer(s.fd)
		return err
	}, func(*Socket) error { return nil })
}

// ListenTCP makes a listening TCP socket. Its connections belong to the child that accepts them, so they keep the
// kernel's own buffer sizes.
func ListenTCP(ctx context.Context, b Bind) (*Socket, error) {
	return b.bind(ctx, "tcp", unix.SOCK_STREAM, func(s *Socket) error {
		// Connections of an earlier run in TIME_WAIT must not keep the port from us.
		return unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	}, func(s *Socket) error { return unix.Listen(s.fd, backlog) })
}

func (b Bind) bind(ctx context.Context, network string, kind int, before, after func(*Socket) error) (*Socket, error) {
	if !b.Addr.IsValid() || b.Addr.Addr().IsUnspecified() {
		return nil, fault.New("bind "+network, fault.Invalid, b.Addr.String(),
			"name one address of this machine, not all of them")
	}
	deadline := time.Now().Add(b.Patience)
	for {
		s, err := b.once(network, kind, before, after)
		if err == nil {
			return s, nil
		}
		if !errors.Is(err, unix.EADDRINUSE) || !time.Now().Before(deadline) {
			return nil, b.explain(network, err)
		}
		if err := wait(ctx, 20*time.Millisecond); err != nil {
			return nil, err
		}
	}
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (b Bind) once(network string, kind int, before, after func(*Socket) error) (*Socket, error) {
	addr, family, err := sockaddr(b.Addr)
	if err != nil {
		return nil, err
	}
	fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	s := &Socket{Name: b.Name, Network: network, fd: fd}
	if err := s.prepare(addr, family, before, after); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Socket) prepare(addr unix.Sockaddr, family int, before, after func(*Socket) error) error {
	if family == unix.AF_INET6 {
		if err := unix.SetsockoptInt(s.fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
	}
	if err := before(s); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	if err := unix.Bind(s.fd, addr); err != nil {
		return os.NewSyscallError("bind", err)
	}
	if err := after(s); err != nil {
		return os.NewSyscallError("listen", err)
	}
	bound, err := unix.Getsockname(s.fd)
	if err != nil {
		return os.NewSyscallError("getsockname", err)
	}
	s.Addr = addrPort(bound)
	return nil
}

// growReceiveBuffer asks for ReceiveBuffer, past the kernel's limit where we may, and returns what there is now.
func growReceiveBuffer(fd int) (int, error) {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, ReceiveBuffer) != nil {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, ReceiveBuffer); err != nil {
			return 0, err
		}
	}
	doubled, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
	return doubled / 2, err // socket(7): the kernel doubles it for its own bookkeeping
}

func sockaddr(a netip.AddrPort) (unix.Sockaddr, int, error) {
	if ip := a.Addr().Unmap(); ip.Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: ip.As4()}, unix.AF_INET, nil
	}
	sa := &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
	if zone := a.Addr().Zone(); zone != "" {
		ifi, err := net.InterfaceByName(zone)
		if err != nil {
			return nil, 0, fmt.Errorf("interface %q: %w", zone, err)
		}
		sa.ZoneId = uint32(ifi.Index)
	}
	return sa, unix.AF_INET6, nil
}

func addrPort(sa unix.Sockaddr) netip.AddrPort {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		ip := netip.AddrFrom16(sa.Addr)
		if sa.ZoneId != 0 {
			if ifi, err := net.InterfaceByIndex(int(sa.ZoneId)); err == nil {
				ip = ip.WithZone(ifi.Name)
			}
		}
		return netip.AddrPortFrom(ip, uint16(sa.Port))
	}
	return netip.AddrPort{}
}

// explain turns the kernel's refusal into what the operator should do.
func (b Bind) explain(network string, err error) error {
	flag := "-lunp"
	if network == "tcp" {
		flag = "-ltnp"
	}
	port := strconv.Itoa(int(b.Addr.Port()))
	e := &fault.Error{Op: "bind " + network, Kind: fault.Unavailable, Subject: b.Addr.String(), Err: err}
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		e.Kind = fault.Exists
		e.Err = fmt.Errorf("%w: another program has this port; find it with \"ss %s sport = :%s\" and stop it, or listen on another port",
			err, flag, port)
	case errors.Is(err, unix.EADDRNOTAVAIL):
		e.Kind = fault.NotFound
		e.Err = fmt.Errorf("%w: no interface of this machine has it; \"ip address\" lists those it has", err)
	case errors.Is(err, unix.EACCES):
		e.Kind = fault.Denied
		e.Err = fmt.Errorf("%w: ports below 1024 need root or CAP_NET_BIND_SERVICE; use a port above", err)
	}
	return e
}
