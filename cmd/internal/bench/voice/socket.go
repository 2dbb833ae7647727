package voice

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/mss-federation/mss/cmd/internal/bench/contender"
)

const (
	// batch bounds the packets of one system call.
	batch = 64
	// receiveRoom is asked for: what waits in a socket while this process gets no processor must have room. More than
	// net.core.rmem_max is given to root alone.
	receiveRoom = 16 << 20
	// slack shows packets that grew on their way.
	slack = 4
)

// message is the kernel's mmsghdr.
type message struct {
	unix.Msghdr
	size uint32
	_    [4]byte
}

// bundle is room for the packets of one system call.
type bundle struct {
	messages [batch]message
	vectors  [batch]unix.Iovec
	names    [batch]unix.RawSockaddrInet4
	packets  [batch][packetSize + slack]byte
}

// prepare lets each message have its parts.
func (b *bundle) prepare() {
	for i := range b.messages {
		b.vectors[i].Base = &b.packets[i][0]
		b.vectors[i].SetLen(len(b.packets[i]))
		b.messages[i].Iov = &b.vectors[i]
		b.messages[i].SetIovlen(1)
		b.messages[i].Name = (*byte)(unsafe.Pointer(&b.names[i]))
		b.messages[i].Namelen = unix.SizeofSockaddrInet4
	}
}

// socket is where some ends of calls listen and speak. It never waits.
type socket struct {
	fd      int
	local   netip.AddrPort
	out, in bundle
	queued  int
}

// openSocket opens a socket with a port of its own.
func openSocket(addr netip.Addr) (*socket, error) {
	local, err := contender.FreePort(addr)
	if err != nil {
		return nil, err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open voice socket: %w", err)
	}
	s := &socket{fd: fd, local: local}
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveRoom) != nil {
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveRoom)
	}
	err = errors.Join(err, unix.Bind(fd, &unix.SockaddrInet4{Port: int(local.Port()), Addr: local.Addr().As4()}))
	if err != nil {
		s.close()
		return nil, fmt.Errorf("open voice socket: %w", err)
	}
	s.out.prepare()
	s.in.prepare()
	return s, nil
}

func (s *socket) close() { _ = unix.Close(s.fd) } // what it still holds is nobody's

// queue sends a packet with the next flush, or at once when that would have too many.
func (s *socket) queue(to netip.AddrPort, packet []byte) error {
	i := s.queued
	s.out.names[i] = unix.RawSockaddrInet4{Family: unix.AF_INET, Port: network(to.Port()), Addr: to.Addr().As4()}
	s.out.vectors[i].SetLen(copy(s.out.packets[i][:], packet))
	if s.queued++; s.queued == batch {
		return s.flush()
	}
	return nil
}

// flush sends what is queued. A relay whose port is gone is not told of: its packets are lost.
func (s *socket) flush() error {
	for done := 0; done < s.queued; {
		n, errno := s.call(unix.SYS_SENDMMSG, s.out.messages[done:s.queued])
		switch {
		case errno == unix.EINTR: // nothing was sent
		case errno != 0:
			return errno
		}
		done += n
	}
	s.queued = 0
	return nil
}

// receive takes up to batch packets, which stay until the next call.
func (s *socket) receive() (int, error) {
	for i := range s.in.messages {
		s.in.messages[i].Namelen = unix.SizeofSockaddrInet4
	}
	for {
		n, errno := s.call(unix.SYS_RECVMMSG, s.in.messages[:])
		switch {
		case errno == 0 || errno == unix.EAGAIN:
			return n, nil
		case errno != unix.EINTR:
			return 0, errno
		}
	}
}

// call does not tell Go's scheduler, which need not step in where nothing waits.
func (s *socket) call(trap uintptr, messages []message) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall6(trap, uintptr(s.fd), uintptr(unsafe.Pointer(&messages[0])), uintptr(len(messages)),
		unix.MSG_DONTWAIT, 0, 0)
	runtime.KeepAlive(s)
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

// arrived is packet i of the last receive.
func (s *socket) arrived(i int) (packet []byte, from netip.AddrPort) {
	name := &s.in.names[i]
	return s.in.packets[i][:s.in.messages[i].size], netip.AddrPortFrom(netip.AddrFrom4(name.Addr), network(name.Port))
}

// network swaps a port between this machine's byte order and the network's.
func network(port uint16) uint16 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], port)
	return binary.NativeEndian.Uint16(b[:])
}
