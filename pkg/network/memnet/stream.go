package memnet

import (
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"
)

// segment is bytes under way, or the end of the stream.
type segment struct {
	due  time.Time
	data []byte
	fin  bool
}

// half is one direction of a stream. Its fields are guarded by the Net's mutex.
type half struct {
	net      *Net
	from, to netip.AddrPort
	link     *link
	back     *half // the other direction

	flying  []segment
	arrived []byte
	bytes   int  // flying and arrived: what the window counts
	fin     bool // the end has arrived
	deaf    bool // the receiving end is closed
	reset   bool // the sending end heard that
	changed *sync.Cond
}

// pipeLocked joins two ends.
func (n *Net) pipeLocked(client, server netip.AddrPort) (c, s *conn) {
	up, down := n.halfLocked(client, server), n.halfLocked(server, client)
	up.back, down.back = down, up
	c = &conn{net: n, local: client, remote: server, in: down, out: up}
	s = &conn{net: n, local: server, remote: client, in: up, out: down}
	return c, s
}

func (n *Net) halfLocked(from, to netip.AddrPort) *half {
	h := &half{net: n, from: from, to: to, link: n.linkLocked("tcp", from, to), changed: sync.NewCond(&n.mu)}
	n.halves = append(n.halves, h)
	return h
}

func (h *half) sendLocked(s segment) {
	s.due = h.link.inOrder(time.Now())
	h.flying = append(h.flying, s)
	h.bytes += len(s.data)
	h.net.atLocked(s.due, h.arriveLocked)
}

// arriveLocked takes in what is due, unless the wire is cut: Heal comes back for it.
func (h *half) arriveLocked() {
	if h.net.cutLocked(h.from.Addr(), h.to.Addr()) {
		return
	}
	now := time.Now()
	for len(h.flying) > 0 && !h.flying[0].due.After(now) {
		s := h.flying[0]
		h.flying = h.flying[1:]
		switch {
		case s.fin:
			h.fin = true
		case h.deaf:
			h.bytes -= len(s.data)
			h.net.atLocked(now.Add(h.net.opts.Delay), h.resetLocked)
		default:
			h.arrived = append(h.arrived, s.data...)
		}
	}
	h.changed.Broadcast()
}

// resetLocked is the arrival of a RST at the sender: neither direction works any more.
func (h *half) resetLocked() {
	for _, d := range []*half{h, h.back} {
		d.reset = true
		d.changed.Broadcast()
	}
}

// conn is one end of a stream. Its fields are guarded by the Net's mutex.
type conn struct {
	net           *Net
	local, remote netip.AddrPort
	in, out       *half
	closed        bool
	shut          bool // for writing
	readBy        time.Time
	writeBy       time.Time
}

func (c *conn) LocalAddr() net.Addr  { return net.TCPAddrFromAddrPort(c.local) }
func (c *conn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.remote) }

func (c *conn) Read(b []byte) (int, error) {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	for {
		switch {
		case c.closed:
			return 0, c.fail("read", net.ErrClosed)
		case expired(c.readBy):
			return 0, c.fail("read", os.ErrDeadlineExceeded)
		case len(b) == 0:
			return 0, nil
		case len(c.in.arrived) > 0:
			n := copy(b, c.in.arrived)
			c.in.arrived = c.in.arrived[n:]
			c.in.bytes -= n
			c.in.changed.Broadcast()
			return n, nil
		case c.in.reset:
			return 0, c.fail("read", os.NewSyscallError("read", syscall.ECONNRESET))
		case c.in.fin:
			return 0, io.EOF
		}
		c.in.changed.Wait()
	}
}

func (c *conn) Write(b []byte) (int, error) {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	written := 0
	for {
		switch {
		case c.closed:
			return written, c.fail("write", net.ErrClosed)
		case c.shut:
			return written, c.fail("write", os.NewSyscallError("write", syscall.EPIPE))
		case expired(c.writeBy):
			return written, c.fail("write", os.ErrDeadlineExceeded)
		case c.out.reset:
			return written, c.fail("write", os.NewSyscallError("write", syscall.EPIPE))
		case written == len(b):
			return written, nil
		}
		if room := c.net.opts.Window - c.out.bytes; room > 0 {
			chunk := b[written:min(len(b), written+room)]
			c.out.sendLocked(segment{data: slices.Clone(chunk)})
			written += len(chunk)
			continue
		}
		c.out.changed.Wait()
	}
}

func (c *conn) Close() error {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	if c.closed {
		return c.fail("close", net.ErrClosed)
	}
	c.closeLocked()
	return nil
}

// CloseWrite ends the direction to the peer, as that of *net.TCPConn does.
func (c *conn) CloseWrite() error {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	if c.closed {
		return c.fail("close", net.ErrClosed)
	}
	c.shutLocked()
	return nil
}

func (c *conn) shutLocked() {
	if !c.shut {
		c.shut = true
		c.out.sendLocked(segment{fin: true})
		c.out.changed.Broadcast()
	}
}

func (c *conn) closeLocked() {
	c.closed = true
	c.in.deaf = true
	c.in.bytes -= len(c.in.arrived)
	c.in.arrived = nil
	c.shutLocked()
	c.in.changed.Broadcast()
	c.out.changed.Broadcast()
	if c.out.deaf { // both ends are closed
		c.net.halves = slices.DeleteFunc(c.net.halves, func(h *half) bool { return h == c.in || h == c.out })
	}
}

func (c *conn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

func (c *conn) SetReadDeadline(t time.Time) error  { return c.setDeadline(&c.readBy, c.in, t) }
func (c *conn) SetWriteDeadline(t time.Time) error { return c.setDeadline(&c.writeBy, c.out, t) }

func (c *conn) setDeadline(field *time.Time, h *half, t time.Time) error {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	if c.closed {
		return c.fail("set", net.ErrClosed)
	}
	*field = t
	h.changed.Broadcast()
	if wait := time.Until(t); !t.IsZero() && wait > 0 {
		time.AfterFunc(wait, func() {
			c.net.mu.Lock()
			defer c.net.mu.Unlock()
			h.changed.Broadcast()
		})
	}
	return nil
}

func (c *conn) fail(op string, err error) error { return opError(op, "tcp", c.local, c.remote, err) }

func expired(t time.Time) bool { return !t.IsZero() && !t.After(time.Now()) }
