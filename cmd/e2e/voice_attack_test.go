package e2e

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mss-federation/mss/cmd/internal/bench/contender"
	"github.com/mss-federation/mss/cmd/internal/bench/voice"
	"github.com/mss-federation/mss/cmd/internal/rig/node"
)

// besieged is a media process with calls whose ports strangers send to. One call more than those that are measured is up.
type besieged struct {
	contender.RelayServer
	attack  attack
	stop    context.CancelFunc
	running sync.WaitGroup
	fired   atomic.Int64
	said    string // by the media process at the end
}

// attack sends one salvo at the ports of calls, of which the last call is not measured.
type attack struct {
	every time.Duration
	fire  func(from *net.UDPConn, targets []netip.AddrPort, round int) (packets int, err error)
}

func (b *besieged) Lead(ctx context.Context, calls []contender.Ends) ([]contender.Ends, error) {
	nobody := contender.Ends{netip.AddrPortFrom(node.NewAddress(), 9), netip.AddrPortFrom(node.NewAddress(), 9)}
	led, err := b.RelayServer.Lead(ctx, append(calls, nobody))
	if err != nil {
		return nil, err
	}
	var targets []netip.AddrPort
	for _, ports := range led {
		targets = append(targets, ports[0], ports[1])
	}
	ctx, b.stop = context.WithCancel(ctx)
	// One stranger has an address of its own, the other is on the phones' machine.
	for _, addr := range []netip.Addr{node.NewAddress(), calls[0][0].Addr()} {
		conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, 0)))
		if err != nil {
			return nil, err
		}
		b.running.Go(func() { b.siege(ctx, conn, targets) })
	}
	return led[:len(calls)], nil
}

// siege fires until ctx ends.
func (b *besieged) siege(ctx context.Context, conn *net.UDPConn, targets []netip.AddrPort) {
	defer conn.Close()
	tick := time.NewTicker(b.attack.every)
	defer tick.Stop()
	for round := 0; ; round++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		n, err := b.attack.fire(conn, targets, round)
		if err != nil {
			return // fired tells of it
		}
		b.fired.Add(int64(n))
	}
}

func (b *besieged) Stop() error {
	if b.stop != nil {
		b.said = b.RelayServer.Dropped(context.Background())
		b.stop()
	}
	b.running.Wait()
	return b.RelayServer.Stop()
}

// rtp is a packet as the calls have them, whose voice is a stranger's. Its stream is the one that comes to that port.
func rtp(target, round int) []byte {
	p := make([]byte, 172)
	p[0] = 0x80
	binary.BigEndian.PutUint16(p[2:], uint16(round))
	binary.BigEndian.PutUint32(p[4:], uint32(round)*160)
	binary.BigEndian.PutUint32(p[8:], uint32(target))
	return p
}

// salvo sends to each of some ports what packet makes for it.
func salvo(from *net.UDPConn, targets []netip.AddrPort, packet func(target int) []byte) (int, error) {
	for i, to := range targets {
		if _, err := from.WriteToUDPAddrPort(packet(i), to); err != nil {
			return i, err
		}
	}
	return len(targets), nil
}

// next are the RTCP ports of RTP ports.
func next(targets []netip.AddrPort) []netip.AddrPort {
	ports := make([]netip.AddrPort, len(targets))
	for i, to := range targets {
		ports[i] = netip.AddrPortFrom(to.Addr(), to.Port()+1)
	}
	return ports
}

// TestVoiceUnderAttack: whatever strangers send to the ports of calls, the voice of all calls arrives whole, and nothing
// else does. The media process does not fall.
func TestVoiceUnderAttack(t *testing.T) {
	t.Parallel()
	// Two strangers and the call fill a socket in 1.5 s at this rate: so long may a busy machine look away.
	const often = 15 * time.Millisecond
	sizes := []int{0, 1, 7, 8, 11, 12, 13, 171, 173, 1472, 1500, 4095, 4096, 4097, 9000, 65507}
	for name, c := range map[string]struct {
		attack attack
		says   string // the media process
	}{
		"voice into every call": {attack{often, func(from *net.UDPConn, targets []netip.AddrPort, round int) (int, error) {
			return salvo(from, targets, func(target int) []byte { return rtp(target, round) })
		}}, " stranger"},
		"packets of all sizes": {attack{often, func(from *net.UDPConn, targets []netip.AddrPort, round int) (int, error) {
			size := sizes[round%len(sizes)]
			if size > 4097 { // two of these fill a socket: one for one call, so that a busy machine can take it out in time
				i := round / len(sizes) % len(targets)
				targets = targets[i : i+1]
			}
			junk := append(rtp(round, round), make([]byte, 65507)...)[:size]
			n, err := salvo(from, targets, func(int) []byte { return junk })
			m, err2 := salvo(from, next(targets), func(int) []byte { return junk })
			return n + m, errors.Join(err, err2)
		}}, " malformed"},
		"reports and goodbyes": {attack{often, func(from *net.UDPConn, targets []netip.AddrPort, _ int) (int, error) {
			return salvo(from, next(targets), func(target int) []byte {
				return []byte{0x80, 201, 0, 1, 0, 0, 0, 1, 0x81, 203, 0, 1, 0, 0, byte(target >> 8), byte(target)} // RR, BYE
			})
		}}, " stranger"},
		"a flood at one call": {attack{time.Millisecond, func(from *net.UDPConn, targets []netip.AddrPort, round int) (int, error) {
			victim := targets[len(targets)-1]
			for i := range 10 {
				if _, err := from.WriteToUDPAddrPort(rtp(0, 10*round+i), victim); err != nil {
					return i, err
				}
			}
			return 10, nil
		}}, " stranger"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			relays, err := contender.NamedRelays(contender.RelayMedia)
			must(t, err)
			var b *besieged
			start := func(ctx context.Context, setup contender.RelaySetup) (contender.RelayServer, error) {
				server, err := relays[0].Start(ctx, setup)
				b = &besieged{RelayServer: server, attack: c.attack}
				return b, err
			}
			r, err := voice.Run(limit(t), bin, contender.Relay{Name: relays[0].Name, Start: start},
				voice.Load{Calls: 30, Length: 3 * time.Second})
			must(t, err)
			if r.Sent != 9000 || r.Loss() > 0.001 || r.Strange != 0 || r.Overtaken != 0 {
				t.Errorf("voice suffered: %+v", r)
			}
			if fired := b.fired.Load(); fired < 3000 || !strings.Contains(b.said, c.says) {
				t.Errorf("strangers sent %d packets, the media process says: %s", fired, b.said)
			}
		})
	}
}
