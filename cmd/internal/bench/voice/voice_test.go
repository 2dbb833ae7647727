package voice

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/mss-federation/mss/cmd/internal/bench/contender"
	"github.com/mss-federation/mss/cmd/internal/rig/node"
)

// wire is a relay whose fault decides what becomes of each packet.
type wire struct {
	addr    netip.Addr
	fault   fault
	conns   []*net.UDPConn
	running sync.WaitGroup
}

// fault gets the packet of one end, counted from 0 in each direction of a call, and a function that sends to the other
// end.
type fault func(n int, packet []byte, send func([]byte))

// relay is a contender with a fault.
func relay(f fault) contender.Relay {
	return contender.Relay{Name: "wire", Start: func(context.Context, contender.RelaySetup) (contender.RelayServer, error) {
		return &wire{addr: node.NewAddress(), fault: f}, nil
	}}
}

func (w *wire) Dropped(context.Context) string { return "a fault" }

func (w *wire) Addr() netip.Addr { return w.addr }

// PID is this process: it works for the relay as well as for its talkers.
func (w *wire) PID() int { return os.Getpid() }

func (w *wire) Lead(_ context.Context, calls []contender.Ends) ([]contender.Ends, error) {
	led := make([]contender.Ends, len(calls))
	for i, call := range calls {
		var pair [2]*net.UDPConn
		for end := range pair {
			conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(w.addr, 0)))
			if err != nil {
				return nil, err
			}
			w.conns, pair[end] = append(w.conns, conn), conn
			led[i][end] = netip.MustParseAddrPort(conn.LocalAddr().String())
		}
		for end := range pair {
			w.running.Go(func() { w.pass(pair[end], pair[1-end], call[1-end]) })
		}
	}
	return led, nil
}

// pass carries what comes from one end to the other, until its socket is closed.
func (w *wire) pass(from, through *net.UDPConn, to netip.AddrPort) {
	buf := make([]byte, 2048)
	for n := 0; ; n++ {
		size, err := from.Read(buf)
		if err != nil {
			return
		}
		w.fault(n, buf[:size], func(packet []byte) {
			_, _ = through.WriteToUDPAddrPort(packet, to) // the other socket may be closed already
		})
	}
}

func (w *wire) Stop() error {
	var errs []error
	for _, conn := range w.conns {
		errs = append(errs, conn.Close())
	}
	w.running.Wait()
	return errors.Join(errs...)
}

func good(_ int, packet []byte, send func([]byte)) { send(packet) }

// every is a relay that does something to one packet in so many, and passes the others.
func every(n int, f fault) fault {
	return func(i int, packet []byte, send func([]byte)) {
		if i%n == n-1 {
			f(i, packet, send)
			return
		}
		send(packet)
	}
}

// TestFaultsAreSeen: 0.2 s of 50 calls through relays that each do one thing wrong with one packet in ten. 1000
// packets are counted; those of the warming up are not.
func TestFaultsAreSeen(t *testing.T) {
	t.Parallel()
	var held sync.Map // by direction: the packet that waits to be overtaken
	for name, c := range map[string]struct {
		fault                        fault
		received, overtaken, strange int
	}{
		"none":           {good, 1000, 0, 0},
		"loses":          {every(10, func(int, []byte, func([]byte)) {}), 900, 0, 0},
		"is dead":        {func(int, []byte, func([]byte)) {}, 0, 0, 0},
		"sends back":     {nil, 0, 0, 1000},
		"repeats":        {every(10, func(_ int, p []byte, send func([]byte)) { send(p); send(p) }), 1000, 0, 100},
		"changes voice":  {every(10, func(_ int, p []byte, send func([]byte)) { p[99] ^= 1; send(p) }), 900, 0, 100},
		"changes header": {every(10, func(_ int, p []byte, send func([]byte)) { p[1] ^= 1; send(p) }), 900, 0, 100},
		"changes stream": {every(10, func(_ int, p []byte, send func([]byte)) { p[11] ^= 1; send(p) }), 900, 0, 100},
		"changes time":   {every(10, func(_ int, p []byte, send func([]byte)) { p[7] ^= 1; send(p) }), 900, 0, 100},
		"cuts":           {every(10, func(_ int, p []byte, send func([]byte)) { send(p[:len(p)-1]) }), 900, 0, 100},
		"adds":           {every(10, func(_ int, p []byte, send func([]byte)) { send(append(p, 0)) }), 900, 0, 100},
		"makes up": {every(10, func(_ int, p []byte, send func([]byte)) {
			send(p)
			p[2] += 4 // a number that was not sent yet
			send(p)
		}), 1000, 0, 100},
		"reorders": {func(n int, p []byte, send func([]byte)) {
			key := [8]byte(p[8:16]) // the stream and some of its voice
			switch n % 10 {
			case 3:
				held.Store(key, append([]byte(nil), p...))
			case 4:
				send(p)
				if first, ok := held.LoadAndDelete(key); ok {
					send(first.([]byte))
				}
			default:
				send(p)
			}
		}, 1000, 100, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			contestant := relay(c.fault)
			if c.fault == nil {
				contestant = contender.Relay{Start: func(context.Context, contender.RelaySetup) (contender.RelayServer, error) {
					return &echo{wire{addr: node.NewAddress(), fault: good}}, nil
				}}
			}
			r, err := Run(t.Context(), "", contestant, Load{Calls: 50, Length: 200 * time.Millisecond, Warm: 100 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			// What is strange cannot be told from what is of the warming up: a few packets of it are still on their way.
			late := r.Strange - c.strange
			if r.Sent != 1000 || r.Received != c.received || r.Overtaken != c.overtaken || late < 0 || late > c.strange/10 {
				t.Errorf("sent 1000, want %d received, %d overtaken, %d strange: %+v", c.received, c.overtaken, c.strange, r)
			}
			if r.Said != "" != (c.received < 1000) {
				t.Errorf("the relay said %q", r.Said)
			}
			if r.Talkers <= 0 || r.Elapsed <= 0 { // how long it takes is the machine's: packets that are late are sent at once
				t.Errorf("used %v in %v", r.Talkers, r.Elapsed)
			}
		})
	}
}

// echo is a relay that sends everything back to where it came from.
type echo struct{ wire }

func (e *echo) Lead(ctx context.Context, calls []contender.Ends) ([]contender.Ends, error) {
	led := make([]contender.Ends, len(calls))
	for i, call := range calls {
		for end := range call {
			conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(e.addr, 0)))
			if err != nil {
				return nil, err
			}
			e.conns = append(e.conns, conn)
			led[i][end] = netip.MustParseAddrPort(conn.LocalAddr().String())
			e.running.Go(func() { e.pass(conn, conn, call[end]) })
		}
	}
	return led, ctx.Err()
}

// TestPacketsFromElsewhereAreStrange: whoever else sends a right packet to an end is seen.
func TestPacketsFromElsewhereAreStrange(t *testing.T) {
	t.Parallel()
	f := newFlow(3)
	f.from = netip.MustParseAddrPort("127.0.0.1:4000")
	f.advance()
	if got := f.judge(f.packet[:], netip.MustParseAddrPort("127.0.0.1:4001")); got != strange {
		t.Errorf("judged %d", got)
	}
	if got := f.judge(f.packet[:], f.from); got != counted {
		t.Errorf("judged %d", got)
	}
}

// TestNumbersGoRound: a flow is judged alike where its sequence numbers pass 65535.
func TestNumbersGoRound(t *testing.T) {
	t.Parallel()
	f := newFlow(0)
	f.next, f.first, f.heard = 65530, 65530, 65529
	for n := range 20 {
		f.advance()
		if got := f.judge(f.packet[:], f.from); got != counted {
			t.Fatalf("packet %d: judged %d", n, got)
		}
		if got := f.judge(f.packet[:], f.from); got != strange {
			t.Fatalf("packet %d, repeated: judged %d", n, got)
		}
	}
}

func TestRunTellsWhyARelayDoesNotWork(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	_, err := Run(t.Context(), "", contender.Relay{Start: func(context.Context, contender.RelaySetup) (contender.RelayServer, error) {
		return nil, broken
	}}, Load{Calls: 1})
	if !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}
