package phone

import (
	"bufio"
	"context"
	"crypto/tls"
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

// streamWire keeps one connection to the registrar, over TCP or TLS, dialled when first needed and again whenever it
// closes, and a listener, whose address is the Contact. Over TLS nobody may come there: a phone has no certificate.
type streamWire struct {
	p        *Phone
	ctx      context.Context
	listener *net.TCPListener
	addr     netip.AddrPort

	// Owned by the phone's loop.
	conn    net.Conn
	dialing bool
	waiting [][]byte // for the connection
	inbound map[netip.AddrPort]net.Conn
	closed  bool
}

func newStream(ctx context.Context, p *Phone) (*streamWire, error) {
	l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(p.opt.Local, 0)))
	if err != nil {
		return nil, fmt.Errorf("listen on TCP: %w", err)
	}
	w := &streamWire{p: p, ctx: ctx, listener: l, inbound: map[netip.AddrPort]net.Conn{}}
	if a, ok := l.Addr().(*net.TCPAddr); ok {
		w.addr = unmap(a.AddrPort())
	}
	p.group.Go(w.accept)
	return w, nil
}

func (w *streamWire) local() netip.AddrPort { return w.addr }

func (w *streamWire) accept() {
	for {
		conn, err := w.listener.AcceptTCP()
		if err != nil {
			return
		}
		from := remoteOf(conn)
		w.p.post(func() {
			if w.p.opt.Transport == TLS && !w.closed {
				w.p.journal.violation(RuleFlow, "a connection from %v: a phone over TLS is reached by its own alone", from)
			}
			if w.p.opt.Transport == TLS || w.closed {
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
func (w *streamWire) send(data []byte, to netip.AddrPort) {
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

func write(conn net.Conn, data []byte) error {
	if err := conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return fmt.Errorf("set deadline: %w", err)
	}
	if _, err := conn.Write(data); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

// dial connects in the background, trying for as long as the phone lives.
func (w *streamWire) dial() {
	if w.dialing || w.closed || w.conn != nil {
		return
	}
	w.dialing = true
	w.p.group.Go(func() {
		for wait := redialFirst; ; wait = min(2*wait, redialMost) {
			conn, err := w.connect()
			if err == nil {
				w.p.post(func() { w.connected(conn) })
				if w.ctx.Err() != nil {
					_ = conn.Close() // the loop may have ended and dropped what was posted
				}
				return
			}
			if bad, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
				w.p.post(func() { w.p.journal.violation(RuleNetwork, "the registrar's certificate: %v", bad) })
			}
			select {
			case <-w.ctx.Done():
				return
			case <-time.After(wait):
			}
		}
	})
}

// connect makes one attempt. A listener whose process is being started takes the connection and shakes hands later:
// there is no limit but the phone's life.
func (w *streamWire) connect() (conn net.Conn, err error) {
	dialer := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(w.p.opt.Local, 0))}
	err = w.p.opt.Inside(func() (err error) {
		conn, err = dialer.DialContext(w.ctx, "tcp", w.p.opt.Registrar.String())
		return err
	})
	if err != nil || w.p.opt.Transport == TCP {
		return conn, err
	}
	secure := tls.Client(conn, &tls.Config{
		RootCAs: w.p.opt.Trust, ServerName: w.p.opt.Registrar.Addr().String(), MinVersion: tls.VersionTLS12,
	})
	if err := secure.HandshakeContext(w.ctx); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return secure, nil
}

func (w *streamWire) connected(conn net.Conn) {
	w.dialing = false
	if w.closed {
		_ = conn.Close()
		return
	}
	w.conn = conn
	w.p.group.Go(func() { w.read(conn, w.p.opt.Registrar) })
	w.p.connected()
}

func (w *streamWire) ready() bool {
	w.dial()
	return w.conn != nil
}

func (w *streamWire) flush() {
	waiting := w.waiting
	w.waiting = nil
	for _, data := range waiting {
		w.send(data, w.p.opt.Registrar)
	}
}

// read posts each message; ping and pong stay here.
func (w *streamWire) read(conn net.Conn, from netip.AddrPort) {
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
func (w *streamWire) lost(conn net.Conn, from netip.AddrPort) {
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

func (w *streamWire) close() {
	w.closed = true
	_ = w.listener.Close()
	if w.conn != nil {
		_ = w.conn.Close()
	}
	for _, c := range w.inbound {
		_ = c.Close()
	}
}
