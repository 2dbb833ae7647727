package siptransport_test

import (
	"crypto/tls"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mss-federation/mss/pkg/network/memnet"
	"github.com/mss-federation/mss/pkg/siptransport"
)

// However many connect at once, a few handshakes are computed at a time, and all come to their end.
func TestHandshakesTakeTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New(memnet.Options{Delay: time.Millisecond})
		server, client := mutual(t)
		const most, all = 3, 20
		computing, begun, let := 0, make(chan struct{}, all), make(chan struct{})
		certificate := server.Certificates[0]
		server.Certificates = nil
		server.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			begun <- struct{}{}
			<-let
			return &certificate, nil
		}
		a := startTLS(t, siptransport.Options{Network: n.Host(addrA), MaxHandshakes: most}, addrA, server)
		b := startTLS(t, siptransport.Options{Network: n.Host(addrB)}, addrB, server)
		for range all {
			if _, err := b.Dial(siptransport.Flow{Transport: siptransport.TLS, Remote: a.tls}, client); err != nil {
				t.Fatal(err)
			}
		}
		for opened := 0; opened < all; {
			<-time.After(10 * time.Millisecond)
			synctest.Wait()
			for len(begun) > 0 {
				<-begun
				computing++
			}
			if computing > most || computing == 0 {
				t.Fatalf("%d handshakes are computed at a time, want 1 to %d", computing, most)
			}
			let <- struct{}{}
			computing--
			<-time.After(10 * time.Millisecond)
			opened += drain(t, a)
		}
	})
}

// drain counts the connections that opened.
func drain(t *testing.T, s *secure) (opened int) {
	t.Helper()
	synctest.Wait()
	for len(s.eye) > 0 {
		s.sees(t, "opened", 0)
		opened++
	}
	return opened
}

// Who begins a handshake and then says nothing keeps nobody from theirs.
func TestSilentHandshakesKeepNobodyWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New(memnet.Options{Delay: time.Millisecond})
		server, client := mutual(t)
		a := startTLS(t, siptransport.Options{Network: n.Host(addrA), MaxHandshakes: 1}, addrA, server)
		b := startTLS(t, siptransport.Options{Network: n.Host(addrB)}, addrB, server)
		for i := range 10 {
			conn, err := n.Host(addrB).DialTCP(t.Context(), netip.AddrPort{}, a.tls)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = conn.Close() }) // the node has closed it
			if i%2 == 0 {
				write(t, conn, "\x16\x03\x01\x02\x00") // a ClientHello is to follow
			}
		}
		<-time.After(10 * time.Millisecond)
		if _, err := b.Dial(siptransport.Flow{Transport: siptransport.TLS, Remote: a.tls}, client); err != nil {
			t.Fatal(err)
		}
		<-time.After(10 * time.Millisecond)
		if got := drain(t, a); got != 1 {
			t.Errorf("%d connections opened beside silent ones, want 1", got)
		}
	})
}

// A listener for others lends its address to no connection that is dialled.
func TestInboundListenerIsNotShown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New(memnet.Options{Delay: time.Millisecond})
		server, client := mutual(t)
		b := startTLS(t, siptransport.Options{Network: n.Host(addrB)}, addrB, server)
		a := &secure{eye: make(eye, 100)}
		host := n.Host(addrA)
		a.node = start(t, siptransport.Options{Network: host, Watcher: a.eye}, addrA)
		ln, err := host.ListenTCP(t.Context(), netip.AddrPortFrom(addrA, 5061))
		if err != nil {
			t.Fatal(err)
		}
		if err := a.AddInboundTLS(ln, server); err != nil {
			t.Fatal(err)
		}
		if local, ok := a.LocalFor(siptransport.TLS, addrB); ok {
			t.Errorf("%v is shown to others", local)
		}
		if _, err := a.Dial(siptransport.Flow{Transport: siptransport.TLS, Remote: b.tls}, client); err != nil {
			t.Fatal(err)
		}
		if got := a.sees(t, "opened", 0).flow.Local; got.Port() == 5061 || got.Addr() != addrA {
			t.Errorf("dialled from %v", got)
		}
		if _, err := b.Dial(siptransport.Flow{Transport: siptransport.TLS, Remote: netip.AddrPortFrom(addrA, 5061)}, client); err != nil {
			t.Fatal(err)
		}
		if got := a.sees(t, "opened", 0).flow.Local; got.Port() != 5061 {
			t.Errorf("accepted at %v", got)
		}
	})
}
