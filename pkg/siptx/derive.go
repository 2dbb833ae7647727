package siptx

import "bytes"

// appendDerived appends the ACK to a failure (RFC 3261 §17.1.1.3) or the CANCEL (§9.1) of an INVITE that
// this process has sent: its Request-URI, top Via, Route, From, Call-ID, CSeq number, Max-Forwards, and its To
// unless another is given. extra is whole header lines.
func appendDerived(dst, invite []byte, method string, to, extra []byte) []byte {
	start, rest, _ := bytes.Cut(invite, []byte("\r\n"))
	_, target, _ := bytes.Cut(start, []byte{' '})
	dst = append(dst, method...)
	dst = append(dst, ' ')
	dst = append(dst, target...)
	dst = append(dst, "\r\n"...)
	via := false
	for len(rest) > 0 {
		var line []byte
		line, rest = cutHeader(rest)
		if len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte{':'})
		switch derivedName(name) {
		case 'v':
			if via {
				continue
			}
			via = true
			dst = appendLine(dst, "Via: ", trimSpace(value[:elementEnd(value)]))
		case 't':
			if to == nil {
				to = trimSpace(value)
			}
			dst = appendLine(dst, "To: ", to)
		case 's':
			number, _, _ := bytes.Cut(trimSpace(value), []byte{' '})
			dst = append(dst, "CSeq: "...)
			dst = append(dst, number...)
			dst = append(dst, ' ')
			dst = append(dst, method...)
			dst = append(dst, "\r\n"...)
		case 'c':
			dst = append(dst, line...)
			dst = append(dst, "\r\n"...)
		}
	}
	dst = append(dst, extra...)
	return append(dst, noBody...)
}

// derivedName says what becomes of a header: v Via, t To, s CSeq, c copied as it is, 0 left out.
func derivedName(name []byte) byte {
	name = trimSpace(name)
	for _, n := range derivedNames {
		if len(n.name) == len(name) && bytes.EqualFold([]byte(n.name), name) {
			return n.kind
		}
	}
	return 0
}

var derivedNames = []struct {
	name string
	kind byte
}{
	{"Via", 'v'},
	{"v", 'v'},
	{"To", 't'},
	{"t", 't'},
	{"CSeq", 's'},
	{"From", 'c'},
	{"f", 'c'},
	{"Call-ID", 'c'},
	{"i", 'c'},
	{"Route", 'c'},
	{"Max-Forwards", 'c'},
}

// cutHeader cuts the first header, folds included and CRLF left out, off a header section.
func cutHeader(b []byte) (line, rest []byte) {
	for at := 0; ; {
		i := bytes.Index(b[at:], []byte("\r\n"))
		if i < 0 {
			return b, nil
		}
		at += i + 2
		if at == i+2 && i == 0 || at == len(b) || b[at] != ' ' && b[at] != '\t' {
			return b[:at-2], b[at:]
		}
	}
}
