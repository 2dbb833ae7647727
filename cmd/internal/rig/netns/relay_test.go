package netns

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"
)

// relayed connects a to a listener at b through a relay.
func relayed(t *testing.T) (r *Relay, from netip.Addr, dial func() (net.Conn, error), accepted <-chan net.Conn) {
	t.Helper()
	a, b := twoSpaces(t)
	l, err := b.space.ListenTCP(netip.AddrPortFrom(b.addr, 0))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	to := l.Addr().(*net.TCPAddr).AddrPort()
	if r, err = b.space.Relay(to); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	taken := make(chan net.Conn, 4)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			taken <- c
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return r, a.addr, func() (net.Conn, error) {
		c, err := a.space.DialTCP(ctx, to)
		if err != nil {
			return nil, err
		}
		t.Cleanup(func() { _ = c.Close() })
		return c, c.SetDeadline(time.Now().Add(10 * time.Second))
	}, taken
}

func TestRelayPassesBreaksAndRefuses(t *testing.T) {
	t.Parallel()
	r, from, dial, accepted := relayed(t)
	for _, how := range []End{FIN, RST} {
		out, err := dial()
		if err != nil {
			t.Fatal(err)
		}
		in := <-accepted
		if err := in.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		for _, way := range [][2]net.Conn{{out, in}, {in, out}} {
			got := make([]byte, 3)
			if _, err := way[0].Write([]byte("abc")); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(way[1], got); err != nil || string(got) != "abc" {
				t.Fatalf("%q passed, %v", got, err)
			}
		}
		r.Break(from, how, true)
		want := map[End]error{FIN: io.EOF, RST: syscall.ECONNRESET}[how]
		for _, side := range []net.Conn{out, in} {
			if _, err := side.Read(make([]byte, 1)); !errors.Is(err, want) {
				t.Errorf("%v: read %v, want %v", how, err, want)
			}
		}
		if out, err = dial(); err == nil {
			_, err = out.Read(make([]byte, 1))
		}
		if err == nil {
			t.Errorf("%v: a connection passed that is to be refused", how)
		}
		<-accepted
		r.Admit(from)
	}
}

func TestArrivalsSeeWhatNobodyTakes(t *testing.T) {
	t.Parallel()
	a, b := twoSpaces(t)
	seen, err := b.space.Arrivals()
	if err != nil {
		t.Fatal(err)
	}
	began, nobody := time.Now(), netip.AddrPortFrom(b.addr, 4)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := a.space.DialTCP(ctx, nobody); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Fatalf("dialled nobody: %v", err)
	}
	dialled := func(s Segment) bool { return s.Begins && s.To == nobody && s.From.Addr() == a.addr }
	for len(seen.Since(began, dialled)) == 0 && ctx.Err() == nil {
		<-time.After(time.Millisecond) // the reader is a moment behind
	}
	if err := seen.Close(); err != nil {
		t.Error(err)
	}
	if got := seen.Since(began, dialled); len(got) != 1 || got[0].Bytes != 0 {
		t.Errorf("saw %+v", got)
	}
	for _, junk := range [][]byte{nil, {0x45}, make([]byte, 40), {0x4f, 0, 0, 60, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}} {
		if s, ok := segment(junk); ok {
			t.Errorf("%x is %+v", junk, s)
		}
	}
}
