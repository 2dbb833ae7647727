package siptransport_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/network/memnet"
	"github.com/mss-federation/mss/pkg/siptransport"
)

var (
	addrA   = netip.MustParseAddr("192.0.2.1")
	addrB   = netip.MustParseAddr("192.0.2.2")
	nowhere = netip.MustParseAddrPort("192.0.2.99:5060")
)

// bubble runs a test with a network in memory and, at addrA, one endpoint.
func bubble(t *testing.T, opts siptransport.Options, test func(t *testing.T, n *memnet.Net, a *node)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New(memnet.Options{})
		opts.Network = n.Host(addrA)
		test(t, n, start(t, opts, addrA))
	})
}

// dial connects a bare client to a node.
func dial(t *testing.T, n *memnet.Net, from netip.Addr, to *node) net.Conn {
	t.Helper()
	conn, err := n.Host(from).DialTCP(t.Context(), netip.AddrPort{}, to.tcp)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() }) // some tests have closed it
	return conn
}

func write(t *testing.T, conn net.Conn, s string) {
	t.Helper()
	if _, err := conn.Write([]byte(s)); err != nil {
		t.Error(err)
	}
}

// endsAt says when the node closes the connection.
func endsAt(t *testing.T, conn net.Conn, start time.Time) time.Duration {
	t.Helper()
	if rest, err := io.ReadAll(conn); err != nil || len(rest) != 0 {
		t.Errorf("read %q, %v; want the end", rest, err)
	}
	return time.Since(start)
}

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

// outcome collects what failed callbacks are told.
type outcome chan error

func (o outcome) failed(err error) { o <- err }

func TestDialFailureFailsWhatWaits(t *testing.T) {
	for name, tc := range map[string]struct {
		remote netip.AddrPort
		kind   fault.Kind
		after  time.Duration
	}{
		"refused": {netip.AddrPortFrom(addrB, 5060), fault.Unavailable, 0},
		"silence": {nowhere, fault.Timeout, 5 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, siptransport.Options{}, func(t *testing.T, n *memnet.Net, a *node) {
				t.Helper()
				n.Host(addrB)
				start, told := time.Now(), make(outcome, 10)
				flow := siptransport.Flow{Transport: siptransport.TCP, Remote: tc.remote}
				for range 3 {
					if err := a.Send(flow, []byte("x"), told.failed); err != nil {
						t.Fatal(err)
					}
				}
				for range 3 {
					if err := <-told; fault.KindOf(err) != tc.kind {
						t.Errorf("%v, want %v", err, tc.kind)
					}
				}
				synctest.Wait()
				if len(told) > 0 || len(a.ch) > 0 || time.Since(start) != tc.after || len(a.Flows()) != 0 {
					t.Errorf("%d more failures, %d events, after %v, %d flows", len(told), len(a.ch), time.Since(start), len(a.Flows()))
				}
				if err := a.Send(flow, []byte("x"), told.failed); err != nil {
					t.Fatal(err)
				}
				if err, s := <-told, a.Stats(); err == nil || s.Dials != 2 || s.DialErrors != 2 {
					t.Errorf("%v, %+v; want a new attempt", err, s)
				}
			})
		})
	}
}

func TestMessagesWaitForTheDialInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New(memnet.Options{Delay: 50 * time.Millisecond})
		a := start(t, siptransport.Options{Network: n.Host(addrA)}, addrA)
		b := start(t, siptransport.Options{Network: n.Host(addrB)}, addrB)
		flow := siptransport.Flow{Transport: siptransport.TCP, Remote: b.tcp}
		for i := range 200 {
			if err := a.Send(flow, []byte(message(fmt.Sprint(i))), func(err error) { t.Error(err) }); err != nil {
				t.Fatal(err)
			}
			if i > 100 {
				<-time.After(time.Millisecond) // the connection comes up among these
			}
		}
		for i := range 200 {
			b.message(t, message(fmt.Sprint(i)))
		}
		if s := a.Stats(); s.Dials != 1 || s.MessagesOut != 200 {
			t.Errorf("%+v", s)
		}
	})
}

// An accepted connection is answered on, but never chosen for requests to that address.
func TestAcceptedConnectionIsNotDialledInto(t *testing.T) {
	bubble(t, siptransport.Options{}, func(t *testing.T, n *memnet.Net, a *node) {
		t.Helper()
		conn := dial(t, n, addrB, a)
		write(t, conn, message("in"))
		flow := a.message(t, message("in"))
		flow.ID = 0
		told := make(outcome, 1)
		if err := a.Send(flow, []byte("x"), told.failed); err != nil {
			t.Fatal(err)
		}
		if err := <-told; fault.KindOf(err) != fault.Unavailable {
			t.Errorf("%v, want that nobody listens there", err)
		}
	})
}

func TestQueueFull(t *testing.T) {
	opts := siptransport.Options{WriteQueue: 10_000, WriteTimeout: 3 * time.Second}
	bubble(t, opts, func(t *testing.T, n *memnet.Net, a *node) {
		t.Helper()
		conn := dial(t, n, addrB, a)
		write(t, conn, message("hi"))
		flow := a.message(t, message("hi"))
		a.Keep(flow, true)
		begin, told, sent := time.Now(), make(outcome, 1000), 0
		for {
			err := a.Send(flow, make([]byte, 1000), told.failed)
			if errors.Is(err, siptransport.ErrQueueFull) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			sent++
			synctest.Wait()
		}
		// The peer reads nothing: its window takes 64 KB, the queue 10.
		if sent != 65+9 && sent != 65+10 {
			t.Errorf("%d messages of 1000 bytes were taken", sent)
		}
		other := dial(t, n, addrB, a)
		write(t, other, message("not delayed"))
		a.message(t, message("not delayed"))
		if h := a.next(t); h.flow != flow || fault.KindOf(h.cause) != fault.Timeout || time.Since(begin) != 3*time.Second {
			t.Errorf("%v ended after %v: %v", h.flow, time.Since(begin), h.cause)
		}
		synctest.Wait()
		if got := len(told); got != sent-65 {
			t.Errorf("%d of %d were told to have failed, want %d", got, sent, sent-65)
		}
		for len(told) > 0 {
			if err := <-told; fault.KindOf(err) != fault.Timeout {
				t.Error(err)
			}
		}
		if s := a.Stats(); s.QueueFull != 1 {
			t.Errorf("%+v", s)
		}
	})
}

func TestCloseLetsTheLastWordsLeave(t *testing.T) {
	bubble(t, siptransport.Options{}, func(t *testing.T, n *memnet.Net, a *node) {
		t.Helper()
		conn := dial(t, n, addrB, a)
		write(t, conn, message("hi"))
		flow := a.message(t, message("hi"))
		last := strings.Repeat("last words ", 20_000) // more than the window
		if err := a.Send(flow, []byte(last), func(err error) { t.Error(err) }); err != nil {
			t.Fatal(err)
		}
		a.Close(flow)
		if err := a.Send(flow, []byte("more"), func(error) { t.Error("failed was called too") }); !errors.Is(err, siptransport.ErrFlowClosed) {
			t.Errorf("send after close: %v", err)
		}
		if got, err := io.ReadAll(conn); err != nil || string(got) != last {
			t.Errorf("%d bytes, %v; want %d", len(got), err, len(last))
		}
		a.closed(t, siptransport.ErrClosedHere)
	})
}

func TestBrokenFramingIsAnsweredThenClosed(t *testing.T) {
	bubble(t, siptransport.Options{}, func(t *testing.T, n *memnet.Net, a *node) {
		t.Helper()
		a.refusing = func(flow siptransport.Flow) {
			if err := a.Send(flow, []byte("SIP/2.0 400 Bad Request\r\n\r\n"), nil); err != nil {
				t.Error(err)
			}
		}
		conn := dial(t, n, addrB, a)
		write(t, conn, message("good")+"BYE sip:example.org SIP/2.0\r\n\r\n"+message("never"))
		a.message(t, message("good"))
		if h := a.next(t); h.reason != "no Content-Length" || !strings.HasPrefix(h.msg, "BYE sip:example.org SIP/2.0\r\n\r\n") {
			t.Errorf("refused %q: %q", h.msg, h.reason)
		}
		if got, err := io.ReadAll(conn); err != nil || string(got) != "SIP/2.0 400 Bad Request\r\n\r\n" {
			t.Errorf("%q, %v", got, err)
		}
		if h := a.next(t); h.cause == nil || h.cause.Error() != "no Content-Length" {
			t.Errorf("closed: %v", h.cause)
		}
	})
}

func TestRunEndsWhateverIsUnderWay(t *testing.T) {
	bubble(t, siptransport.Options{}, func(t *testing.T, n *memnet.Net, a *node) {
		t.Helper()
		n.Host(addrB)
		quiet, busy := dial(t, n, addrB, a), dial(t, n, addrB, a)
		write(t, busy, message("hi"))
		flow := a.message(t, message("hi"))
		told := make(outcome, 10)
		if err := a.Send(flow, make([]byte, 200_000), told.failed); err != nil { // the peer does not read it
			t.Fatal(err)
		}
		if err := a.Send(siptransport.Flow{Transport: siptransport.TCP, Remote: nowhere}, []byte("x"), told.failed); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		if err := a.end(); err != nil {
			t.Error(err)
		}
		if got := time.Since(begin); got != 500*time.Millisecond {
			t.Errorf("took %v, want the 500ms that a peer has to take what waits", got)
		}
		for range 2 {
			if err := <-told; err == nil {
				t.Error("failed without an error")
			}
		}
		a.closed(t, siptransport.ErrStopped)
		a.closed(t, siptransport.ErrStopped)
		if got := endsAt(t, quiet, begin); got != 500*time.Millisecond {
			t.Errorf("quiet connection ended after %v", got)
		}
		if s := a.Stats(); s.Open != 0 || s.Unkept != 0 || len(a.Flows()) != 0 || len(a.ch) != 0 {
			t.Errorf("%+v, flows %v", s, a.Flows())
		}
	})
}

func TestDialsAreBounded(t *testing.T) {
	bubble(t, siptransport.Options{MaxDialled: 2}, func(t *testing.T, n *memnet.Net, a *node) {
		t.Helper()
		for i := range 3 {
			flow := siptransport.Flow{Transport: siptransport.TCP, Remote: netip.AddrPortFrom(nowhere.Addr(), uint16(6000+i))}
			if err := a.Send(flow, []byte("x"), nil); errors.Is(err, siptransport.ErrTooMany) != (i == 2) {
				t.Errorf("dial %d: %v", i, err)
			}
		}
		<-time.After(6 * time.Second)
		if err := a.Send(siptransport.Flow{Transport: siptransport.TCP, Remote: nowhere}, []byte("x"), nil); err != nil {
			t.Errorf("after the first ones failed: %v", err)
		}
		for name, flow := range map[string]siptransport.Flow{
			"TLS":     {Transport: siptransport.TLS, Remote: nowhere},
			"no port": {Transport: siptransport.TCP, Remote: netip.AddrPortFrom(addrB, 0)},
		} {
			if err := a.Send(flow, []byte("x"), nil); err == nil {
				t.Errorf("%s: dialled", name)
			}
		}
	})
}

// A peer that goes away while a call is set up: the dialled connection ends, the next request opens another.
func TestDialledConnectionIsReplaced(t *testing.T) {
	bubble(t, siptransport.Options{}, func(t *testing.T, n *memnet.Net, a *node) {
		t.Helper()
		b := start(t, siptransport.Options{Network: n.Host(addrB)}, addrB)
		flow := siptransport.Flow{Transport: siptransport.TCP, Remote: b.tcp}
		if err := a.Send(flow, []byte(message("1")), nil); err != nil {
			t.Fatal(err)
		}
		first := b.message(t, message("1"))
		a.Close(flow)
		if err := a.Send(flow, []byte(message("2")), nil); err != nil { // at once: the old one is still ending
			t.Fatal(err)
		}
		a.closed(t, siptransport.ErrClosedHere)
		for range 2 {
			if h := b.next(t); h.msg == message("2") && h.flow.ID == first.ID {
				t.Error("the closed connection was used")
			}
		}
	})
}
