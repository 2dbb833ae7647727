package memnet

import (
	"context"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/mss-federation/mss/pkg/network"
)

const (
	backlog = 128
	// synRetry is the wait before a connection request is repeated; it doubles (RFC 6298 §2.1).
	synRetry = time.Second
)

// host is one machine's view of its Net.
type host struct {
	net   *Net
	addrs []netip.Addr
}

var _ network.Network = (*host)(nil)

func (h *host) ListenUDP(_ context.Context, local netip.AddrPort) (network.PacketConn, error) {
	n := h.net
	n.mu.Lock()
	defer n.mu.Unlock()
	local, err := h.bindLocked("listen", "udp", local, func(a netip.AddrPort) bool { return n.sockets[a] != nil })
	if err != nil {
		return nil, err
	}
	c := &udpConn{net: n, local: local, arrived: sync.NewCond(&n.mu)}
	n.sockets[local] = c
	return c, nil
}

func (h *host) ListenTCP(_ context.Context, local netip.AddrPort) (net.Listener, error) {
	n := h.net
	n.mu.Lock()
	defer n.mu.Unlock()
	local, err := h.bindLocked("listen", "tcp", local, func(a netip.AddrPort) bool { return n.listeners[a] != nil })
	if err != nil {
		return nil, err
	}
	l := &listener{net: n, local: local, changed: sync.NewCond(&n.mu)}
	n.listeners[local] = l
	return l, nil
}

// Route is the address that shares the longest prefix with remote, as a routing table's would.
func (h *host) Route(remote netip.Addr) (netip.Addr, error) {
	var best netip.Addr
	bestBits := -1
	for _, a := range h.addrs {
		if a.Is4() != remote.Is4() {
			continue
		}
		if bits := network.CommonPrefix(a, remote); bits > bestBits {
			best, bestBits = a, bits
		}
	}
	if bestBits < 0 {
		return best, opError("dial", "udp", netip.AddrPort{}, netip.AddrPortFrom(remote, 0),
			os.NewSyscallError("connect", syscall.ENETUNREACH))
	}
	return best, nil
}

func (h *host) DialTCP(ctx context.Context, local, remote netip.AddrPort) (net.Conn, error) {
	local, err := h.dialFrom(local, remote)
	if err != nil {
		return nil, err
	}
	c, err := h.connect(ctx, local, remote)
	if err != nil {
		return nil, opError("dial", "tcp", local, remote, err)
	}
	return c, nil
}

// dialFrom completes the local end of a connection to be.
func (h *host) dialFrom(local, remote netip.AddrPort) (netip.AddrPort, error) {
	if !local.Addr().IsValid() {
		a, err := h.Route(remote.Addr())
		if err != nil {
			return local, err
		}
		local = netip.AddrPortFrom(a, local.Port())
	}
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	return h.bindLocked("dial", "tcp", local, func(netip.AddrPort) bool { return false })
}

// connect plays the handshake: one Delay out, one back, repeated while nobody answers.
func (h *host) connect(ctx context.Context, local, remote netip.AddrPort) (*conn, error) {
	n := h.net
	for retry := synRetry; ; retry *= 2 {
		if err := wait(ctx, n.opts.Delay); err != nil {
			return nil, err
		}
		c, answered := n.knock(local, remote)
		if !answered {
			if err := wait(ctx, retry); err != nil {
				return nil, err
			}
			continue
		}
		if err := wait(ctx, n.opts.Delay); err != nil {
			if c != nil {
				_ = c.Close() // the first Close of a conn never fails
			}
			return nil, err
		}
		if c == nil {
			return nil, os.NewSyscallError("connect", syscall.ECONNREFUSED)
		}
		return c, nil
	}
}

// knock is the SYN's arrival. A nil conn with an answer is a refusal.
func (n *Net) knock(local, remote netip.AddrPort) (c *conn, answered bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, exists := n.hosts[remote.Addr()]; !exists || n.cutLocked(local.Addr(), remote.Addr()) {
		return nil, false
	}
	l := n.listeners[remote]
	if l == nil {
		return nil, true
	}
	if len(l.queue) >= backlog {
		return nil, false
	}
	client, server := n.pipeLocked(local, remote)
	l.queue = append(l.queue, server)
	l.changed.Signal()
	return client, true
}

func wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// listener waits for connections. Its fields are guarded by the Net's mutex.
type listener struct {
	net     *Net
	local   netip.AddrPort
	queue   []*conn
	closed  bool
	changed *sync.Cond
}

func (l *listener) Accept() (net.Conn, error) {
	l.net.mu.Lock()
	defer l.net.mu.Unlock()
	for len(l.queue) == 0 && !l.closed {
		l.changed.Wait()
	}
	if l.closed {
		return nil, opError("accept", "tcp", netip.AddrPort{}, l.local, net.ErrClosed)
	}
	c := l.queue[0]
	l.queue = l.queue[1:]
	return c, nil
}

func (l *listener) Close() error {
	l.net.mu.Lock()
	defer l.net.mu.Unlock()
	if l.closed {
		return opError("close", "tcp", netip.AddrPort{}, l.local, net.ErrClosed)
	}
	l.closed = true
	delete(l.net.listeners, l.local)
	for _, c := range l.queue {
		c.closeLocked()
	}
	l.queue = nil
	l.changed.Broadcast()
	return nil
}

func (l *listener) Addr() net.Addr { return net.TCPAddrFromAddrPort(l.local) }
