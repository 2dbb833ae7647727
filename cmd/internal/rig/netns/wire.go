package netns

import (
	"fmt"
	"net/netip"
	"strconv"
)

// Switch joins the wires that are plugged into it.
type Switch struct {
	net    *Net
	name   string // of the bridge
	subnet netip.Prefix
	next   netip.Addr // the last address that was given out; guarded by net.mu
}

// Wire is one space's connection to a switch, with one address.
type Wire struct {
	net   *Net
	space *Space
	port  string // the switch's end
	addr  netip.Addr
}

// Plug gives a space an interface with the subnet's next free address: eth0, or what number it is of the space's.
func (s *Switch) Plug(space *Space) (*Wire, error) {
	s.net.mu.Lock()
	s.net.mu.ports++
	s.next = s.next.Next()
	w := &Wire{net: s.net, space: space, port: fmt.Sprintf("port%d", s.net.mu.ports), addr: s.next}
	eth := "eth" + strconv.Itoa(space.interfaces)
	space.interfaces++
	s.net.mu.Unlock()
	at := s.net.switches
	for _, c := range []struct {
		in   *Space
		args []string
	}{
		{at, []string{"link", "add", w.port, "type", "veth", "peer", "name", eth, "netns", space.name}},
		{at, []string{"link", "set", w.port, "master", s.name, "up"}},
		{space, []string{"addr", "add", netip.PrefixFrom(w.addr, s.subnet.Bits()).String(), "dev", eth}},
		{space, []string{"link", "set", eth, "up"}},
	} {
		if _, err := c.in.Run("ip", c.args...); err != nil {
			return nil, fmt.Errorf("plug %s into a switch: %w", space.name, err)
		}
	}
	return w, nil
}

// Addr is the space's address on this wire.
func (w *Wire) Addr() netip.Addr { return w.addr }

// Cut takes the wire out of the switch's side: whatever is sent vanishes, and the kernels notice as late as with a real
// cable (no answer to ARP).
func (w *Wire) Cut() error { return w.set("down") }

// Mend undoes Cut.
func (w *Wire) Mend() error { return w.set("up") }

func (w *Wire) set(state string) error {
	if _, err := w.net.switches.Run("ip", "link", "set", w.port, state); err != nil {
		return fmt.Errorf("set the wire of %s %s: %w", w.space.name, state, err)
	}
	return nil
}

// Separate lets nothing pass between two wires' addresses, without a sign to either side; all else passes. Packets are
// dropped where they arrive: a rule where they leave would be an error of the sender's call.
func Separate(a, b *Wire) error { return between(a, b, "-I") }

// Rejoin undoes one Separate.
func Rejoin(a, b *Wire) error { return between(a, b, "-D") }

func between(a, b *Wire, verb string) error {
	for _, way := range [][2]*Wire{{a, b}, {b, a}} {
		to, from := way[0], way[1]
		// -w: rule sets of all namespaces share one lock file.
		if _, err := to.space.Run("iptables", "-w", "10", verb, "INPUT", "-s", from.addr.String(), "-j", "DROP"); err != nil {
			return fmt.Errorf("filter between %v and %v: %w", a.addr, b.addr, err)
		}
	}
	return nil
}
