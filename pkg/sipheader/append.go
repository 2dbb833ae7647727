// Package sipheader writes and reads single SIP header fields: lines appended to a message under
// construction, tags cut out of From and To values, option tags, header names in their compact forms.
// It knows no dialog, transaction or call. Start at [Line].
package sipheader

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/mss-federation/mss/pkg/siptransport"
)

// Line appends "name: value" and CRLF. A value with CR, LF or NUL in it would let a peer write headers
// of its own (response splitting); such bytes become spaces.
func Line(dst []byte, name, value string) []byte {
	dst = append(dst, name...)
	dst = append(dst, ": "...)
	dst = Text(dst, value)
	return append(dst, "\r\n"...)
}

// Text appends s with each CR, LF and NUL replaced by a space.
func Text(dst []byte, s string) []byte {
	if strings.IndexByte(s, '\r') < 0 && strings.IndexByte(s, '\n') < 0 && strings.IndexByte(s, 0) < 0 {
		return append(dst, s...)
	}
	for i := range len(s) {
		b := s[i]
		if b == '\r' || b == '\n' || b == 0 {
			b = ' '
		}
		dst = append(dst, b)
	}
	return dst
}

// RequestLine appends "METHOD uri SIP/2.0" and CRLF.
func RequestLine(dst []byte, method, uri string) []byte {
	dst = append(dst, method...)
	dst = append(dst, ' ')
	dst = Text(dst, uri)
	return append(dst, " SIP/2.0\r\n"...)
}

// Via appends the Via line of a request that leaves over flow (RFC 3261 §18.1.1), with rport (RFC 3581).
// sentBy is the address that answers shall go to.
func Via(dst []byte, t siptransport.Transport, sentBy netip.AddrPort, branch []byte) []byte {
	dst = append(dst, "Via: SIP/2.0/"...)
	dst = append(dst, t.String()...)
	dst = append(dst, ' ')
	dst = sentBy.AppendTo(dst)
	dst = append(dst, ";rport;branch="...)
	dst = append(dst, branch...)
	return append(dst, "\r\n"...)
}

// CSeq appends the CSeq line.
func CSeq(dst []byte, seq uint32, method string) []byte {
	dst = append(dst, "CSeq: "...)
	dst = strconv.AppendUint(dst, uint64(seq), 10)
	dst = append(dst, ' ')
	dst = append(dst, method...)
	return append(dst, "\r\n"...)
}

// Tagged appends a From or To line: value, and the tag unless it is empty.
func Tagged(dst []byte, name, value, tag string) []byte {
	dst = append(dst, name...)
	dst = append(dst, ": "...)
	dst = Text(dst, value)
	if tag != "" {
		dst = append(dst, ";tag="...)
		dst = append(dst, tag...)
	}
	return append(dst, "\r\n"...)
}

// Number appends "name: n" and CRLF.
func Number(dst []byte, name string, n int) []byte {
	dst = append(dst, name...)
	dst = append(dst, ": "...)
	dst = strconv.AppendInt(dst, int64(n), 10)
	return append(dst, "\r\n"...)
}

// Body ends a message: Content-Type where there is a body, Content-Length always, the empty line, the body.
func Body(dst []byte, contentType string, body []byte) []byte {
	if len(body) > 0 {
		dst = Line(dst, "Content-Type", contentType)
	}
	dst = Number(dst, "Content-Length", len(body))
	dst = append(dst, "\r\n"...)
	return append(dst, body...)
}

// Quoted appends s as a quoted-string (RFC 3261 §25.1).
func Quoted(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for i := range len(s) {
		switch b := s[i]; {
		case b == '"' || b == '\\':
			dst = append(dst, '\\', b)
		case b < ' ' || b == 0x7f:
			dst = append(dst, ' ')
		default:
			dst = append(dst, b)
		}
	}
	return append(dst, '"')
}
