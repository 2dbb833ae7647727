package sipgate

import "bytes"

// CallID finds the value of the first Call-ID without checking anything else, so that a reader can hand
// the message to the worker that owns the call. It reads the same value as [Scan].
func CallID(msg []byte) ([]byte, bool) {
	v, ok := find(msg, fieldCallID)
	return v, ok && len(v) > 0
}

// HasToTag says whether the message belongs to a dialog or transaction that exists: its To has a tag.
// A full queue keeps room for those. It reads the same tag as [Scan].
func HasToTag(msg []byte) bool {
	v, ok := find(msg, fieldTo)
	if !ok {
		return false
	}
	tag, ok := tagOf(v)
	return ok && tag.Present()
}

// find returns the trimmed value of the first header f, folds included.
func find(msg []byte, f Field) ([]byte, bool) {
	for {
		end := bytes.IndexByte(msg, '\n')
		if end < 0 {
			return nil, false
		}
		msg = msg[end+1:]
		if len(msg) == 0 || msg[0] == '\r' || msg[0] == '\n' {
			return nil, false
		}
		if !mayBe(msg[0], f) {
			continue
		}
		colon := span(msg, 0, classToken)
		name := msg[:colon]
		if colon = span(msg, colon, classSpace); colon == len(msg) || msg[colon] != ':' || fieldOf(name) != f {
			continue
		}
		return trim(unended(msg[colon+1:])), true
	}
}

// mayBe spares most headers, and all folds, the comparison of names: by first letter.
func mayBe(c byte, f Field) bool {
	c |= 0x20
	if f == fieldCallID {
		return c == 'c' || c == 'i'
	}
	return c == 't'
}

// unended cuts a header's value, folds included, out of what follows its colon.
func unended(b []byte) []byte {
	for i := 0; ; i++ {
		n := bytes.IndexByte(b[i:], '\n')
		if n < 0 {
			return b
		}
		if i += n; i+1 == len(b) || b[i+1] != ' ' && b[i+1] != '\t' {
			return b[:i]
		}
	}
}
