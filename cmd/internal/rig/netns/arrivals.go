package netns

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Segment is one TCP segment that arrived in a space, whether anybody took it or not.
type Segment struct {
	At       time.Time
	From, To netip.AddrPort
	Begins   bool // SYN without ACK: somebody dials
	Bytes    int  // of payload
}

// Arrivals notes the TCP segments that arrive in a space, as a sniffer beside it would.
type Arrivals struct {
	socket *os.File
	ended  chan struct{}

	mu struct {
		sync.Mutex
		seen []Segment
	}
}

// Arrivals begins to note. The caller closes it.
func (s *Space) Arrivals() (*Arrivals, error) {
	fd := -1
	err := s.Do(func() (err error) {
		ipv4 := int(bits.ReverseBytes16(unix.ETH_P_IP)) // in network order
		fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, ipv4)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listen to %s: %w", s.name, err)
	}
	a := &Arrivals{socket: os.NewFile(uintptr(fd), "packets"), ended: make(chan struct{})}
	go a.read()
	return a, nil
}

// Close ends it; what was seen stays.
func (a *Arrivals) Close() error {
	err := a.socket.Close()
	<-a.ended
	return err
}

// Since are the segments from a moment on that fit.
func (a *Arrivals) Since(from time.Time, fits func(Segment) bool) []Segment {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(a.mu.seen), func(s Segment) bool { return s.At.Before(from) || !fits(s) })
}

func (a *Arrivals) read() {
	defer close(a.ended)
	packet := make([]byte, 1<<16)
	for {
		n, err := a.socket.Read(packet)
		if err != nil {
			return
		}
		if s, ok := segment(packet[:n]); ok {
			s.At = time.Now()
			a.mu.Lock()
			a.mu.seen = append(a.mu.seen, s)
			a.mu.Unlock()
		}
	}
}

// segment reads an IPv4 packet (RFC 791) that carries TCP (RFC 9293).
func segment(packet []byte) (s Segment, ok bool) {
	const shortest, tcp, syn, ack = 20, 6, 0x02, 0x10
	if len(packet) < shortest || packet[0]>>4 != 4 || packet[9] != tcp {
		return s, false
	}
	head, whole := int(packet[0]&15)*4, int(binary.BigEndian.Uint16(packet[2:]))
	if head < shortest || whole > len(packet) || whole < head+shortest {
		return s, false
	}
	t := packet[head:whole]
	s.From = netip.AddrPortFrom(netip.AddrFrom4([4]byte(packet[12:])), binary.BigEndian.Uint16(t))
	s.To = netip.AddrPortFrom(netip.AddrFrom4([4]byte(packet[16:])), binary.BigEndian.Uint16(t[2:]))
	s.Begins = t[13]&(syn|ack) == syn
	s.Bytes = len(t) - int(t[12]>>4)*4
	return s, true
}
