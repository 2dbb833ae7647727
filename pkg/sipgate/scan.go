package sipgate

import "bytes"

// Scan checks a message, one datagram or one framed stream message, and fills the head. Nil means that
// it may be parsed. A refused message still gets as much of its head as could be read, for the response.
//
// The Head's positions are those of msg, so a message that [Normalise] rewrote is scanned afterwards.
// Scan keeps nothing of msg except the text of unknown methods, and allocates nothing for good messages.
func Scan(msg []byte, h *Head) *Refusal {
	*h = Head{Vias: h.Vias[:0], Lines: h.Lines[:0], MaxForwards: noForward}
	s := scanner{msg: msg, h: h, length: -1}
	if len(msg) > MaxMessage {
		s.refuse(513, "message too large")
		s.msg = msg[:MaxMessage]
	}
	at := s.startLine()
	for at > 0 && at < len(s.msg) {
		at = s.header(at)
	}
	s.finish()
	if s.status == 0 {
		return nil
	}
	return &Refusal{Status: s.status, Reason: s.reason, Usable: s.usable()}
}

// scanner is the state of one Scan.
type scanner struct {
	msg    []byte
	h      *Head
	seen   uint64 // one bit a field
	length int    // Content-Length, -1 without one
	lines  int
	body   int  // where the body starts, 0 until the blank line was seen
	sentBy bool // the top Via says where a response goes
	number bool // CSeq could be read

	status int // of the first refusal
	reason string
}

// refuse keeps the first reason: later ones are often its consequences.
func (s *scanner) refuse(status int, reason string) {
	if s.status == 0 {
		s.status, s.reason = status, reason
	}
}

func (s *scanner) bad(reason string) { s.refuse(400, reason) }

func (s *scanner) usable() bool {
	return s.h.Request && s.h.Method != "ACK" && s.sentBy && s.number
}

// line returns the end of the line at i, without CRLF, and the start of the next one. Only CRLF ends a
// line (RFC 3261 §7): a bare CR or LF inside one would split it for one reader and not for another.
func (s *scanner) line(i int) (end, next int) {
	n := bytes.IndexByte(s.msg[i:], '\n')
	if n < 0 {
		s.bad("header section not ended")
		return len(s.msg), len(s.msg)
	}
	end, next = i+n, i+n+1
	if end > i && s.msg[end-1] == '\r' {
		end--
	} else {
		s.bad("line not ended by CRLF")
	}
	if bytes.IndexByte(s.msg[i:end], '\r') >= 0 {
		s.bad("line not ended by CRLF")
	}
	return end, next
}

// header reads the header at i with its folds and returns the start of the next one, or 0 behind the
// blank line.
func (s *scanner) header(i int) int {
	end, next := s.line(i)
	if end == i {
		s.body = next
		return 0
	}
	for next < len(s.msg) && (s.msg[next] == ' ' || s.msg[next] == '\t') {
		end, next = s.line(next)
	}
	if s.lines++; s.lines > MaxHeaders {
		s.bad("too many headers")
		return 0
	}
	if end-i > MaxHeaderLine {
		s.bad("header too long")
		return next
	}
	if bytes.IndexByte(s.msg[i:end], 0) >= 0 && !nulOnlyQuoted(s.msg[i:end]) {
		s.bad("NUL in a header")
	}
	colon := bytes.IndexByte(s.msg[i:end], ':')
	if colon < 0 {
		s.bad("header without a colon")
		return next
	}
	name := s.msg[i : i+colon]
	for len(name) > 0 && is(name[len(name)-1], classSpace) {
		name = name[:len(name)-1]
	}
	if !all(name, classToken) {
		s.bad("malformed header name")
		return next
	}
	v := Span{i + colon + 1, end}
	for v.From < v.To && is(s.msg[v.From], classSpace) {
		v.From++
	}
	for v.To > v.From && is(s.msg[v.To-1], classSpace) {
		v.To--
	}
	f := fieldOf(name)
	s.h.Lines = append(s.h.Lines, Line{Span: Span{i, next}, Name: Span{i, i + len(name)}, Value: v, Field: f})
	s.field(f, v)
	return next
}

// nulOnlyQuoted says whether each NUL of a header is the second half of a quoted pair in a quoted
// string (RFC 3261 §25.1 allows it there alone).
func nulOnlyQuoted(line []byte) bool {
	for i := 0; i < len(line); i++ {
		switch line[i] {
		case 0:
			return false
		case '"':
			end := quotedEnd(line, i)
			if end < 0 || nulUnescaped(line[i:end]) {
				return false
			}
			i = end - 1
		}
	}
	return true
}

func nulUnescaped(quoted []byte) bool {
	for i := 0; i < len(quoted); i++ {
		switch quoted[i] {
		case '\\':
			i++
		case 0:
			return true
		}
	}
	return false
}

// finish checks what only the whole message shows.
func (s *scanner) finish() {
	h := s.h
	if s.body == 0 {
		s.bad("header section not ended")
		s.body = len(s.msg)
	}
	const required = 1<<fieldVia | 1<<fieldFrom | 1<<fieldTo | 1<<fieldCallID | 1<<fieldCSeq
	if s.seen&required != required {
		s.bad("required header missing")
	}
	h.Body = Span{s.body, len(s.msg)}
	switch rest := len(s.msg) - s.body; {
	case s.length < 0:
	case s.length > rest:
		s.bad("body shorter than Content-Length")
	default:
		// RFC 3261 §18.3: what is behind the body of a datagram is discarded.
		h.Body.To = s.body + s.length
	}
}
