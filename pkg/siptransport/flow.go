package siptransport

import (
	"net/netip"
	"strconv"
)

// Transport is how SIP bytes travel.
type Transport uint8

// The transports. The zero Transport is none.
const (
	UDP Transport = iota + 1
	TCP
	TLS
)

// String is the transport as a Via names it: UDP, TCP, TLS.
func (t Transport) String() string {
	switch t {
	case UDP:
		return "UDP"
	case TCP:
		return "TCP"
	case TLS:
		return "TLS"
	}
	return "transport(" + strconv.Itoa(int(t)) + ")"
}

// Param is the transport as a URI parameter names it: udp, tcp, tls.
func (t Transport) Param() string {
	switch t {
	case UDP:
		return "udp"
	case TCP:
		return "tcp"
	case TLS:
		return "tls"
	}
	return ""
}

// Stream says whether the transport is reliable and ordered (TCP, TLS).
func (t Transport) Stream() bool { return t == TCP || t == TLS }

// FlowID tells the stream connections of one process apart. Zero is no connection.
type FlowID uint64

// Flow is where a message came from or goes to: one UDP address pair, or one stream connection. It is
// a value; equal flows are the same flow.
//
// For UDP, ID is zero and Local must be one of the endpoint's sockets. For streams, a non-zero ID is
// exactly that connection, whatever the addresses say; a zero ID is "a connection to Remote": one
// that this process dialled and that is still open, or else a new one.
type Flow struct {
	Transport Transport
	Local     netip.AddrPort
	Remote    netip.AddrPort
	ID        FlowID
}

// String is for logs and traces: "udp 127.0.0.1:5060 > 127.0.0.2:5060".
func (f Flow) String() string {
	s := f.Transport.Param() + " " + f.Local.String() + " > " + f.Remote.String()
	if f.ID != 0 {
		s += " #" + strconv.FormatUint(uint64(f.ID), 10)
	}
	return s
}
