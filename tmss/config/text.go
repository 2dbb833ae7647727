package config

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/mss-federation/mss/pkg/federation"
)

// NumberRange is a range of numbers as people write it: "4xxx" are the four-digit numbers that begin with 4, "+4420"
// are all numbers that begin so.
type NumberRange struct{ text string }

// UnmarshalText reads a range.
func (r *NumberRange) UnmarshalText(text []byte) error {
	if _, err := federation.ParsePattern("", string(text)); err != nil {
		return err
	}
	r.text = string(text)
	return nil
}

// String is the range as UnmarshalText reads it.
func (r NumberRange) String() string { return r.text }

// NLRI is the range as a route's destination.
func (r NumberRange) NLRI(domain federation.Domain) (federation.NLRI, error) {
	return federation.ParsePattern(domain, r.text)
}

// Address is where a peer is reached: "udp 192.0.2.7:5060".
type Address struct {
	Transport string // udp or tcp
	AddrPort  netip.AddrPort
}

// UnmarshalText reads an address; without a transport it is UDP.
func (a *Address) UnmarshalText(text []byte) error {
	transport, address, found := strings.Cut(string(text), " ")
	if !found {
		transport, address = "udp", transport
	}
	parsed, err := netip.ParseAddrPort(address)
	if err != nil || parsed.Port() == 0 || transport != "udp" && transport != "tcp" {
		return fmt.Errorf("%q: udp or tcp, address and port are wanted here, such as udp 192.0.2.7:5060", text)
	}
	*a = Address{Transport: transport, AddrPort: parsed}
	return nil
}

// String is the address as UnmarshalText reads it.
func (a Address) String() string { return a.Transport + " " + a.AddrPort.String() }
