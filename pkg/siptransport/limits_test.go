package siptransport_test

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mss-federation/mss/pkg/network/memnet"
	"github.com/mss-federation/mss/pkg/siptransport"
)

func TestSilentConnectionEnds(t *testing.T) {
	bubble(t, siptransport.Options{}, func(t *testing.T, n *memnet.Net, a *node) {
		t.Helper()
		if got := endsAt(t, dial(t, n, addrB, a), time.Now()); got != 5*time.Second {
			t.Errorf("ended after %v, want 5s", got)
		}
		a.closed(t, siptransport.ErrSilent)
		if s := a.Stats(); s.TimedOut != 1 || s.Accepted != 1 || s.Open != 0 || s.Unkept != 0 {
			t.Errorf("%+v", s)
		}
	})
}

func TestSlowMessageEnds(t *testing.T) {
	bubble(t, siptransport.Options{}, func(t *testing.T, n *memnet.Net, a *node) {
		t.Helper()
		conn := dial(t, n, addrB, a)
		write(t, conn, message("quick"))
		flow := a.message(t, message("quick"))
		a.Keep(flow, true)
		<-time.After(time.Minute) // kept: between messages there is no limit
		start := time.Now()
		for _, c := range message("slow")[:4] {
			write(t, conn, string(c))
			<-time.After(900 * time.Millisecond)
		}
		a.closed(t, siptransport.ErrSlowMessage)
		if got := time.Since(start); got != 4*time.Second {
			t.Errorf("ended after %v, want 4s", got)
		}
	})
}

func TestIdleConnectionEndsUnlessKept(t *testing.T) {
	bubble(t, siptransport.Options{}, func(t *testing.T, n *memnet.Net, a *node) {
		t.Helper()
		conn := dial(t, n, addrB, a)
		write(t, conn, message("1"))
		flow := a.message(t, message("1"))
		<-time.After(20 * time.Second)
		write(t, conn, message("2")) // counts
		a.message(t, message("2"))
		<-time.After(20 * time.Second)
		if err := a.Send(flow, []byte(message("out")), nil); err != nil { // counts
			t.Fatal(err)
		}
		if got, err := io.ReadAll(io.LimitReader(conn, int64(len(message("out"))))); err != nil || string(got) != message("out") {
			t.Fatalf("%q, %v", got, err)
		}
		<-time.After(20 * time.Second)
		a.Keep(flow, true)
		if s := a.Stats(); s.Unkept != 0 || s.Open != 1 {
			t.Errorf("kept: %+v", s)
		}
		<-time.After(24 * time.Hour)
		a.Keep(flow, false)
		start := time.Now()
		go func() {
			for range 4 { // do not count
				<-time.After(7 * time.Second)
				write(t, conn, "\r\n\r\n")
				if _, err := io.ReadFull(conn, make([]byte, 2)); err != nil {
					t.Error("no answer to a ping:", err)
				}
			}
		}()
		a.closed(t, siptransport.ErrIdle)
		if got := time.Since(start); got != 30*time.Second {
			t.Errorf("ended %v after it was no longer kept, want 30s", got)
		}
	})
}

func TestQuietConnectionEndsWhenItIsNoLongerKept(t *testing.T) {
	bubble(t, siptransport.Options{}, func(t *testing.T, n *memnet.Net, a *node) {
		t.Helper()
		write(t, dial(t, n, addrB, a), message("1"))
		flow := a.message(t, message("1"))
		a.Keep(flow, true)
		<-time.After(time.Hour) // the reader waits without a deadline
		a.Keep(flow, false)
		start := time.Now()
		a.closed(t, siptransport.ErrIdle)
		if got := time.Since(start); got != 30*time.Second {
			t.Errorf("ended after %v, want 30s", got)
		}
	})
}

func TestDialledConnectionOutlastsRinging(t *testing.T) {
	bubble(t, siptransport.Options{}, func(t *testing.T, n *memnet.Net, a *node) {
		t.Helper()
		b := start(t, siptransport.Options{Network: n.Host(addrB)}, addrB)
		begin := time.Now()
		if err := a.Send(siptransport.Flow{Transport: siptransport.TCP, Remote: b.tcp}, []byte(message("x")), nil); err != nil {
			t.Fatal(err)
		}
		b.Keep(b.message(t, message("x")), true)
		a.closed(t, siptransport.ErrIdle)
		if got := time.Since(begin); got != 5*time.Minute {
			t.Errorf("ended after %v, want 5m", got)
		}
	})
}

func TestConnectionsPerSourceAreBounded(t *testing.T) {
	opts := siptransport.Options{MaxConnsPerIP: 3, MaxConnsPerPrivateIP: 5, MaxUnkept: 9}
	bubble(t, opts, func(t *testing.T, n *memnet.Net, a *node) {
		t.Helper()
		admitted := func(from string, tries int) (conns []net.Conn) {
			for range tries {
				conn := dial(t, n, netip.MustParseAddr(from), a)
				write(t, conn, message("hi"))
				synctest.Wait()
				if len(a.ch) > 0 {
					a.message(t, message("hi"))
					conns = append(conns, conn)
				}
			}
			return conns
		}
		public := admitted("198.51.100.7", 6)
		private := admitted("10.0.0.7", 6)
		if len(public) != 3 || len(private) != 5 {
			t.Errorf("public source: %d connections, private: %d; want 3 and 5", len(public), len(private))
		}
		if got := len(admitted("198.51.100.8", 6)); got != 1 {
			t.Errorf("another source: %d, want the one that is left of 9 in all", got)
		}
		if s := a.Stats(); s.RefusedPerIP != 4 || s.RefusedUnkept != 5 || s.Open != 9 || s.Unkept != 9 {
			t.Errorf("%+v", s)
		}
		_ = public[0].Close()
		a.closed(t, io.EOF)
		if got := len(admitted("198.51.100.7", 2)); got != 1 {
			t.Errorf("after one ended: %d more, want 1", got)
		}
		for _, info := range a.Flows() {
			a.Keep(info.Flow, true)
		}
		if got := len(admitted("198.51.100.9", 2)); got != 2 {
			t.Errorf("when all are kept: %d more, want 2", got)
		}
	})
}

func TestIPv6SourceIsItsNetwork(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New(memnet.Options{})
		addr := netip.MustParseAddr("2001:db8::1")
		a := start(t, siptransport.Options{Network: n.Host(addr), MaxConnsPerIP: 2}, addr)
		for i := range 4 {
			dial(t, n, netip.MustParseAddr(fmt.Sprintf("2001:db8:7::%d", i+1)), a)
		}
		dial(t, n, netip.MustParseAddr("2001:db8:8::1"), a)
		synctest.Wait()
		if s := a.Stats(); s.Accepted != 3 || s.RefusedPerIP != 2 {
			t.Errorf("%+v", s)
		}
	})
}
