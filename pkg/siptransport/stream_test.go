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

// What came whole is answered, though the answer takes a moment and what follows it is broken.
func TestBrokenFramingLetsAnswersLeave(t *testing.T) {
	bubble(t, siptransport.Options{}, func(t *testing.T, n *memnet.Net, a *node) {
		t.Helper()
		conn := dial(t, n, addrB, a)
		write(t, conn, message("good")+"BYE sip:example.org SIP/2.0\r\n\r\n")
		flow := a.message(t, message("good"))
		a.next(t)
		<-time.After(400 * time.Millisecond)
		a.Keep(flow, true)
		if err := a.Send(flow, []byte("SIP/2.0 200 OK\r\n\r\n"), nil); err != nil {
			t.Error(err)
		}
		began := time.Now()
		if got, err := io.ReadAll(conn); err != nil || string(got) != "SIP/2.0 200 OK\r\n\r\n" {
			t.Errorf("%q, %v", got, err)
		}
		if took := time.Since(began); took > 100*time.Millisecond {
			t.Errorf("closed after %v more, want 100 ms", took)
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
		synctest.Wait() // the dial is under way
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
		if err := a.Send(flow, []byte(message("3")), nil); err != nil { // the old one's end did not touch the new one
			t.Fatal(err)
		}
		var second siptransport.FlowID
		for range 3 { // in between, the end of the first
			switch h := b.next(t); h.msg {
			case message("2"):
				second = h.flow.ID
			case message("3"):
				if h.flow.ID != second || second == first.ID {
					t.Errorf("connections %d, %d, %d; want a second one, used twice", first.ID, second, h.flow.ID)
				}
			}
		}
	})
}
