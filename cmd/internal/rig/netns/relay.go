package netns

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"sync"
)

// End is how a connection ends.
type End uint8

// The ends.
const (
	FIN End = iota // in good order: no more bytes come
	RST
)

// String is the flag's name.
func (e End) String() string { return [...]string{"FIN", "RST"}[e] }

// Relay stands before a TCP port of a space and passes on what comes from other spaces, until it is told to end a
// neighbour's connections, as a machine between may, or a program at either end.
type Relay struct {
	space    *Space
	to       netip.AddrPort
	listener *net.TCPListener
	group    sync.WaitGroup

	mu struct {
		sync.Mutex
		closed  bool
		refused map[netip.Addr]bool
		pairs   map[*pair]bool
	}
}

// pair is one connection and its continuation.
type pair struct {
	from    netip.Addr
	in, out *net.TCPConn
}

// Relay makes a relay before a port; it takes connections that are new. The caller closes it.
func (s *Space) Relay(to netip.AddrPort) (*Relay, error) {
	listener, err := s.ListenTCP(netip.AddrPortFrom(to.Addr(), 0))
	if err != nil {
		return nil, fmt.Errorf("relay %v: %w", to, err)
	}
	r := &Relay{space: s, to: to, listener: listener}
	r.mu.refused, r.mu.pairs = map[netip.Addr]bool{}, map[*pair]bool{}
	at, _ := netip.ParseAddrPort(listener.Addr().String())
	if _, err := s.Run("iptables", "-w", "10", "-t", "nat", "-A", "PREROUTING", "-p", "tcp", "-d", to.Addr().String(),
		"--dport", strconv.Itoa(int(to.Port())), "-j", "REDIRECT", "--to-ports", strconv.Itoa(int(at.Port()))); err != nil {
		return nil, errors.Join(fmt.Errorf("relay %v: %w", to, err), listener.Close())
	}
	r.group.Go(r.accept)
	return r, nil
}

// Break ends the connections from a space, both halves at once. With refuse, new ones end too, until Admit.
func (r *Relay) Break(from netip.Addr, how End, refuse bool) {
	r.mu.Lock()
	r.mu.refused[from] = refuse
	var broken []*pair
	for p := range r.mu.pairs {
		if p.from == from {
			broken = append(broken, p)
		}
	}
	r.mu.Unlock()
	for _, p := range broken {
		p.end(how)
	}
}

// Admit lets connections from a space pass again.
func (r *Relay) Admit(from netip.Addr) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.refused[from] = false
}

// Close ends the relay and all that it passes on.
func (r *Relay) Close() error {
	r.mu.Lock()
	r.mu.closed = true
	for p := range r.mu.pairs {
		p.end(RST)
	}
	r.mu.Unlock()
	err := r.listener.Close()
	r.group.Wait()
	return err
}

func (r *Relay) accept() {
	for {
		in, err := r.listener.AcceptTCP()
		if err != nil {
			return
		}
		r.group.Go(func() { r.pass(in) })
	}
}

// pass carries one connection to its end.
func (r *Relay) pass(in *net.TCPConn) {
	remote, _ := netip.ParseAddrPort(in.RemoteAddr().String())
	p := &pair{from: remote.Addr(), in: in}
	var out net.Conn
	err := r.space.Do(func() (err error) {
		out, err = net.DialTCP("tcp4", nil, net.TCPAddrFromAddrPort(r.to))
		return err
	})
	if err != nil {
		reset(in)
		return
	}
	p.out, _ = out.(*net.TCPConn)
	r.mu.Lock()
	refused := r.mu.refused[p.from] || r.mu.closed
	r.mu.pairs[p] = true
	r.mu.Unlock()
	if refused {
		p.end(RST)
	}
	var both sync.WaitGroup
	both.Go(func() { pump(p.out, p.in) })
	both.Go(func() { pump(p.in, p.out) })
	both.Wait()
	_, _ = p.in.Close(), p.out.Close() // closed or broken already, most often
	r.mu.Lock()
	delete(r.mu.pairs, p)
	r.mu.Unlock()
}

// pump passes bytes and the end of them on.
func pump(to, from *net.TCPConn) {
	_, err := io.Copy(to, from)
	if err != nil {
		reset(to) // it ended in disorder, and so does the other half
		return
	}
	_ = to.CloseWrite() // gone already: as good
}

func (p *pair) end(how End) {
	if how == FIN {
		_, _ = p.in.CloseWrite(), p.out.CloseWrite() // over already: as good
		return
	}
	reset(p.in)
	reset(p.out)
}

// reset closes a connection with RST.
func reset(c *net.TCPConn) {
	_ = c.SetLinger(0) // fails only where it is closed already
	_ = c.Close()
}
