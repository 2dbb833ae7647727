// Package network names the few socket operations that the programs use, so that shells run on the
// kernel's sockets in production and on an in-memory network (memnet) under testing/synctest. It owns
// no protocol. Start at [Network]; [System] is the kernel.
package network

import (
	"context"
	"net"
	"net/netip"
)

// PacketConn is one UDP socket bound to one local address, never a wildcard. *net.UDPConn is one.
// Reads may run beside writes; writes may run beside each other.
type PacketConn interface {
	// ReadFromUDPAddrPort fills b with one datagram and says who sent it. It blocks until one arrives
	// or the socket is closed (net.ErrClosed).
	ReadFromUDPAddrPort(b []byte) (n int, from netip.AddrPort, err error)
	// WriteToUDPAddrPort sends b as one datagram.
	WriteToUDPAddrPort(b []byte, to netip.AddrPort) (n int, err error)
	LocalAddr() net.Addr
	Close() error
}

// Network opens sockets. Addresses are literal; names are resolved elsewhere (siptarget).
type Network interface {
	// ListenUDP binds one UDP socket. Port 0 picks a free one.
	ListenUDP(ctx context.Context, local netip.AddrPort) (PacketConn, error)
	// ListenTCP listens for stream connections. Port 0 picks a free one.
	ListenTCP(ctx context.Context, local netip.AddrPort) (net.Listener, error)
	// DialTCP connects from local (its port may be 0, and it may be the zero AddrPort for any) to remote.
	DialTCP(ctx context.Context, local, remote netip.AddrPort) (net.Conn, error)
	// Route says which local address packets to remote leave from when the socket is not bound. It
	// sends nothing and does not wait.
	Route(remote netip.Addr) (netip.Addr, error)
}
