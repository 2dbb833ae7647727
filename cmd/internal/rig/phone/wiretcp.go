package phone

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/mss-federation/mss/cmd/internal/rig/sipmsg"
)

const (
	redialFirst  = 20 * time.Millisecond
	redialMost   = 500 * time.Millisecond
	writeTimeout = 2 * time.Second
)

// tcpWire keeps one connection to the registrar, dialled when first needed and again whenever it closes, and
// a listener, whose address is the Contact.
type tcpWire struct {
	p        *Phone
	ctx      context.Context
	listener *net.TCPListener
	addr     netip.AddrPort

	// Owned by the phone's loop.
	conn    *net.TCPConn
	dialing bool
	waiting [][]byte // for the connection
	inbound map[netip.AddrPort]*net.TCPConn
	closed  bool
}

func newTCP(ctx context.Context, p *Phone) (*tcpWire, error) {
	l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(p.opt.Local, 0)))
	if err != nil {
		return nil, fmt.Errorf("listen on TCP: %w", err)
	}
	w := &tcpWire{p: p, ctx: ctx, listener: l, inbound: map[netip.AddrPort]*net.TCPConn{}}
	if a, ok := l.Addr().(*net.TCPAddr); ok {
		w.addr = unmap(a.AddrPort())
	}
	p.group.Go(w.accept)
	return w, nil
}

func (w *tcpWire) local() netip.AddrPort { return w.addr }

func (w *tcpWire) accept() {
	for {
		conn, err := w.listener.AcceptTCP()
		if err != nil {
			return
		}
		from := remoteOf(conn)
		w.p.post(func() {
			if w.closed {
				_ = conn.Close()
				return
			}
			w.inbound[from] = conn
			w.p.group.Go(func() { w.read(conn, from) })
		})
	}
}

func remoteOf(c *net.TCPConn) netip.AddrPort {
	if a, ok := c.RemoteAddr().(*net.TCPAddr); ok {
		return unmap(a.AddrPort())
	}
	return netip.AddrPort{}
}

// send goes to the inbound connection from that address if there is one, else down the phone's own.
func (w *tcpWire) send(data []byte, to netip.AddrPort) {
	conn := w.conn
	if in := w.inbound[to]; in != nil {
		conn = in
	}
	if conn == nil {
		w.waiting = append(w.waiting, data)
		w.dial()
		return
	}
	if err := write(conn, data); err != nil && conn == w.conn {
		// The reader sees the same failure and posts lost; then it is sent over the next connection.
		w.waiting = append(w.waiting, data)
	}
}

func write(conn *net.TCPConn, data []byte) error {
	if err := conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return fmt.Errorf("set deadline: %w", err)
	}
	if _, err := conn.Write(data); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

// dial connects in the background, trying for as long as the phone lives.
func (w *tcpWire) dial() {
	if w.dialing || w.closed || w.conn != nil {
		return
	}
	w.dialing = true
	w.p.group.Go(func() {
		dialer := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(w.p.opt.Local, 0))}
		for wait := redialFirst; ; wait = min(2*wait, redialMost) {
			var c net.Conn
			err := w.p.opt.Inside(func() (err error) {
				c, err = dialer.DialContext(w.ctx, "tcp", w.p.opt.Registrar.String())
				return err
			})
			if conn, ok := c.(*net.TCPConn); ok && err == nil {
				w.p.post(func() { w.connected(conn) })
				if w.ctx.Err() != nil {
					_ = conn.Close() // the loop may have ended and dropped what was posted
				}
				return
			}
			select {
			case <-w.ctx.Done():
				return
			case <-time.After(wait):
			}
		}
	})
}

func (w *tcpWire) connected(conn *net.TCPConn) {
	w.dialing = false
	if w.closed {
		_ = conn.Close()
		return
	}
	w.conn = conn
	w.p.group.Go(func() { w.read(conn, w.p.opt.Registrar) })
	w.p.connected()
}

func (w *tcpWire) ready() bool {
	w.dial()
	return w.conn != nil
}

func (w *tcpWire) flush() {
	waiting := w.waiting
	w.waiting = nil
	for _, data := range waiting {
		w.send(data, w.p.opt.Registrar)
	}
}

// read posts each message; ping and pong stay here.
func (w *tcpWire) read(conn *net.TCPConn, from netip.AddrPort) {
	r := bufio.NewReader(conn)
	for {
		data, err := sipmsg.ReadFrom(r)
		switch {
		case errors.Is(err, sipmsg.ErrPing):
			w.p.post(func() { _ = write(conn, []byte("\r\n")) })
		case errors.Is(err, sipmsg.ErrPong):
		case err != nil:
			w.p.post(func() { w.lost(conn, from) })
			return
		default:
			w.p.post(func() { w.p.receive(data, from, time.Now()) })
		}
	}
}

// lost forgets a connection and, when it was the phone's own, makes a new one at once.
func (w *tcpWire) lost(conn *net.TCPConn, from netip.AddrPort) {
	_ = conn.Close()
	if w.inbound[from] == conn {
		delete(w.inbound, from)
		return
	}
	if w.conn == conn {
		w.conn = nil
		w.dial()
	}
}

func (w *tcpWire) close() {
	w.closed = true
	_ = w.listener.Close()
	if w.conn != nil {
		_ = w.conn.Close()
	}
	for _, c := range w.inbound {
		_ = c.Close()
	}
}
