package forwarder

import (
	"bytes"

	"github.com/mss-federation/mss/pkg/sipgate"
)

// routeEntry is one value of a request's Route headers.
type routeEntry struct {
	sipgate.Span // in the message, parameters behind the brackets included
	line         int
	uri          uri
	cookie       []byte // nil without one
}

// cookieParam carries the cookie, inside the brackets: peers lose what is behind them.
const cookieParam = "mss"

// readRoutes appends the values of all Route lines of a message that passed the gate, top first.
func readRoutes(dst []routeEntry, msg []byte, h *sipgate.Head) []routeEntry {
	for i := range h.Lines {
		line := &h.Lines[i]
		if line.Field != sipgate.FieldRoute {
			continue
		}
		for at := line.Value.From; at < line.Value.To; {
			end := at + elementEnd(msg[at:line.Value.To])
			dst = append(dst, readRoute(msg, at, end, i))
			at = end + 1
		}
	}
	return dst
}

func readRoute(msg []byte, from, to, line int) routeEntry {
	for from < to && isSpace(msg[from]) {
		from++
	}
	for to > from && isSpace(msg[to-1]) {
		to--
	}
	r := routeEntry{Span: sipgate.Span{From: from, To: to}, line: line}
	r.uri = cutURI(addrSpec(msg[from:to]))
	if value, ok := r.uri.param(cookieParam); ok {
		r.cookie = value
	}
	return r
}

// addrSpec is the URI between the brackets, or all if there are none.
func addrSpec(b []byte) []byte {
	quoted := false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case c == '<' && !quoted:
			inside, _, _ := bytes.Cut(b[i+1:], []byte{'>'})
			return inside
		}
	}
	return b
}

// elementEnd is where the first element of a comma-separated list of addresses ends: commas inside quotes and
// brackets are its own.
func elementEnd(b []byte) int {
	quoted, bracketed := false, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '<':
			bracketed = true
		case c == '>':
			bracketed = false
		case c == ',' && !bracketed:
			return i
		}
	}
	return len(b)
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }
