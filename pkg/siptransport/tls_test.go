package siptransport_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mss-federation/mss/pkg/network"
	"github.com/mss-federation/mss/pkg/network/memnet"
	"github.com/mss-federation/mss/pkg/siptransport"
)

// mutual makes configurations of two ends that know each other's certificates.
func mutual(t *testing.T) (server, client *tls.Config) {
	t.Helper()
	pool := x509.NewCertPool()
	one := func(name string) tls.Certificate {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		template := &x509.Certificate{
			SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
			NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(24 * time.Hour),
			IsCA: true, BasicConstraintsValid: true,
		}
		der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		pool.AddCert(leaf)
		return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	}
	b, a := one("b.example.org"), one("a.example.org")
	server = &tls.Config{
		Certificates: []tls.Certificate{b}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert,
		MinVersion: tls.VersionTLS13, SessionTicketsDisabled: true,
	}
	client = &tls.Config{Certificates: []tls.Certificate{a}, RootCAs: pool, ServerName: "b.example.org", MinVersion: tls.VersionTLS13}
	return server, client
}

// sight is what a watcher was told.
type sight struct {
	what  string
	flow  siptransport.Flow
	cause error
}

// eye is a Watcher that passes on what it is told.
type eye chan sight

func (e eye) FlowOpened(flow siptransport.Flow)              { e <- sight{"opened", flow, nil} }
func (e eye) FlowAlive(flow siptransport.Flow)               { e <- sight{"alive", flow, nil} }
func (e eye) FlowClosed(flow siptransport.Flow, cause error) { e <- sight{"closed", flow, cause} }

func (e eye) sees(t *testing.T, what string, flow siptransport.FlowID) sight {
	t.Helper()
	select {
	case s := <-e:
		if what != "" && s.what != what || flow != 0 && s.flow.ID != flow {
			t.Fatalf("saw %s %v (%v), want %s #%d", s.what, s.flow, s.cause, what, flow)
		}
		return s
	case <-time.After(time.Hour):
		t.Fatal("nothing seen")
		return sight{}
	}
}

// secure is a node with a TLS listener and a watcher.
type secure struct {
	*node
	eye
	tls netip.AddrPort
}

func startTLS(t *testing.T, opts siptransport.Options, addr netip.Addr, server *tls.Config) *secure {
	t.Helper()
	s := &secure{eye: make(eye, 1000)}
	opts.Watcher = s.eye
	if opts.Network == nil {
		opts.Network = network.System{}
	}
	s.node = start(t, opts, addr)
	ln, err := opts.Network.ListenTCP(t.Context(), netip.AddrPortFrom(addr, 0))
	if err != nil {
		t.Fatal(err)
	}
	s.tls = network.AddrPort(ln.Addr())
	if err := s.AddTLS(ln, server); err != nil {
		t.Fatal(err)
	}
	return s
}

// converse sends a message each way over a dialled TLS connection and closes it.
func converse(t *testing.T, a, b *secure, client *tls.Config) {
	t.Helper()
	flow, err := a.Dial(siptransport.Flow{Transport: siptransport.TLS, Remote: b.tls}, client)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Send(flow, []byte(message("early")), nil); err != nil { // waits for the handshake
		t.Fatal(err)
	}
	a.sees(t, "opened", flow.ID)
	accepted := b.sees(t, "opened", 0).flow
	if got := b.message(t, message("early")); got != accepted || got.Transport != siptransport.TLS {
		t.Errorf("came on %v, opened was %v", got, accepted)
	}
	if state, ok := b.Peer(accepted); !ok || state.PeerCertificates[0].Subject.CommonName != "a.example.org" {
		t.Errorf("the peer is %v, %v", state.PeerCertificates, ok)
	}
	if err := errors.Join(a.SetUserTimeout(flow, 6*time.Second), b.SetUserTimeout(accepted, 6*time.Second)); err != nil {
		t.Error(err)
	}
	if err := b.Send(accepted, []byte(message("back")), nil); err != nil {
		t.Fatal(err)
	}
	a.message(t, message("back"))
	if err := a.Ping(flow); err != nil {
		t.Fatal(err)
	}
	b.sees(t, "alive", accepted.ID)
	a.sees(t, "alive", flow.ID)
	b.Close(accepted)
	a.sees(t, "closed", flow.ID)
	b.sees(t, "closed", accepted.ID)
	if got := a.closed(t, io.EOF); got.ID != flow.ID {
		t.Errorf("closed %v", got)
	}
	if _, ok := a.Peer(flow); ok {
		t.Error("a closed connection still has a peer")
	}
}

func TestTLSBothWays(t *testing.T) {
	t.Parallel()
	server, client := mutual(t)
	a := startTLS(t, siptransport.Options{}, netip.MustParseAddr("127.0.0.1"), server)
	b := startTLS(t, siptransport.Options{}, netip.MustParseAddr("127.0.0.2"), server)
	converse(t, a, b, client)
}

// pair runs a test with two TLS endpoints on a network in memory.
func pair(t *testing.T, test func(t *testing.T, n *memnet.Net, a, b *secure, client *tls.Config)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New(memnet.Options{Delay: time.Millisecond})
		server, client := mutual(t)
		a := startTLS(t, siptransport.Options{Network: n.Host(addrA)}, addrA, server)
		b := startTLS(t, siptransport.Options{Network: n.Host(addrB)}, addrB, server)
		test(t, n, a, b, client)
	})
}

func TestTLSInMemory(t *testing.T) {
	pair(t, func(t *testing.T, _ *memnet.Net, a, b *secure, client *tls.Config) {
		t.Helper()
		converse(t, a, b, client)
	})
}

// Who cannot prove what it is, or says nothing, never reaches the receiver.
func TestTLSRefusesStrangers(t *testing.T) {
	pair(t, func(t *testing.T, n *memnet.Net, a, b *secure, client *tls.Config) {
		t.Helper()
		for name, change := range map[string]func(*tls.Config){
			"wrong name":     func(c *tls.Config) { c.ServerName = "c.example.org" },
			"no certificate": func(c *tls.Config) { c.Certificates = nil },
			"unknown root":   func(c *tls.Config) { c.RootCAs = x509.NewCertPool() },
		} {
			config := client.Clone()
			change(config)
			flow, err := a.Dial(siptransport.Flow{Transport: siptransport.TLS, Remote: b.tls}, config)
			if err != nil {
				t.Fatal(err)
			}
			if err := a.Send(flow, []byte(message(name)), nil); err != nil {
				t.Fatal(err)
			}
			if a.sees(t, "", flow.ID).what == "opened" { // TLS 1.3: the server judges the client's certificate last
				a.sees(t, "closed", flow.ID)
			}
		}
		silent, err := n.Host(addrA).DialTCP(t.Context(), netip.AddrPort{}, b.tls)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if got := endsAt(t, silent, began); got < 5*time.Second || got > 5*time.Second+10*time.Millisecond {
			t.Errorf("a silent connection ended after %v, want 5s", got)
		}
		synctest.Wait()
		if s := b.Stats(); s.HandshakeErrors != 4 || s.Open != 0 || s.Unkept != 0 || len(b.ch) != 0 || len(b.eye) != 0 {
			t.Errorf("%+v, %d heard, %d seen", s, len(b.ch), len(b.eye))
		}
		_ = silent.Close() // the node closed it
	})
}

func TestDialTellsThatNobodyIsThere(t *testing.T) {
	pair(t, func(t *testing.T, _ *memnet.Net, a, _ *secure, client *tls.Config) {
		t.Helper()
		began, told := time.Now(), make(outcome, 1)
		flow, err := a.Dial(siptransport.Flow{Transport: siptransport.TLS, Remote: nowhere}, client)
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Send(flow, []byte("x"), told.failed); err != nil {
			t.Fatal(err)
		}
		a.sees(t, "closed", flow.ID)
		if <-told == nil || time.Since(began) != 5*time.Second {
			t.Errorf("after %v", time.Since(began))
		}
		for name, flow := range map[string]siptransport.Flow{
			"UDP":     {Transport: siptransport.UDP, Remote: b5060},
			"TCP":     {Transport: siptransport.TCP, Remote: b5060},
			"no port": {Transport: siptransport.TLS, Remote: netip.AddrPortFrom(addrB, 0)},
		} {
			if _, err := a.Dial(flow, client); err == nil {
				t.Errorf("%s: dialled", name)
			}
		}
	})
}

var b5060 = netip.AddrPortFrom(addrB, 5060)

// A line end that is left over from before a message is no half of a ping after it.
func TestLineEndsThatAreNoPing(t *testing.T) {
	pair(t, func(t *testing.T, n *memnet.Net, _, b *secure, _ *tls.Config) {
		t.Helper()
		conn := dial(t, n, addrA, b.node)
		flow := b.sees(t, "opened", 0).flow
		for _, text := range []string{"\r\n", message("1"), "\r\n", message("2"), "\r\n", "\r\n"} {
			write(t, conn, text)
			<-time.After(10 * time.Millisecond)
		}
		b.sees(t, "alive", flow.ID)
		if s := b.Stats(); s.KeepAlives != 1 {
			t.Errorf("%d pings were seen, want the one at the end", s.KeepAlives)
		}
	})
}
