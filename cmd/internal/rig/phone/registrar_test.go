package phone

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/mss-federation/mss/cmd/internal/rig/sipmsg"
	"github.com/mss-federation/mss/pkg/servercert/servercerttest"
)

// registrar is the least that a phone can register at: it challenges, checks the digest, echoes the Contact.
type registrar struct {
	t        *testing.T
	password string
	udp      *net.UDPConn
	tcp      net.Listener
	tls      net.Listener
	trust    *x509.CertPool
	group    sync.WaitGroup

	mu       sync.Mutex
	conns    []net.Conn
	accepted int
	spoil    func(*sipmsg.Message) // changes a response before it leaves
}

const challenge = `Digest realm="example.org", nonce="abc", qop="auth", algorithm=MD5`

func newRegistrar(t *testing.T, password string) *registrar {
	t.Helper()
	r := &registrar{t: t, password: password}
	var err error
	if r.udp, err = net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}); err != nil {
		t.Fatal(err)
	}
	if r.tcp, err = net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}); err != nil {
		t.Fatal(err)
	}
	r.secure()
	r.group.Go(r.serveUDP)
	r.group.Go(func() { r.serve(r.tcp) })
	r.group.Go(func() { r.serve(r.tls) })
	t.Cleanup(func() {
		_ = r.udp.Close()
		_ = r.tcp.Close()
		_ = r.tls.Close()
		r.drop()
		r.group.Wait()
	})
	return r
}

// secure listens over TLS too.
func (r *registrar) secure() {
	authority, err := servercerttest.NewAuthority()
	if err != nil {
		r.t.Fatal(err)
	}
	certificate, key, err := authority.Issue(servercerttest.Server{Addresses: []netip.Addr{netip.MustParseAddr("127.0.0.1")}})
	if err != nil {
		r.t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		r.t.Fatal(err)
	}
	r.trust = authority.Pool()
	r.tls, err = tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12})
	if err != nil {
		r.t.Fatal(err)
	}
}

// at is where phones of a transport register.
func (r *registrar) at(t Transport) netip.AddrPort {
	switch t {
	case TCP:
		return r.tcpAddr()
	case TLS:
		return r.tls.Addr().(*net.TCPAddr).AddrPort()
	case UDP:
	}
	return r.udpAddr()
}

func (r *registrar) udpAddr() netip.AddrPort { return r.udp.LocalAddr().(*net.UDPAddr).AddrPort() }
func (r *registrar) tcpAddr() netip.AddrPort { return r.tcp.Addr().(*net.TCPAddr).AddrPort() }

// drop closes all connections.
func (r *registrar) drop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.conns {
		_ = c.Close()
	}
	r.conns = nil
}

func (r *registrar) serveUDP() {
	buf := make([]byte, 65535)
	for {
		n, from, err := r.udp.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		if res := r.respond(buf[:n], from); res != nil {
			_, _ = r.udp.WriteToUDPAddrPort(res, from)
		}
	}
}

func (r *registrar) serve(listener net.Listener) {
	for {
		c, err := listener.Accept()
		if err != nil {
			return
		}
		r.mu.Lock()
		r.conns = append(r.conns, c)
		r.accepted++
		r.mu.Unlock()
		r.group.Go(func() {
			in := bufio.NewReader(c)
			for {
				data, err := sipmsg.ReadFrom(in)
				if err != nil {
					return
				}
				_, _ = c.Write(r.respond(data, c.RemoteAddr().(*net.TCPAddr).AddrPort()))
			}
		})
	}
}

func (r *registrar) respond(data []byte, from netip.AddrPort) []byte {
	req, err := sipmsg.Parse(data)
	if err != nil {
		r.t.Errorf("phone sent: %v", err)
		return nil
	}
	tx := &serverTx{req: req, from: from}
	res := tx.response(200, "OK", "registrar")
	credentials := sipmsg.ChallengeParams(req.Get("authorization"))
	switch {
	case len(credentials) == 0:
		res = tx.response(401, "Unauthorized", "registrar")
		res.Add("WWW-Authenticate", challenge)
	case credentials["response"] != r.expected(req, credentials):
		res = tx.response(403, "Forbidden", "registrar")
	case req.Get("expires") != "0":
		res.Add("Contact", req.Get("contact")+";expires="+req.Get("expires"))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.spoil != nil {
		r.spoil(res)
	}
	return res.Bytes()
}

func (r *registrar) expected(req *sipmsg.Message, c map[string]string) string {
	hash, err := hasher("MD5")
	if err != nil {
		r.t.Error(err)
		return ""
	}
	ha1 := hash(c["username"] + ":example.org:" + r.password)
	return hash(strings.Join([]string{ha1, "abc", c["nc"], c["cnonce"], "auth", hash(req.Method + ":" + c["uri"])}, ":"))
}
