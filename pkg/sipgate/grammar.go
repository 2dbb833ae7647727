package sipgate

import "bytes"

// Character classes of RFC 3261 §25.1, as bits.
const (
	classToken = 1 << iota
	classHost  // of a host name; underscores are not in the RFC but in many networks
	classDigit
	classSpace // linear white space, CR and LF of a fold included
	classIPv6  // between the brackets, zone included
	classScheme
	classMark // what tidying a value looks at
)

var class = func() (t [256]uint8) {
	for c := range 256 {
		b := byte(c)
		switch {
		case '0' <= b && b <= '9':
			t[c] |= classToken | classHost | classDigit | classIPv6 | classScheme
		case 'a' <= b|0x20 && b|0x20 <= 'z':
			t[c] |= classToken | classHost | classIPv6 | classScheme
		}
	}
	for _, set := range []struct {
		chars string
		bit   uint8
	}{{"-.!%*_+`'~", classToken}, {"-._", classHost}, {":.%-_", classIPv6}, {" \t\r\n", classSpace}, {"+-.", classScheme}, {" \t\r\n\"<;,", classMark}} {
		for i := range len(set.chars) {
			t[set.chars[i]] |= set.bit
		}
	}
	return t
}()

func is(c byte, bits uint8) bool { return class[c]&bits != 0 }

// all says whether b is a non-empty run of the class.
func all(b []byte, bits uint8) bool {
	for _, c := range b {
		if !is(c, bits) {
			return false
		}
	}
	return len(b) > 0
}

// span returns the end of the run of the class that starts at i.
func span(b []byte, i int, bits uint8) int {
	for i < len(b) && is(b[i], bits) {
		i++
	}
	return i
}

func trim(b []byte) []byte {
	for len(b) > 0 && is(b[0], classSpace) {
		b = b[1:]
	}
	for len(b) > 0 && is(b[len(b)-1], classSpace) {
		b = b[:len(b)-1]
	}
	return b
}

// quotedEnd returns the index behind the quoted string that opens at i, or -1 if it never closes.
func quotedEnd(b []byte, i int) int {
	for i++; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return -1
}

// number reads a non-empty run of digits that is at most limit.
func number(b []byte, limit int) (int, bool) {
	n := 0
	for _, c := range b {
		if !is(c, classDigit) {
			return 0, false
		}
		if n = n*10 + int(c-'0'); n > limit {
			return 0, false
		}
	}
	return n, len(b) > 0
}

// hostEnd returns the end of the host that starts at i, or -1 if there is none.
func hostEnd(b []byte, i int) int {
	if i < len(b) && b[i] == '[' {
		end := span(b, i+1, classIPv6)
		if end == i+1 || end == len(b) || b[end] != ']' {
			return -1
		}
		return end + 1
	}
	end := span(b, i, classHost)
	if end == i {
		return -1
	}
	return end
}

// validURI checks what every reader of a URI relies on: a scheme, no white space or delimiters inside,
// and for sip and sips (RFC 3261 §19.1.1) one user part at most, a host, and a port that is one. Other
// schemes are opaque.
func validURI(u []byte) bool {
	colon := bytes.IndexByte(u, ':')
	if colon < 1 || colon == len(u)-1 || len(u) > MaxURI {
		return false
	}
	for _, c := range u {
		if c <= ' ' || c == '<' || c == '>' || c == '"' || c == 0x7f {
			return false
		}
	}
	scheme, rest := u[:colon], u[colon+1:]
	if foldEqual(scheme, "sip") || foldEqual(scheme, "sips") {
		return validHostPart(rest)
	}
	return all(scheme, classScheme) && !is(scheme[0], classDigit)
}

func validHostPart(rest []byte) bool {
	if at := bytes.IndexByte(rest, '@'); at >= 0 {
		if at == 0 || bytes.IndexByte(rest[:at], '[') >= 0 {
			return false
		}
		rest = rest[at+1:]
	}
	end := hostEnd(rest, 0)
	if end < 0 {
		return false
	}
	if end < len(rest) && rest[end] == ':' {
		digits := end + 1
		end = span(rest, digits, classDigit)
		if _, ok := number(rest[digits:end], maxPort); !ok {
			return false
		}
	}
	if end == len(rest) {
		return true
	}
	return (rest[end] == ';' || rest[end] == '?') && bytes.IndexByte(rest[end:], '@') < 0
}

// hasHeaders says whether a sip URI carries headers, which begin at the first question mark behind the
// user part.
func hasHeaders(u []byte) bool {
	if at := bytes.LastIndexByte(u, '@'); at >= 0 {
		u = u[at:]
	}
	return bytes.IndexByte(u, '?') >= 0
}
