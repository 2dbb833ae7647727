package tracering

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/mss-federation/mss/pkg/siptransport"
)

// The head of a record. Addresses are 16 bytes with a family byte, since netip.Addr holds a pointer (its
// zone) that must not be hidden from the collector; zones are dropped.
const (
	atLen       = 0  // length of the message that follows, 4 bytes
	atOut       = 4  // 1 if sent
	atTransport = 5  // siptransport.Transport
	atFamilies  = 6  // bit 0: local is IPv4; bit 1: remote is IPv4
	atTime      = 8  // Unix time in nanoseconds
	atFlow      = 16 // siptransport.FlowID
	atLocal     = 24 // 16 bytes address, 2 bytes port
	atRemote    = 42 // 16 bytes address, 2 bytes port
	headSize    = 60
)

func encodeHead(h *[headSize]byte, out bool, flow siptransport.Flow, at time.Time, length int) {
	binary.LittleEndian.PutUint32(h[atLen:], uint32(length))
	if out {
		h[atOut] = 1
	}
	h[atTransport] = byte(flow.Transport)
	binary.LittleEndian.PutUint64(h[atTime:], uint64(at.UnixNano()))
	binary.LittleEndian.PutUint64(h[atFlow:], uint64(flow.ID))
	if putAddr(h[atLocal:atRemote], flow.Local) {
		h[atFamilies] |= 1
	}
	if putAddr(h[atRemote:headSize], flow.Remote) {
		h[atFamilies] |= 2
	}
}

func decodeHead(h *[headSize]byte) Entry {
	return Entry{
		At:  time.Unix(0, int64(binary.LittleEndian.Uint64(h[atTime:]))),
		Out: h[atOut] == 1,
		Flow: siptransport.Flow{
			Transport: siptransport.Transport(h[atTransport]),
			ID:        siptransport.FlowID(binary.LittleEndian.Uint64(h[atFlow:])),
			Local:     getAddr(h[atLocal:atRemote], h[atFamilies]&1 != 0),
			Remote:    getAddr(h[atRemote:headSize], h[atFamilies]&2 != 0),
		},
	}
}

func messageLen(h *[headSize]byte) int { return int(binary.LittleEndian.Uint32(h[atLen:])) }

// putAddr writes an address and says whether it is IPv4. The zero AddrPort is read back as [::]:0.
func putAddr(b []byte, a netip.AddrPort) (is4 bool) {
	if a.Addr().IsValid() {
		ip := a.Addr().As16()
		copy(b, ip[:])
	}
	binary.LittleEndian.PutUint16(b[16:], a.Port())
	return a.Addr().Is4()
}

func getAddr(b []byte, is4 bool) netip.AddrPort {
	addr := netip.AddrFrom16([16]byte(b[:16]))
	if is4 {
		addr = addr.Unmap()
	}
	return netip.AddrPortFrom(addr, binary.LittleEndian.Uint16(b[16:]))
}

// callID finds the Call-ID (or i) of a message; empty when it has none. The messages here were seen by the
// gate or made by this node, so a line scan is enough.
func callID(msg []byte) string {
	value, _ := headerValue(msg, "call-id", "i")
	return string(value)
}

// headerValue is the value of the first header with that long or compact name (lower case), without the
// blanks around it.
func headerValue(msg []byte, name, compact string) ([]byte, bool) {
	_, rest, _ := bytes.Cut(msg, []byte{'\n'})
	for len(rest) > 0 {
		var line []byte
		line, rest, _ = bytes.Cut(rest, []byte{'\n'})
		line = bytes.TrimRight(line, "\r")
		if len(line) == 0 {
			break
		}
		if key, value, ok := splitHeader(line); ok && (equalFold(key, name) || compact != "" && equalFold(key, compact)) {
			return value, true
		}
	}
	return nil, false
}

// splitHeader parts "Name : value" by RFC 3261 §7.3.1: blanks may stand on both sides of the colon.
func splitHeader(line []byte) (key, value []byte, ok bool) {
	key, value, ok = bytes.Cut(line, []byte{':'})
	return bytes.TrimRight(key, " \t"), bytes.TrimSpace(value), ok
}

// equalFold compares an ASCII header name with a lower-case one.
func equalFold(key []byte, lower string) bool {
	if len(key) != len(lower) {
		return false
	}
	for i, c := range key {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}
