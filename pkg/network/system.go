package network

import (
	"context"
	"math/bits"
	"net"
	"net/netip"

	"github.com/mss-federation/mss/pkg/fault"
)

// DefaultBuffer is the kernel buffer asked for on a UDP socket, in bytes: a second of traffic at full
// rate waits there while the signalling process is restarted.
const DefaultBuffer = 4 << 20

// discard is the port that Route names. Nothing is sent to it.
const discard = 9

// System is the kernel's network. Its zero value is ready for use.
type System struct {
	// ReceiveBuffer is the SO_RCVBUF of UDP sockets in bytes, as far as net.core.rmem_max allows. Zero
	// means DefaultBuffer.
	ReceiveBuffer int
}

var _ Network = System{}

// ListenUDP binds one UDP socket. A wildcard is refused: a reply must leave from the address that was
// asked.
func (s System) ListenUDP(ctx context.Context, local netip.AddrPort) (PacketConn, error) {
	if !local.IsValid() || local.Addr().IsUnspecified() {
		return nil, fault.New("listen udp", fault.Invalid, local.String(), "name one local address, not a wildcard")
	}
	var lc net.ListenConfig
	pc, err := lc.ListenPacket(ctx, family("udp", local.Addr()), local.String())
	if err != nil {
		return nil, err
	}
	conn, ok := pc.(*net.UDPConn)
	if !ok {
		return nil, fault.New("listen udp", fault.Internal, local.String(), "the kernel gave another kind of socket")
	}
	s.widen(conn)
	return conn, nil
}

// widen asks for large buffers. The kernel gives what its limits allow; a smaller buffer still works,
// so that a refusal is no error here.
func (s System) widen(conn *net.UDPConn) {
	size := s.ReceiveBuffer
	if size == 0 {
		size = DefaultBuffer
	}
	_ = conn.SetReadBuffer(size)
	_ = conn.SetWriteBuffer(size)
}

// ListenTCP listens for stream connections.
func (System) ListenTCP(ctx context.Context, local netip.AddrPort) (net.Listener, error) {
	var lc net.ListenConfig
	lc.SetMultipathTCP(false) // TCP_USER_TIMEOUT and a flow's one address pair mean one path
	return lc.Listen(ctx, family("tcp", local.Addr()), local.String())
}

// DialTCP connects from local to remote.
func (System) DialTCP(ctx context.Context, local, remote netip.AddrPort) (net.Conn, error) {
	var d net.Dialer
	d.SetMultipathTCP(false)
	if local.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(local)
	}
	return d.DialContext(ctx, family("tcp", remote.Addr()), remote.String())
}

// Route asks the kernel by connecting a UDP socket, which sends nothing.
func (System) Route(remote netip.Addr) (netip.Addr, error) {
	conn, err := net.DialUDP(family("udp", remote), nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(remote, discard)))
	if err != nil {
		return netip.Addr{}, err
	}
	local := conn.LocalAddr()
	if err := conn.Close(); err != nil {
		return netip.Addr{}, err
	}
	return AddrPort(local).Addr(), nil
}

// family pins the address family, so that an IPv4 peer never shows as an IPv4-mapped IPv6 address.
func family(proto string, addr netip.Addr) string {
	if addr.Unmap().Is4() {
		return proto + "4"
	}
	return proto + "6"
}

// AddrPort is a socket's net.Addr as a value, without IPv4-mapping. It is the zero AddrPort for an
// address that is neither UDP nor TCP.
func AddrPort(a net.Addr) netip.AddrPort {
	var ap netip.AddrPort
	switch a := a.(type) {
	case *net.UDPAddr:
		ap = a.AddrPort()
	case *net.TCPAddr:
		ap = a.AddrPort()
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// CommonPrefix counts the leading bits that two addresses of one family share; 0 for two families.
func CommonPrefix(a, b netip.Addr) int {
	if a.BitLen() != b.BitLen() {
		return 0
	}
	x, y := a.AsSlice(), b.AsSlice()
	for i := range x {
		if d := x[i] ^ y[i]; d != 0 {
			return i*8 + bits.LeadingZeros8(d)
		}
	}
	return a.BitLen()
}
