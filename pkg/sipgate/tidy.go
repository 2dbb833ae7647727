package sipgate

import "bytes"

// kind is how the value of a header is tidied.
type kind uint8

const (
	kindOther   kind = iota // not at all
	kindVia                 // sent-protocol, sent-by, parameters
	kindAddress             // From and To
	kindList                // other addresses, whose quotes the parser cannot count
	kindWords               // words with one space between them: CSeq
)

func kindOf(f Field) kind {
	switch f {
	case fieldVia:
		return kindVia
	case fieldFrom, fieldTo:
		return kindAddress
	case fieldContact, fieldRoute, fieldRecordRoute, fieldReferTo, fieldReferredBy:
		return kindList
	case fieldCSeq:
		return kindWords
	default:
		return kindOther
	}
}

// idle says whether white space between two characters means nothing. Behind a comma it never does; there
// the parser has trouble with bare addresses only, and the usual spelling stays.
func (k kind) idle(before, behind byte) bool {
	if before == ',' {
		return k.addresses() && behind != '<' && behind != '"'
	}
	return behind == ',' && k != kindWords || k.separator(before) || k.separator(behind)
}

func (k kind) separator(c byte) bool {
	switch c {
	case ';', '=':
		return k != kindWords
	case '/', ':':
		return k == kindVia
	}
	return false
}

// odd says whether append would change the value, which is trimmed.
func (k kind) odd(v []byte) bool {
	if k.addresses() && oddScheme(v) {
		return true
	}
	for i := 0; i < len(v); i++ {
		if !is(v[i], classMark) {
			continue
		}
		switch v[i] {
		case '"':
			end := quotedEnd(v, i)
			if end < 0 {
				return false
			}
			if k == kindList && bytes.IndexByte(v[i:end], '\\') >= 0 {
				return true
			}
			i = end - 1
		case '<':
			end := bytes.IndexByte(v[i:], '>')
			if end < 0 {
				return false
			}
			if oddURI(v[i+1 : i+end]) {
				return true
			}
			i += end
		case ';':
			end := span(v, i+1, classToken)
			if hasUpper(v[i+1 : end]) {
				return true
			}
			i = end - 1
		case ',':
			if next := span(v, i+1, classSpace); k.addresses() && oddScheme(v[next:]) {
				return true
			}
		default:
			if v[i] != ' ' || is(v[i+1], classSpace) || k.idle(v[i-1], v[i+1]) {
				return true
			}
		}
	}
	return false
}

// append appends the value, tidied. A quote or bracket that never closes is left to the scan.
func (k kind) append(dst, v []byte) []byte {
	fresh := true // an address begins here
	for i := 0; i < len(v); {
		if fresh && k.addresses() {
			n := schemeLen(v[i:])
			dst = appendScheme(dst, v[i:i+n])
			i += n
		}
		fresh = v[i] == ',' || fresh && is(v[i], classSpace)
		end := i + 1
		switch c := v[i]; {
		case is(c, classSpace):
			end = span(v, i, classSpace)
			if !k.idle(v[i-1], v[end]) {
				dst = append(dst, ' ')
			}
		case c == '"':
			if end = quotedEnd(v, i); end < 0 {
				return append(dst, v[i:]...)
			}
			dst = k.appendQuoted(dst, v[i:end])
		case c == '<':
			n := bytes.IndexByte(v[i:], '>')
			if n < 0 {
				return append(dst, v[i:]...)
			}
			end = i + n + 1
			dst = append(dst, '<')
			dst = appendURI(dst, v[i+1:end-1])
			dst = append(dst, '>')
		case c == ';':
			dst = append(dst, ';')
			start := span(v, end, classSpace)
			end = span(v, start, classToken)
			dst = appendLower(dst, v[start:end])
		default:
			dst = append(dst, c)
		}
		i = end
	}
	return dst
}

func (k kind) addresses() bool { return k == kindAddress || k == kindList }

// appendQuoted appends a quoted string, in lists without quoted quotation marks.
func (k kind) appendQuoted(dst, q []byte) []byte {
	if k != kindList {
		return append(dst, q...)
	}
	for i := 0; i < len(q); i++ {
		if q[i] == '\\' && i+1 < len(q) {
			if i++; q[i] == '"' {
				dst = append(dst, '\'')
				continue
			}
			dst = append(dst, '\\')
		}
		dst = append(dst, q[i])
	}
	return dst
}

// appendURI appends a URI, the names of its parameters in lower case, its scheme in letters.
func appendURI(dst, u []byte) []byte {
	last := schemeLen(u)
	dst = appendScheme(dst, u[:last])
	for i := max(last, uriTail(u)); ; {
		start, end := nextName(u, i)
		if start < 0 {
			return append(dst, u[last:]...)
		}
		dst = append(dst, u[last:start]...)
		dst = appendLower(dst, u[start:end])
		i, last = end, end
	}
}

// oddURI says whether appendURI would change the URI.
func oddURI(u []byte) bool {
	if oddScheme(u) {
		return true
	}
	for i := uriTail(u); ; {
		start, end := nextName(u, i)
		if start < 0 {
			return false
		}
		if hasUpper(u[start:end]) {
			return true
		}
		i = end
	}
}

// schemeLen is the length of the scheme that b begins with; 0 if there is none.
func schemeLen(b []byte) int {
	if end := span(b, 0, classScheme); end < len(b) && b[end] == ':' {
		return end
	}
	return 0
}

func oddScheme(b []byte) bool {
	for _, c := range b[:schemeLen(b)] {
		if !isLetter(c) {
			return true
		}
	}
	return false
}

func appendScheme(dst, scheme []byte) []byte {
	for _, c := range scheme {
		if !isLetter(c) {
			c = 'x'
		}
		dst = append(dst, c)
	}
	return dst
}

// uriTail returns the index behind the user part of a sip or sips URI, which may have semicolons and
// keeps its case (RFC 3261 §19.1.4), and the length of other URIs.
func uriTail(u []byte) int {
	colon := bytes.IndexByte(u, ':')
	if colon < 0 || !foldEqual(u[:colon], "sip") && !foldEqual(u[:colon], "sips") {
		return len(u)
	}
	return max(bytes.LastIndexByte(u, '@'), colon) + 1
}

// nextName finds the name of the next URI parameter from i on, or -1.
func nextName(u []byte, i int) (start, end int) {
	for ; i < len(u) && u[i] != '?'; i++ {
		if u[i] != ';' {
			continue
		}
		for end = i + 1; end < len(u) && u[end] != '=' && u[end] != ';' && u[end] != '?'; {
			end++
		}
		return i + 1, end
	}
	return -1, -1
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

func hasUpper(b []byte) bool {
	for _, c := range b {
		if 'A' <= c && c <= 'Z' {
			return true
		}
	}
	return false
}

func appendLower(dst, b []byte) []byte {
	for _, c := range b {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return dst
}
