package sipgate

import "bytes"

// startLine reads the first line and returns the start of the second, or 0 if there is none.
func (s *scanner) startLine() int {
	end, next := s.line(0)
	line := s.msg[:end]
	if bytes.IndexByte(line, 0) >= 0 {
		s.bad("NUL in the start line")
	}
	if len(line) >= 4 && foldEqual(line[:4], "sip/") {
		s.statusLine(line)
	} else {
		s.requestLine(line)
	}
	return next
}

// requestLine reads "METHOD SP Request-URI SP SIP/2.0" (RFC 3261 §7.1): exactly one space, no other
// white space.
func (s *scanner) requestLine(line []byte) {
	h := s.h
	h.Request = true
	first := bytes.IndexByte(line, ' ')
	last := bytes.LastIndexByte(line, ' ')
	if first < 1 || last == first || !all(line[:first], classToken) {
		s.bad("malformed request line")
		return
	}
	h.Method = methodOf(line[:first])
	if miscased(line[:first]) {
		s.bad("method in lower case")
	}
	switch v := line[last+1:]; {
	case foldEqual(v, "sip/2.0"):
	case len(v) > 4 && foldEqual(v[:4], "sip/"):
		s.refuse(505, "SIP version not supported")
	default:
		s.bad("malformed request line")
	}
	h.URI = Span{first + 1, last}
	s.requestURI(h.URI.Of(line))
}

func (s *scanner) requestURI(u []byte) {
	if len(u) > MaxURI {
		s.refuse(414, "Request-URI too long")
		return
	}
	// RFC 3261 §19.1.1: no headers in a Request-URI; they would become headers of what we send.
	if !validURI(u) || uriTail(u) < len(u) && hasHeaders(u) {
		s.bad("malformed Request-URI")
	}
}

// statusLine reads "SIP/2.0 SP 3DIGIT SP reason" (RFC 3261 §7.2); the reason may be empty.
func (s *scanner) statusLine(line []byte) {
	if len(line) < 12 || !foldEqual(line[:7], "sip/2.0") || line[7] != ' ' || line[11] != ' ' {
		s.bad("malformed status line")
		return
	}
	status, ok := number(line[8:11], 699)
	if !ok || status < 100 {
		s.bad("status code out of range")
		return
	}
	s.h.Status = status
}
