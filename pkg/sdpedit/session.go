// Package sdpedit reads the session descriptions (RFC 8866) that pass through a call and writes them
// anew for its other leg: addresses, ports, origin and keys become ours, the number and order of media
// lines stay, codecs and attributes that we do not know pass.
//
// It decides nothing: which media are relayed, from which address and ports, and what an offer or answer
// means for the call is its caller's business. It is not built on pion/sdp, which sorts lines into fields
// and writes them back in its own order, loses what it has no field for, and costs ten times as much on a
// path that each call takes four times. Start at [Body] and [Parse].
package sdpedit

import (
	"errors"
	"net/netip"
)

// The limits on a description.
const (
	MaxBytes   = 16 << 10
	MaxMedia   = 8
	MaxFormats = 32 // of one media line
	maxLines   = 1024
)

// The reasons why a description is refused; Parse wraps them in a fault.Error of kind Invalid that names
// the line.
var (
	ErrTooLarge     = errors.New("description beyond the limits")
	ErrSyntax       = errors.New("malformed line")
	ErrNoOrigin     = errors.New("v= or o= missing")
	ErrNoConnection = errors.New("media line without c=")
	// ErrHostName is a c= with a name: we would have to resolve it before we can answer.
	ErrHostName = errors.New("host name in c=")
	// ErrNoSDP is a body that is not, and does not contain, a session description.
	ErrNoSDP = errors.New("no session description")
	// ErrAnswer is an answer that does not fit its offer (RFC 3264 §6).
	ErrAnswer = errors.New("answer does not fit the offer")
)

// Session is one description. It shares no memory with the bytes that it was read from and is never
// changed after Parse, so that it may be kept and read from anywhere.
type Session struct {
	Origin Origin
	Media  []Media

	lines []line
	head  int // lines before the first media line
}

// Origin is the o= line of whoever wrote the description. The numbers are text: they may be longer than
// any integer.
type Origin struct {
	Username, SessionID, Version, Address string
}

// Media is one m= line with what belongs to it.
type Media struct {
	Kind  string // "audio", "video", "image", …
	Port  int    // 0 = refused or switched off
	Proto string // "RTP/AVP", …
	// Formats are the payload types of an RTP media line, in order of preference and without repetition;
	// nil for other protocols.
	Formats []Format
	// Direction is what the writer says of itself. See Sends and Receives for what holds.
	Direction Direction
	// Addr is where the writer wants its media. Unspecified (0.0.0.0) is the hold of RFC 2543. It is
	// the zero Addr only if Port is 0 and there was no c= line.
	Addr netip.Addr
	// RTCP is where the writer wants its RTCP: the a=rtcp attribute (RFC 3605), or the next port.
	RTCP netip.AddrPort
	// Crypto has the values of the a=crypto attributes (RFC 4568).
	Crypto []string

	formats     string // as written
	first, last int    // its lines, m= first: lines[first:last]
}

// Format is one payload type of an RTP media line.
type Format struct {
	PT       uint8
	Encoding string // as in a=rtpmap, or the static assignment of RFC 3551; empty if neither is there
	Rate     int    // clock rate in Hz
	Channels int    // 1 if not said
	Fmtp     string // parameters of a=fmtp; empty if there are none
}

// Direction is a direction attribute. The zero Direction is SendRecv, as in RFC 8866 §6.7.
type Direction uint8

// The directions, seen from the writer.
const (
	SendRecv Direction = iota
	SendOnly
	RecvOnly
	Inactive
)

var directions = [...]string{"sendrecv", "sendonly", "recvonly", "inactive"}

// String is the name of the attribute.
func (d Direction) String() string { return directions[d&3] }

// Sends says whether the writer may send media.
func (m *Media) Sends() bool {
	return m.Port != 0 && (m.Direction == SendRecv || m.Direction == SendOnly)
}

// Receives says whether the writer wants media. It does not while it is on hold, in either spelling
// (RFC 3264 §8.4).
func (m *Media) Receives() bool {
	return m.Port != 0 && (m.Direction == SendRecv || m.Direction == RecvOnly) && !m.Addr.IsUnspecified()
}

// Relayable says whether the media are plain RTP audio or video to some port: what a relay without keys
// can carry.
func (m *Media) Relayable() bool {
	return m.Port != 0 && (m.Kind == "audio" || m.Kind == "video") && (m.Proto == "RTP/AVP" || m.Proto == "RTP/AVPF")
}

// line is one line: type letter and value.
type line struct {
	kind  byte
	value string
}
