package sipgate

// via is one value of a Via header, as positions in the header's value.
type via struct {
	branch Span
	sentBy bool // protocol and host are there, so that a response has somewhere to go
}

// readVia reads the Via value at i (RFC 3261 §20.42) and returns the position of the comma behind it,
// or the end, or -1.
func readVia(b []byte, i int) (v via, next int) {
	if i = readSentProtocol(b, i); i < 0 {
		return v, -1
	}
	if i = hostEnd(b, i); i < 0 {
		return v, -1
	}
	i = span(b, i, classSpace)
	v.sentBy = true
	if i < len(b) && b[i] == ':' {
		start := span(b, i+1, classSpace)
		i = span(b, start, classDigit)
		if _, ok := number(b[start:i], maxPort); !ok {
			return v, -1
		}
		i = span(b, i, classSpace)
	}
	for count := 1; i < len(b) && b[i] == ';'; count++ {
		p, end := nextParam(b, i)
		if end < 0 || p.quoted || count > MaxParams {
			// Quoted values are in the grammar, in nobody's Via, and beyond the parser behind us.
			return v, -1
		}
		i = end
		if !foldEqual(p.name, "branch") {
			continue
		}
		if v.branch.Present() || p.to == p.from {
			return v, -1
		}
		v.branch = Span{p.from, p.to}
	}
	if i < len(b) && b[i] != ',' {
		return v, -1
	}
	return v, i
}

// readSentProtocol reads "SIP / 2.0 / UDP" and the white space behind it, or returns -1.
func readSentProtocol(b []byte, i int) int {
	for part := range 3 {
		start := span(b, i, classSpace)
		end := span(b, start, classToken)
		if end == start {
			return -1
		}
		i = span(b, end, classSpace)
		if part == 2 {
			if i == end {
				return -1
			}
			return i
		}
		if i == len(b) || b[i] != '/' {
			return -1
		}
		i++
	}
	return -1
}
