package siptx

import (
	"bytes"
	"net/netip"
	"strconv"

	"github.com/mss-federation/mss/pkg/sipgate"
	"github.com/mss-federation/mss/pkg/siptransport"
)

// sentBy is where the top Via says that its sender listens.
type sentBy struct {
	host  []byte // as written, IPv6 in brackets
	port  int    // 0 without one
	rport bool   // RFC 3581
}

// AppendVia appends the value of a request's first Via line with received and rport filled in, as a proxy
// passes it on. flow is where the request came from.
func AppendVia(dst, value []byte, flow siptransport.Flow) []byte {
	return appendTopVia(dst, value, flow.Remote)
}

// appendTopVia appends a Via header's value with received and rport of its first element filled in
// (RFC 3261 §18.2.1, RFC 3581 §4). What the sender itself claims in them is left out.
func appendTopVia(dst, value []byte, from netip.AddrPort) []byte {
	end := elementEnd(value)
	first, rest := value[:end], value[end:]
	by := readSentBy(first)
	head, params := cutParam(first)
	dst = append(dst, trimSpace(head)...)
	for len(params) > 0 {
		var param []byte
		param, params = cutParam(params[1:])
		switch {
		case paramIs(param, "received"), paramIs(param, "rport"):
		default:
			dst = append(dst, ';')
			dst = append(dst, trimSpace(param)...)
		}
	}
	if by.rport || !hostIs(by.host, from.Addr()) {
		dst = append(dst, ";received="...)
		dst = from.Addr().Unmap().WithZone("").AppendTo(dst)
	}
	if by.rport {
		dst = append(dst, ";rport="...)
		dst = strconv.AppendUint(dst, uint64(from.Port()), 10)
	}
	return append(dst, rest...)
}

// replyFlow is where the response to a request goes (RFC 3261 §18.2.2). Over UDP without rport that is
// the sent-by port at the source address; but a private address that is not the source shows a NAT, behind
// which only the source port can be reached. maddr is not followed: it would let anyone aim us at others.
func replyFlow(msg []byte, h *sipgate.Head, flow siptransport.Flow) siptransport.Flow {
	if flow.Transport.Stream() || len(h.Vias) == 0 {
		return flow
	}
	value := h.Vias[0].Of(msg)
	by := readSentBy(value[:elementEnd(value)])
	if by.rport || natted(by.host, flow.Remote.Addr()) {
		return flow
	}
	port := by.port
	if port == 0 {
		port = 5060
	}
	flow.Remote = netip.AddrPortFrom(flow.Remote.Addr(), uint16(port))
	return flow
}

func natted(host []byte, source netip.Addr) bool {
	addr, err := netip.ParseAddr(string(unbracket(host)))
	return err == nil && addr.Unmap() != source.Unmap() && (addr.IsPrivate() || shared.Contains(addr.Unmap()))
}

// shared is the address space of carriers' NATs, RFC 6598.
var shared = netip.MustParsePrefix("100.64.0.0/10")

// readSentBy reads one Via element that the gate has checked.
func readSentBy(element []byte) sentBy {
	head, params := cutParam(element)
	var by sentBy
	by.host, by.port = splitHostPort(afterProtocol(head))
	for len(params) > 0 {
		var param []byte
		param, params = cutParam(params[1:])
		by.rport = by.rport || paramIs(param, "rport")
	}
	return by
}

// afterProtocol cuts "SIP / 2.0 / UDP" off: what follows the second slash's token.
func afterProtocol(head []byte) []byte {
	for range 2 {
		_, head, _ = bytes.Cut(head, []byte{'/'})
	}
	head = trimSpace(head)
	if i := bytes.IndexAny(head, " \t\r\n"); i >= 0 {
		return trimSpace(head[i:])
	}
	return nil
}

func splitHostPort(b []byte) (host []byte, port int) {
	at := bytes.LastIndexByte(b, ':')
	if at < 0 || bytes.IndexByte(b[at:], ']') >= 0 {
		return trimSpace(b), 0
	}
	port, err := strconv.Atoi(string(trimSpace(b[at+1:])))
	if err != nil || port < 0 || port > 65535 {
		port = 0
	}
	return trimSpace(b[:at]), port
}

// hostIs says whether the host is that very address. A name never is.
func hostIs(host []byte, addr netip.Addr) bool {
	if len(host) == 0 || len(host) > 64 {
		return false
	}
	var scratch [64]byte
	if bytes.Equal(addr.Unmap().WithZone("").AppendTo(scratch[:0]), host) {
		return true
	}
	parsed, err := netip.ParseAddr(string(unbracket(host)))
	return err == nil && parsed.Unmap() == addr.Unmap().WithZone("")
}

func unbracket(host []byte) []byte {
	if len(host) > 1 && host[0] == '[' && host[len(host)-1] == ']' {
		return host[1 : len(host)-1]
	}
	return host
}

// elementEnd is where the first element of a comma-separated value ends.
func elementEnd(value []byte) int { return unquoted(value, ',') }

// cutParam cuts b before its first semicolon outside quotes.
func cutParam(b []byte) (before, after []byte) {
	i := unquoted(b, ';')
	return b[:i], b[i:]
}

// unquoted is the position of the first c outside quotes, or the length.
func unquoted(b []byte, c byte) int {
	quoted := false
	for i := 0; i < len(b); i++ {
		switch {
		case b[i] == '"':
			quoted = !quoted
		case quoted && b[i] == '\\':
			i++
		case !quoted && b[i] == c:
			return i
		}
	}
	return len(b)
}

// paramIs compares a parameter's name, without regard to case (RFC 3261 §7.3.1).
func paramIs(param []byte, name string) bool {
	if i := bytes.IndexByte(param, '='); i >= 0 {
		param = param[:i]
	}
	param = trimSpace(param)
	return len(param) == len(name) && bytes.EqualFold(param, []byte(name))
}

func trimSpace(b []byte) []byte { return bytes.Trim(b, " \t\r\n") }
