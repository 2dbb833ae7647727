package memnet

import (
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"
)

// minReorder is the least that a reordered datagram is held back.
const minReorder = time.Millisecond

type datagram struct {
	from netip.AddrPort
	data []byte
}

// udpConn is one socket. Its fields are guarded by the Net's mutex.
type udpConn struct {
	net     *Net
	local   netip.AddrPort
	queue   []datagram
	closed  bool
	arrived *sync.Cond
}

func (c *udpConn) LocalAddr() net.Addr { return net.UDPAddrFromAddrPort(c.local) }

func (c *udpConn) ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error) {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	for len(c.queue) == 0 && !c.closed {
		c.arrived.Wait()
	}
	if c.closed {
		return 0, netip.AddrPort{}, opError("read", "udp", c.local, netip.AddrPort{}, net.ErrClosed)
	}
	d := c.queue[0]
	c.queue = c.queue[1:]
	return copy(b, d.data), d.from, nil
}

func (c *udpConn) WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error) {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	if err := c.refusalLocked(len(b), to); err != nil {
		return 0, opError("write", "udp", c.local, to, err)
	}
	l := c.net.linkLocked("udp", c.local, to)
	// The dice fall in the same order whatever they show, so that one packet's fate does not shift the next's.
	lost, twice := l.chance(c.net.opts.Loss), l.chance(c.net.opts.Duplicate)
	due := l.due()
	if lost || c.net.cutLocked(c.local.Addr(), to.Addr()) {
		return len(b), nil
	}
	d := datagram{from: c.local, data: slices.Clone(b)}
	c.net.atLocked(due, func() { c.net.deliverLocked(to, d) })
	if twice {
		c.net.atLocked(l.due(), func() { c.net.deliverLocked(to, d) })
	}
	return len(b), nil
}

// due says when a datagram sent now arrives.
func (l *link) due() time.Time {
	now := time.Now()
	if !l.chance(l.opts.Reorder) {
		return l.inOrder(now)
	}
	return now.Add(l.delay() + max(l.opts.Delay+l.opts.Jitter, minReorder))
}

func (c *udpConn) refusalLocked(size int, to netip.AddrPort) error {
	switch {
	case c.closed:
		return net.ErrClosed
	case size > maxDatagram:
		return os.NewSyscallError("sendto", syscall.EMSGSIZE)
	case to.Addr().Is4() != c.local.Addr().Is4():
		return os.NewSyscallError("sendto", syscall.EAFNOSUPPORT)
	}
	return nil
}

// deliverLocked is a datagram's arrival. Nobody there, a full socket or a cut wire: it is lost.
func (n *Net) deliverLocked(to netip.AddrPort, d datagram) {
	c := n.sockets[to]
	if c == nil || len(c.queue) >= n.opts.Queue || n.cutLocked(d.from.Addr(), to.Addr()) {
		return
	}
	c.queue = append(c.queue, d)
	c.arrived.Signal()
}

func (c *udpConn) Close() error {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	if c.closed {
		return opError("close", "udp", c.local, netip.AddrPort{}, net.ErrClosed)
	}
	c.closed = true
	c.queue = nil
	delete(c.net.sockets, c.local)
	c.arrived.Broadcast()
	return nil
}
