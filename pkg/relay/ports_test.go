package relay

import (
	"net/netip"
	"slices"
	"testing"
	"time"
)

var loopback = netip.MustParseAddr("127.0.0.1")

func TestPorts(t *testing.T) {
	t.Parallel()
	p := newPorts(20001, 20009, 1, 32*time.Second, time.Second) // pairs 20002, 20004, 20006, 20008
	at := func(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }
	var got []int
	for range 4 {
		port, ok := p.take(loopback, 0, at(0))
		if !ok {
			t.Fatal("ports ran out")
		}
		got = append(got, port)
	}
	slices.Sort(got)
	if !slices.Equal(got, []int{20002, 20004, 20006, 20008}) {
		t.Fatalf("ports %v", got)
	}
	if port, ok := p.take(loopback, 0, at(0)); ok {
		t.Fatalf("fifth port %d", port)
	}
	if _, ok := p.take(netip.MustParseAddr("127.0.0.2"), 0, at(0)); !ok {
		t.Fatal("another address has ports of its own")
	}
	p.release(loopback, 20004, at(0))
	if port, ok := p.take(loopback, 0, at(0)); ok {
		t.Fatalf("port %d given out before its shortest rest", port)
	}
	p.release(loopback, 20002, at(1))
	if port, ok := p.take(loopback, 0, at(2)); !ok || port != 20004 {
		t.Fatalf("short of ports: %d %v, want the longest rested", port, ok)
	}
	p.release(loopback, 20004, at(3))
	p.claim(loopback, 20002)
	if port, ok := p.take(loopback, 0, at(100)); !ok || port != 20004 {
		t.Fatalf("after a claim: %d %v", port, ok)
	}
}

func TestPortsRestBeforeReuse(t *testing.T) {
	t.Parallel()
	p := newPorts(20000, 20400, 1, 32*time.Second, time.Second)
	used, _ := p.take(loopback, 0, start)
	p.release(loopback, used, start)
	for range 199 {
		if port, ok := p.take(loopback, 0, start.Add(31*time.Second)); !ok || port == used {
			t.Fatalf("port %d (%v) while others were free", port, ok)
		}
	}
}

// A call that was to have a port again which another one holds gives back what it never had.
func TestPortsReleasedTwice(t *testing.T) {
	t.Parallel()
	p := newPorts(20000, 20006, 1, 32*time.Second, time.Second)
	var last int
	for range 3 {
		last, _ = p.take(loopback, 0, start)
	}
	now := start
	for range 3 {
		p.release(loopback, last, now)
		p.release(loopback, last, now)
		now = now.Add(time.Minute)
		if port, ok := p.take(loopback, 0, now); !ok || port != last {
			t.Fatalf("port %d (%v), want %d", port, ok, last)
		}
		if port, ok := p.take(loopback, 0, now); ok {
			t.Fatalf("port %d given out twice", port)
		}
	}
}
