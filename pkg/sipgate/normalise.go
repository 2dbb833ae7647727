package sipgate

import "bytes"

// Normalise rewrites valid messages whose spelling sipgo v1.7.2 does not read as meant, and leaves
// everything else to [Scan]. It returns msg itself when no rule applies, which is the usual case, and
// also when the message is too broken to apply them. The rules:
//
//  1. CRLF before the start line is dropped (RFC 3261 §7.5).
//  2. A reason phrase of one word that begins with "SIP" gets a space behind it: the parser takes its
//     status line for a request line.
//  3. Folded lines are joined with one space (§7.3.1), white space before a colon is dropped.
//  4. Compact names that the parser does not map are written out, such as k for Supported.
//  5. In Via and in headers with addresses, white space round delimiters is dropped and other white
//     space becomes one space: the parser makes it part of hosts, branches and tags.
//  6. In the same headers and in the Request-URI, names of parameters are written in lower case: they
//     compare without case, the parser compares them with it.
//  7. A quoted quotation mark in the display name of a Contact, Route, Record-Route, Refer-To or
//     Referred-By becomes an apostrophe: the parser loses count of the quotes and with it the rest of
//     the list.
//  8. In the scheme of the Request-URI and of addresses, what is no letter becomes an x: the parser
//     refuses such schemes, and we know none of them, so that unknown ones get their 416.
//  9. In CSeq one space stands between number and method.
//  10. The version is written in capitals.
func Normalise(msg []byte) []byte {
	if len(msg) > MaxMessage || len(msg) == 0 || !odd(msg) {
		return msg
	}
	// Some room for the spaces behind colons and for the names of rule 4.
	n := normaliser{msg: msg, dst: make([]byte, 0, len(msg)+256)}
	if !n.run() || bytes.Equal(n.dst, msg) {
		return msg
	}
	return n.dst
}

// odd says whether a rule may apply. It runs on each message, so it looks no closer than it has to.
func odd(msg []byte) bool {
	if msg[0] == '\r' || msg[0] == '\n' || oddStart(firstLine(msg)) {
		return true
	}
	for {
		end := bytes.IndexByte(msg, '\n')
		if end < 0 {
			return false
		}
		if msg = msg[end+1:]; len(msg) == 0 || msg[0] == '\r' {
			return false
		}
		if oddHeader(firstLine(msg)) {
			return true
		}
	}
}

// oddHeader applies rules 3 to 9 to one line.
func oddHeader(line []byte) bool {
	colon := bytes.IndexByte(line, ':')
	switch {
	case len(line) > 0 && is(line[0], classSpace):
		return true
	case colon < 1:
		return false
	case is(line[colon-1], classSpace), colon == 1 && longName(line[0]) != "":
		return true
	}
	switch line[0] | 0x20 {
	case 'v', 'f', 't', 'c', 'm', 'r', 'b':
		k := kindOf(fieldOf(line[:colon]))
		return k != kindOther && k.odd(trim(line[colon+1:]))
	}
	return false
}

// firstLine is b up to its first LF.
func firstLine(b []byte) []byte {
	line, _, _ := bytes.Cut(b, []byte{'\n'})
	return line
}

// oddStart applies rules 2, 6, 8 and 10 to a start line.
func oddStart(line []byte) bool {
	line = bytes.TrimRight(line, "\r")
	if len(line) >= 12 && foldEqual(line[:4], "sip/") {
		return string(line[:4]) != version[:4] || sipWord(line[12:])
	}
	first, last := requestURI(line)
	return first < last && (oddURI(line[first:last]) || foldEqual(line[last:], " sip/2.0") && string(line[last+1:]) != version)
}

// sipWord says that a reason phrase is one word that begins with "SIP".
func sipWord(reason []byte) bool {
	return len(reason) >= 3 && foldEqual(reason[:3], "sip") && bytes.IndexByte(reason, ' ') < 0
}

// requestURI finds what lies between the first and the last space of a request line; an empty span if
// there are no two.
func requestURI(line []byte) (from, to int) {
	from = bytes.IndexByte(line, ' ') + 1
	return from, max(from, bytes.LastIndexByte(line, ' '))
}

// longName is the long form of a compact name that sipgo does not map; empty for others.
func longName(c byte) string {
	switch c | 0x20 {
	case 'a':
		return "Accept-Contact"
	case 'b':
		return "Referred-By"
	case 'd':
		return "Request-Disposition"
	case 'e':
		return "Content-Encoding"
	case 'j':
		return "Reject-Contact"
	case 'k':
		return "Supported"
	case 'n':
		return "Identity-Info"
	case 'o':
		return "Event"
	case 'r':
		return "Refer-To"
	case 's':
		return "Subject"
	case 'u':
		return "Allow-Events"
	case 'x':
		return "Session-Expires"
	case 'y':
		return "Identity"
	}
	return ""
}

// normaliser writes the message anew.
type normaliser struct {
	msg, dst []byte
}

// run says whether the message was well enough formed to be rewritten.
func (n *normaliser) run() bool {
	n.msg = bytes.TrimLeft(n.msg, "\r\n")
	start, ok := n.line()
	if !ok {
		return false
	}
	n.startLine(start)
	for {
		line, ok := n.line()
		if !ok {
			return false
		}
		if len(line) == 0 {
			n.dst = append(n.dst, "\r\n"...)
			n.dst = append(n.dst, n.msg...)
			return true
		}
		if !n.header(line) {
			return false
		}
	}
}

// line takes one line, folds included, off the message. Only CRLF ends a line.
func (n *normaliser) line() (line []byte, ok bool) {
	for i := 0; ; i++ {
		at := bytes.IndexByte(n.msg[i:], '\r')
		if at < 0 {
			return nil, false
		}
		i += at
		if i+1 == len(n.msg) || n.msg[i+1] != '\n' {
			return nil, false
		}
		if i == 0 || i+2 == len(n.msg) || n.msg[i+2] != ' ' && n.msg[i+2] != '\t' {
			line, n.msg = n.msg[:i], n.msg[i+2:]
			return line, bytes.IndexByte(line, '\n') < 0 || folded(line)
		}
	}
}

// folded says that each LF of a line belongs to a fold.
func folded(line []byte) bool {
	return bytes.Count(line, []byte("\n")) == bytes.Count(line, []byte("\r\n"))
}

func (n *normaliser) startLine(line []byte) {
	from, to := requestURI(line)
	switch {
	case !oddStart(line):
		n.dst = append(n.dst, line...)
	case len(line) >= 12 && foldEqual(line[:4], "sip/"):
		n.dst = append(append(n.dst, version[:4]...), line[4:]...)
		if sipWord(line[12:]) {
			n.dst = append(n.dst, ' ')
		}
	default:
		n.dst = append(n.dst, line[:from]...)
		n.dst = appendURI(n.dst, line[from:to])
		if foldEqual(line[to:], " sip/2.0") {
			n.dst = append(n.dst, " "+version...)
		} else {
			n.dst = append(n.dst, line[to:]...)
		}
	}
	n.dst = append(n.dst, "\r\n"...)
}

// header rewrites one header.
func (n *normaliser) header(line []byte) bool {
	name, value, ok := bytes.Cut(line, []byte{':'})
	if name = bytes.TrimRight(name, " \t\r\n"); !ok || !all(name, classToken) {
		return false
	}
	if long := longName(name[0]); len(name) == 1 && long != "" {
		n.dst = append(n.dst, long...)
	} else {
		n.dst = append(n.dst, name...)
	}
	n.dst = append(n.dst, ": "...)
	value = unfold(trim(value))
	if k := kindOf(fieldOf(name)); k == kindOther {
		n.dst = append(n.dst, value...)
	} else {
		n.dst = k.append(n.dst, value)
	}
	n.dst = append(n.dst, "\r\n"...)
	return true
}

// unfold makes one space of each fold and the white space round it.
func unfold(value []byte) []byte {
	if bytes.IndexByte(value, '\n') < 0 {
		return value
	}
	out := make([]byte, 0, len(value))
	for i := 0; i < len(value); {
		end := span(value, i, classSpace)
		switch {
		case end == i:
			out = append(out, value[i])
			end++
		case bytes.IndexByte(value[i:end], '\n') >= 0:
			out = append(out, ' ')
		default:
			out = append(out, value[i:end]...)
		}
		i = end
	}
	return out
}
