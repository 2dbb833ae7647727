package sipgate

import "bytes"

// param is one ";name=value" of a header. Both are cut out of the header's value; the value of a quoted
// string keeps its quotes. Positions are those of the value within the header's value.
type param struct {
	name     []byte
	from, to int
	quoted   bool
}

// nextParam reads the parameter whose semicolon is at i and returns the position behind it and behind
// the white space that follows, or -1 if it is malformed (RFC 3261 §25.1, generic-param).
func nextParam(b []byte, i int) (p param, next int) {
	start := span(b, i+1, classSpace)
	end := span(b, start, classToken)
	if end == start {
		return p, -1
	}
	p.name = b[start:end]
	if i = span(b, end, classSpace); i == len(b) || b[i] != '=' {
		return p, i
	}
	p.from = span(b, i+1, classSpace)
	if p.from < len(b) && b[p.from] == '"' {
		p.quoted = true
		p.to = quotedEnd(b, p.from)
	} else {
		p.to = valueEnd(b, p.from)
	}
	if p.to <= p.from {
		return p, -1
	}
	return p, span(b, p.to, classSpace)
}

// valueEnd returns the end of an unquoted parameter value. Beyond the token and host of the grammar it
// lets through what devices write, such as equals signs and slashes.
func valueEnd(b []byte, i int) int {
	for ; i < len(b); i++ {
		switch c := b[i]; {
		case c == ';', c == ',', c == '"', c == '<', c == '>', c <= ' ', c == 0x7f:
			return i
		}
	}
	return i
}

// readAddress reads one name-addr or addr-spec at i (RFC 3261 §20.10) and returns the position of what
// follows it, white space skipped, or -1.
func readAddress(b []byte, i int) (next int) {
	i = span(b, i, classSpace)
	if i < len(b) && b[i] == '"' {
		if i = quotedEnd(b, i); i < 0 {
			return -1
		}
		if i = span(b, i, classSpace); i == len(b) || b[i] != '<' {
			return -1
		}
		return readBracketed(b, i)
	}
	for end := i; end < len(b); end++ {
		switch b[end] {
		case '<':
			return readBracketed(b, end)
		case ';', ',':
			return readBare(b, i, end)
		case '"', '>':
			return -1
		}
	}
	return readBare(b, i, len(b))
}

func readBracketed(b []byte, open int) (next int) {
	for i := open + 1; i < len(b); i++ {
		if b[i] == '>' {
			if !validURI(b[open+1 : i]) {
				return -1
			}
			return span(b, i+1, classSpace)
		}
	}
	return -1
}

// readBare reads an addr-spec without brackets. Everything from its first semicolon on is the header's,
// and URI headers are not allowed in it.
func readBare(b []byte, i, end int) (next int) {
	if u := trim(b[i:end]); string(u) != "*" && (!validURI(u) || hasHeaders(u)) {
		return -1
	}
	return end
}

// tagOf checks the value of a From or To header and finds its tag. Positions are within the value.
func tagOf(b []byte) (tag Span, ok bool) {
	i := readAddress(b, 0)
	for count := 1; i >= 0 && i < len(b); count++ {
		if b[i] != ';' || count > MaxParams {
			return tag, false
		}
		p, next := nextParam(b, i)
		if next < 0 {
			return tag, false
		}
		i = next
		switch {
		case p.quoted && bytes.IndexByte(b[p.from:p.to], ';') >= 0:
			// The parser behind us splits parameters inside quotes: a tag could hide there.
			return tag, false
		case !foldEqual(p.name, "tag"):
		case tag.Present() || !all(b[p.from:p.to], classToken):
			return tag, false
		default:
			tag = Span{p.from, p.to}
		}
	}
	return tag, i >= 0
}

// validList checks a comma-separated list of addresses, such as a Contact or a Route.
func validList(b []byte) bool {
	for i := 0; ; i++ {
		if i = readAddress(b, i); i < 0 {
			return false
		}
		for count := 1; i < len(b) && b[i] == ';'; count++ {
			if _, i = nextParam(b, i); i < 0 || count > MaxParams {
				return false
			}
		}
		if i == len(b) {
			return true
		}
		if b[i] != ',' {
			return false
		}
	}
}
