package siptarget

import (
	"net/netip"
	"time"
)

// Type is a type of DNS record.
type Type uint8

// The types. The zero Type is none.
const (
	A Type = iota + 1
	AAAA
	SRV
	NAPTR
)

// String is the type as zone files write it.
func (t Type) String() string { return [...]string{"none", "A", "AAAA", "SRV", "NAPTR"}[t] }

// Question asks for the records of a name: lower case, without the final dot.
type Question struct {
	Name string
	Type Type
}

// Server is what an SRV record says (RFC 2782).
type Server struct {
	Priority, Weight, Port uint16
	Name                   string // empty: the service is decidedly not available there
}

// Pointer is what a NAPTR record says (RFC 3403), as far as SIP uses it.
type Pointer struct {
	Order, Preference uint16
	Flags, Service    string
	Regexp            bool   // it has one: not for SIP (RFC 3263 §4.1)
	Name              string // the replacement
}

// Answer is what there is. Of the slices only the one of the question's type is filled; they are shared and
// not changed. TTL is how long that is valid; for an answer without records it is what the zone's SOA says
// (RFC 2308 §5), zero where there was none.
type Answer struct {
	Addrs    []netip.Addr
	Servers  []Server
	Pointers []Pointer
	TTL      time.Duration
}

func (a *Answer) empty() bool { return len(a.Addrs)+len(a.Servers)+len(a.Pointers) == 0 }

// Bounds of what one answer, and all answers together, may make us do.
const (
	maxAddrs    = 8  // of one name and type
	maxServers  = 16 // of one service
	maxPointers = 16 // of one name
	maxTargets  = 32 // of one resolution
)

// trim cuts what an answer has too much of.
func (a *Answer) trim() {
	a.Addrs = a.Addrs[:min(len(a.Addrs), maxAddrs)]
	a.Servers = a.Servers[:min(len(a.Servers), maxServers)]
	a.Pointers = a.Pointers[:min(len(a.Pointers), maxPointers)]
}
