package network

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Direct is the same socket with a shorter way into the kernel, where it has one: *net.UDPConn. Go tells its scheduler
// of every system call, as it may block; one on a socket that does not block need not be told of, and with many short
// calls the telling, and the thread that looks after blocked calls, cost more than a tenth of all.
//
// Closing either closes both. The new one must be read by one goroutine at a time.
func Direct(conn PacketConn) PacketConn {
	udp, ok := conn.(*net.UDPConn)
	if !ok {
		return conn
	}
	raw, err := udp.SyscallConn()
	if err != nil {
		return conn // closed: its own methods say so
	}
	d := &direct{UDPConn: udp, raw: raw, local: udp.LocalAddr()}
	d.reader.run = d.reader.receive
	d.writers.New = func() any {
		w := new(datagram)
		w.run, w.once = w.send, func(fd uintptr) { w.send(fd) }
		return w
	}
	return d
}

// direct is a UDP socket. What it does not do itself, such as deadlines, the UDPConn does for both.
type direct struct {
	*net.UDPConn

	raw     syscall.RawConn
	local   net.Addr
	reader  datagram
	writers sync.Pool
}

// datagram is one datagram on its way between Go and the kernel. Its functions are made once: closures for each would be
// garbage.
type datagram struct {
	run   func(fd uintptr) (done bool)
	once  func(fd uintptr)
	data  []byte
	n     int
	errno syscall.Errno
	addr  unix.RawSockaddrInet6 // or an Inet4, which is shorter
	size  uint32
}

// ReadFromUDPAddrPort waits for a datagram.
func (d *direct) ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error) {
	r := &d.reader
	r.data = b
	err := d.raw.Read(r.run)
	r.data = nil
	if err != nil {
		return 0, netip.AddrPort{}, err
	}
	if r.errno != 0 {
		return 0, netip.AddrPort{}, d.fault("read", os.NewSyscallError("recvfrom", r.errno))
	}
	return r.n, r.from(), nil
}

// WriteToUDPAddrPort sends a datagram. While the socket's buffer is full it waits.
func (d *direct) WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error) {
	w, _ := d.writers.Get().(*datagram)
	defer d.writers.Put(w)
	w.data = b
	w.to(to)
	err := d.raw.Control(w.once) // writers need not wait for each other
	if err == nil && w.errno == unix.EAGAIN {
		err = d.raw.Write(w.run)
	}
	w.data = nil
	if err != nil {
		return 0, err
	}
	if w.errno != 0 {
		return 0, d.fault("write", os.NewSyscallError("sendto", w.errno))
	}
	return w.n, nil
}

func (d *direct) fault(op string, err error) error {
	return &net.OpError{Op: op, Net: d.local.Network(), Addr: d.local, Err: err}
}

// receive and send are called by Go's poller, first at once and then each time when the socket may be ready. They are
// done unless the kernel has nothing to give, or no room.
func (g *datagram) receive(fd uintptr) (done bool) {
	for {
		g.size = unix.SizeofSockaddrInet6
		n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(unsafe.SliceData(g.data))), uintptr(len(g.data)),
			unix.MSG_DONTWAIT, uintptr(unsafe.Pointer(&g.addr)), uintptr(unsafe.Pointer(&g.size)))
		if g.n, g.errno = int(n), errno; errno != unix.EINTR {
			return errno != unix.EAGAIN
		}
	}
}

func (g *datagram) send(fd uintptr) (done bool) {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, fd, uintptr(unsafe.Pointer(unsafe.SliceData(g.data))), uintptr(len(g.data)),
			unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, uintptr(unsafe.Pointer(&g.addr)), uintptr(g.size))
		if g.n, g.errno = int(n), errno; errno != unix.EINTR {
			return errno != unix.EAGAIN
		}
	}
}

// to writes the address that send sends to.
func (g *datagram) to(a netip.AddrPort) {
	port, addr := swapped(a.Port()), a.Addr().Unmap()
	if addr.Is4() {
		*(*unix.RawSockaddrInet4)(unsafe.Pointer(&g.addr)) = unix.RawSockaddrInet4{Family: unix.AF_INET, Port: port, Addr: addr.As4()}
		g.size = unix.SizeofSockaddrInet4
		return
	}
	g.addr = unix.RawSockaddrInet6{Family: unix.AF_INET6, Port: port, Addr: addr.As16(), Scope_id: scopeOf(addr.Zone())}
	g.size = unix.SizeofSockaddrInet6
}

// from reads the address that receive was given.
func (g *datagram) from() netip.AddrPort {
	port := swapped(g.addr.Port)
	if g.addr.Family == unix.AF_INET {
		return netip.AddrPortFrom(netip.AddrFrom4((*unix.RawSockaddrInet4)(unsafe.Pointer(&g.addr)).Addr), port)
	}
	addr := netip.AddrFrom16(g.addr.Addr)
	if g.addr.Scope_id != 0 {
		addr = addr.WithZone(strconv.Itoa(int(g.addr.Scope_id)))
	}
	return netip.AddrPortFrom(addr, port)
}

// scopeOf is the number of the interface that a zone names, by number or by name; 0 without one.
func scopeOf(zone string) uint32 {
	if zone == "" {
		return 0
	}
	if n, err := strconv.ParseUint(zone, 10, 32); err == nil {
		return uint32(n)
	}
	i, err := net.InterfaceByName(zone)
	if err != nil {
		return 0 // the kernel refuses what it cannot reach
	}
	return uint32(i.Index)
}

// swapped changes a port between this machine's byte order and the network's.
func swapped(port uint16) uint16 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], port)
	return binary.NativeEndian.Uint16(b[:])
}
