package phone

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"
)

const maxDatagram = 65535

// wire carries whole messages. send is called by the loop alone and never blocks for long; what arrives is
// posted to the loop.
type wire interface {
	// send returns at once; to is used by UDP only, elsewhere everything goes down the one connection.
	send(data []byte, to netip.AddrPort)
	// ready says whether send goes out now; if not, a connection is being made.
	ready() bool
	// flush sends what waited for a connection.
	flush()
	local() netip.AddrPort
	close()
}

func newWire(ctx context.Context, p *Phone) (wire, error) {
	if p.opt.Transport == UDP {
		return newUDP(p)
	}
	return newStream(ctx, p)
}

// udpWire is one socket.
type udpWire struct {
	p    *Phone
	conn *net.UDPConn
	addr netip.AddrPort
}

func newUDP(p *Phone) (*udpWire, error) {
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(p.opt.Local, 0)))
	if err != nil {
		return nil, fmt.Errorf("bind UDP: %w", err)
	}
	w := &udpWire{p: p, conn: conn}
	if a, ok := conn.LocalAddr().(*net.UDPAddr); ok {
		w.addr = unmap(a.AddrPort())
	}
	p.group.Go(w.read)
	return w, nil
}

func unmap(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

func (w *udpWire) read() {
	buf := make([]byte, maxDatagram)
	for {
		n, from, err := w.conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		data, at := append([]byte(nil), buf[:n]...), unmap(from)
		w.p.post(func() { w.p.receive(data, at, time.Now()) })
	}
}

func (w *udpWire) send(data []byte, to netip.AddrPort) {
	if _, err := w.conn.WriteToUDPAddrPort(data, to); err != nil {
		w.p.journal.violation(RuleNetwork, "send to %v: %v", to, err)
	}
}

func (w *udpWire) ready() bool { return true }

func (w *udpWire) flush() {}

func (w *udpWire) local() netip.AddrPort { return w.addr }

func (w *udpWire) close() {
	// Nothing can be done about a socket that does not close.
	_ = w.conn.Close()
}
