package relay

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/mss-federation/mss/pkg/fault"
)

const (
	// expedited is DSCP EF (RFC 3246), as the byte that IP carries.
	expedited = 184
	// bindTries bounds the search for a port pair that no other program holds.
	bindTries = 64
)

// unwatched is the slot of sockets that no loop watches.
const unwatched = -1

// pair is an endpoint's two sockets. It outlives its endpoint (see shelf). Its loop owns it while it is watched.
type pair struct {
	rtp, rtcp int
	local     netip.AddrPort // of RTP
	slot      int32
	endpoint  *endpoint // nil: at rest
	since     time.Time // of its rest
}

func (p *pair) port() int { return int(p.local.Port()) }

func (p *pair) close() error { return errors.Join(unix.Close(p.rtp), unix.Close(p.rtcp)) }

// openPair binds a port and the next one. The error wraps the kernel's.
func openPair(local netip.AddrPort) (*pair, error) {
	rtp, err := openSocket(local)
	if err != nil {
		return nil, err
	}
	rtcp, err := openSocket(netip.AddrPortFrom(local.Addr(), local.Port()+1))
	if err != nil {
		return nil, errors.Join(err, unix.Close(rtp))
	}
	return &pair{rtp: rtp, rtcp: rtcp, local: local, slot: unwatched}, nil
}

func openSocket(local netip.AddrPort) (int, error) {
	family := unix.AF_INET
	if local.Addr().Is6() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("socket: %w", err)
	}
	if err := prepare(fd, family, local); err != nil {
		return -1, errors.Join(err, unix.Close(fd))
	}
	return fd, nil
}

func prepare(fd, family int, local netip.AddrPort) error {
	var bind unix.Sockaddr = &unix.SockaddrInet4{Port: int(local.Port()), Addr: as4(local.Addr())}
	level, option := unix.IPPROTO_IP, unix.IP_TOS
	if family == unix.AF_INET6 {
		bind = &unix.SockaddrInet6{Port: int(local.Port()), Addr: local.Addr().As16()}
		level, option = unix.IPPROTO_IPV6, unix.IPV6_TCLASS
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1); err != nil {
			return fmt.Errorf("set IPV6_V6ONLY: %w", err)
		}
	}
	if err := unix.SetsockoptInt(fd, level, option, expedited); err != nil {
		return fmt.Errorf("set DSCP: %w", err)
	}
	if err := unix.Bind(fd, bind); err != nil {
		return fmt.Errorf("bind %v: %w", local, err)
	}
	return nil
}

func as4(a netip.Addr) [4]byte {
	if a.Is4() {
		return a.As4()
	}
	return [4]byte{}
}

func filesShort(err error) bool { return errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) }

// bindFault says what an operator can do about a port that cannot be had.
func bindFault(local netip.AddrPort, err error) error {
	const op = "open voice port"
	subject := local.String()
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		return &fault.Error{Op: op, Kind: fault.Conflict, Subject: subject, Err: fmt.Errorf("another program has this port or the next one; end it or move media.ports: %w", err)}
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return &fault.Error{Op: op, Kind: fault.Unavailable, Subject: subject, Err: fmt.Errorf("this machine does not have the address; check media.address: %w", err)}
	case filesShort(err):
		return &fault.Error{Op: op, Kind: fault.Exhausted, Subject: subject, Err: fmt.Errorf("too many open files; raise LimitNOFILE: %w", err)}
	}
	return &fault.Error{Op: op, Kind: fault.Internal, Subject: subject, Err: err}
}

// sockaddr is room for an address that the kernel writes or reads. The Go wrappers allocate for each
// packet and enter the scheduler; a non-blocking call needs neither.
type sockaddr struct {
	raw  unix.RawSockaddrInet6 // the longer one of the two
	size uint32
}

func (s *sockaddr) set(a netip.AddrPort) {
	port := network(a.Port())
	if a.Addr().Is4() {
		in4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(&s.raw))
		*in4 = unix.RawSockaddrInet4{Family: unix.AF_INET, Port: port, Addr: a.Addr().As4()}
		s.size = unix.SizeofSockaddrInet4
		return
	}
	s.raw = unix.RawSockaddrInet6{Family: unix.AF_INET6, Port: port, Addr: a.Addr().As16()}
	s.size = unix.SizeofSockaddrInet6
}

func (s *sockaddr) get() netip.AddrPort {
	port := network(s.raw.Port)
	if s.raw.Family == unix.AF_INET {
		in4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(&s.raw))
		return netip.AddrPortFrom(netip.AddrFrom4(in4.Addr), port)
	}
	return netip.AddrPortFrom(netip.AddrFrom16(s.raw.Addr), port)
}

// network swaps a port between this machine's byte order and the network's.
func network(port uint16) uint16 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], port)
	return binary.NativeEndian.Uint16(b[:])
}

// receive reads one packet; n is its true length, which may exceed the buffer.
func (s *sockaddr) receive(fd int, b []byte) (n int, errno unix.Errno) {
	s.size = unix.SizeofSockaddrInet6
	got, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)),
		unix.MSG_DONTWAIT|unix.MSG_TRUNC, uintptr(unsafe.Pointer(&s.raw)), uintptr(unsafe.Pointer(&s.size)))
	return int(got), errno
}

func (s *sockaddr) send(fd int, b []byte) unix.Errno {
	_, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)),
		unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, uintptr(unsafe.Pointer(&s.raw)), uintptr(s.size))
	return errno
}
