// Package memnet is a network in memory: UDP that loses, delays, doubles and reorders by a seed, TCP
// with delay, and wires that can be cut. It uses only timers, a mutex and conditions, so that a Net
// made inside a testing/synctest bubble lets the bubble's time advance. Start at [New] and [Net.Host].
//
// What happens to the nth datagram from one address and port to another depends on the seed and these
// alone, not on the order in which goroutines happened to run.
package memnet

import (
	"hash/fnv"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/mss-federation/mss/pkg/network"
)

const (
	firstEphemeral = 49152
	defaultQueue   = 8192
	defaultWindow  = 64 << 10
	// maxDatagram is the largest payload of UDP over IPv4, in bytes.
	maxDatagram = 65507
)

// Options shape all links of a Net. The zero value is a perfect network.
type Options struct {
	Seed uint64
	// Delay is one way. Jitter is added to it, evenly from zero to Jitter; it never changes the order.
	Delay, Jitter time.Duration
	// Loss, Duplicate and Reorder are probabilities from 0 to 1, for datagrams only: streams
	// retransmit. A reordered datagram is held back for one more Delay and Jitter, at least 1 ms.
	Loss, Duplicate, Reorder float64
	// Queue is how many datagrams wait in a socket before more are dropped. Zero means 8192.
	Queue int
	// Window is how many bytes one direction of a stream holds before Write blocks. Zero means 64 KB.
	Window int
}

// Net is a set of hosts and the links between them.
type Net struct {
	opts Options

	mu sync.Mutex // guards everything below and the state of all sockets of this Net

	events    events
	pumping   bool
	seq       uint64
	hosts     map[netip.Addr]struct{}
	ports     map[netip.Addr]uint16
	cuts      map[[2]netip.Addr]struct{}
	links     map[linkKey]*link
	sockets   map[netip.AddrPort]*udpConn
	listeners map[netip.AddrPort]*listener
	halves    []*half
}

// New makes an empty network.
func New(opts Options) *Net {
	if opts.Queue == 0 {
		opts.Queue = defaultQueue
	}
	if opts.Window == 0 {
		opts.Window = defaultWindow
	}
	return &Net{
		opts:      opts,
		hosts:     make(map[netip.Addr]struct{}),
		ports:     make(map[netip.Addr]uint16),
		cuts:      make(map[[2]netip.Addr]struct{}),
		links:     make(map[linkKey]*link),
		sockets:   make(map[netip.AddrPort]*udpConn),
		listeners: make(map[netip.AddrPort]*listener),
	}
}

// Host gives the network as a machine with these addresses sees it. Nobody answers at an address that
// no host has: dialling it waits until the context ends.
func (n *Net) Host(addr netip.Addr, more ...netip.Addr) network.Network {
	h := &host{net: n, addrs: append([]netip.Addr{addr}, more...)}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, a := range h.addrs {
		n.hosts[a] = struct{}{}
	}
	return h
}

// Cut stops everything between two addresses, both ways. Datagrams are lost; streams wait.
func (n *Net) Cut(a, b netip.Addr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cuts[wire(a, b)] = struct{}{}
}

// Heal undoes Cut. What streams had sent meanwhile arrives one Delay later.
func (n *Net) Heal(a, b netip.Addr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	w := wire(a, b)
	delete(n.cuts, w)
	due := time.Now().Add(n.opts.Delay)
	for _, h := range n.halves {
		if wire(h.from.Addr(), h.to.Addr()) == w {
			n.atLocked(due, h.arriveLocked)
		}
	}
}

func wire(a, b netip.Addr) [2]netip.Addr {
	if b.Less(a) {
		a, b = b, a
	}
	return [2]netip.Addr{a, b}
}

func (n *Net) cutLocked(a, b netip.Addr) bool {
	_, cut := n.cuts[wire(a, b)]
	return cut
}

type linkKey struct {
	proto    string
	from, to netip.AddrPort
}

// link is one direction between two sockets: its own dice, and when its newest packet in order arrives.
type link struct {
	opts *Options
	rand *rand.Rand
	last time.Time
}

func (n *Net) linkLocked(proto string, from, to netip.AddrPort) *link {
	key := linkKey{proto, from, to}
	l := n.links[key]
	if l == nil {
		hash := fnv.New64a()
		_, _ = hash.Write([]byte(proto + from.String() + to.String())) // a hash.Hash never fails
		l = &link{opts: &n.opts, rand: rand.New(rand.NewPCG(n.opts.Seed, hash.Sum64()))}
		n.links[key] = l
	}
	return l
}

// delay throws the dice for one packet's way.
func (l *link) delay() time.Duration {
	d := l.opts.Delay
	if l.opts.Jitter > 0 {
		d += time.Duration(l.rand.Int64N(int64(l.opts.Jitter) + 1))
	}
	return d
}

// inOrder says when a packet sent now arrives if it overtakes nobody.
func (l *link) inOrder(now time.Time) time.Time {
	due := now.Add(l.delay())
	if due.Before(l.last) {
		due = l.last
	}
	l.last = due
	return due
}

func (l *link) chance(p float64) bool { return p > 0 && l.rand.Float64() < p }

// bindLocked completes a local address: the host must have it, and port 0 becomes a free one.
func (h *host) bindLocked(op, proto string, local netip.AddrPort, taken func(netip.AddrPort) bool) (netip.AddrPort, error) {
	if !slices.Contains(h.addrs, local.Addr()) {
		return local, opError(op, proto, local, netip.AddrPort{}, os.NewSyscallError("bind", syscall.EADDRNOTAVAIL))
	}
	if local.Port() != 0 {
		if taken(local) {
			return local, opError(op, proto, local, netip.AddrPort{}, os.NewSyscallError("bind", syscall.EADDRINUSE))
		}
		return local, nil
	}
	for range 1<<16 - firstEphemeral {
		port := max(h.net.ports[local.Addr()], firstEphemeral)
		h.net.ports[local.Addr()] = port + 1 // wraps to 0, which max lifts again
		if free := netip.AddrPortFrom(local.Addr(), port); !taken(free) {
			return free, nil
		}
	}
	return local, opError(op, proto, local, netip.AddrPort{}, os.NewSyscallError("bind", syscall.EADDRINUSE))
}

// opError dresses an error as package net does, so that errors.Is finds the same things in both.
func opError(op, proto string, local, remote netip.AddrPort, err error) error {
	e := &net.OpError{Op: op, Net: proto, Err: err}
	if local.IsValid() {
		e.Source = addrOf(proto, local)
	}
	if remote.IsValid() {
		e.Addr = addrOf(proto, remote)
	}
	return e
}

func addrOf(proto string, a netip.AddrPort) net.Addr {
	if proto == "udp" {
		return net.UDPAddrFromAddrPort(a)
	}
	return net.TCPAddrFromAddrPort(a)
}
