// Package sipmsg reads and writes SIP messages for the test phones. It is small, strict and written apart from
// the parser that the product uses, so that a message which is wrong is not read right by the same mistake. It
// knows syntax only; see package phone for behaviour. Start at [Parse].
package sipmsg

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Version is the only protocol version there is.
const Version = "SIP/2.0"

// Header is one header line, its name in long form and as this package spells it.
type Header struct{ Name, Value string }

// Message is a request (Method set) or a response (Status set). Headers keep their order.
type Message struct {
	Method  string // empty in a response
	URI     string // Request-URI, empty in a response
	Status  int    // 0 in a request
	Reason  string
	Headers []Header
	Body    []byte
}

// compact maps the one-letter names of RFC 3261 §7.3.3 and later RFCs to the long ones.
var compact = map[string]string{
	"v": "via", "f": "from", "t": "to", "i": "call-id", "m": "contact", "l": "content-length",
	"c": "content-type", "e": "content-encoding", "k": "supported", "s": "subject", "o": "event",
	"u": "allow-events", "r": "refer-to", "x": "session-expires", "b": "referred-by",
}

// single lists what may stand only once in a message.
var single = []string{
	"from", "to", "call-id", "cseq", "max-forwards", "content-length", "content-type", "expires", "rack", "rseq",
}

// Parse reads one whole message as it came in one datagram or was framed from a stream. Whatever RFC 3261
// forbids and this package checks is an error: line ends other than CRLF, folding, a missing or doubled
// mandatory header, a Content-Length that is not the body's.
func Parse(data []byte) (*Message, error) {
	head, body, found := bytes.Cut(data, []byte("\r\n\r\n"))
	if !found {
		return nil, fmt.Errorf("no empty line after the headers")
	}
	lines := strings.Split(string(head), "\r\n")
	m := &Message{Body: bytes.Clone(body)}
	if err := m.parseStart(lines[0]); err != nil {
		return nil, err
	}
	for _, line := range lines[1:] {
		name, value, ok := strings.Cut(line, ":")
		if !ok || name == "" || strings.ContainsAny(line, "\r\n\x00") || line[0] == ' ' || line[0] == '\t' {
			return nil, fmt.Errorf("bad header line %q", line)
		}
		m.Add(strings.TrimRight(name, " \t"), strings.Trim(value, " \t"))
	}
	return m, m.check()
}

func (m *Message) parseStart(line string) error {
	first, rest, _ := strings.Cut(line, " ")
	if first == Version {
		code, reason, _ := strings.Cut(rest, " ")
		status, err := strconv.Atoi(code)
		if err != nil || len(code) != 3 || status < 100 || status > 699 {
			return fmt.Errorf("bad status line %q", line)
		}
		m.Status, m.Reason = status, reason
		return nil
	}
	uri, version, ok := strings.Cut(rest, " ")
	if !ok || first == "" || uri == "" || version != Version {
		return fmt.Errorf("bad request line %q", line)
	}
	m.Method, m.URI = first, uri
	return nil
}

func (m *Message) check() error {
	for _, name := range single {
		if n := len(m.All(name)); n > 1 {
			return fmt.Errorf("%d headers %s", n, name)
		}
	}
	for _, name := range []string{"via", "from", "to", "call-id", "cseq"} {
		if m.Get(name) == "" {
			return fmt.Errorf("no header %s", name)
		}
	}
	if m.Method != "" && m.Get("max-forwards") == "" {
		return fmt.Errorf("no header max-forwards")
	}
	if _, method := m.CSeq(); method == "" || m.Method != "" && method != m.Method {
		return fmt.Errorf("bad CSeq %q", m.Get("cseq"))
	}
	length, err := strconv.Atoi(m.Get("content-length"))
	if err != nil || length != len(m.Body) {
		return fmt.Errorf("Content-Length %q for a body of %d bytes", m.Get("content-length"), len(m.Body))
	}
	if len(m.Body) > 0 && m.Get("content-type") == "" {
		return fmt.Errorf("body without Content-Type")
	}
	return nil
}

// long is the lower-case long form of a header name.
func long(name string) string {
	name = strings.ToLower(name)
	if full, ok := compact[name]; ok {
		return full
	}
	return name
}

// Add appends a header line.
func (m *Message) Add(name, value string) {
	m.Headers = append(m.Headers, Header{Name: name, Value: value})
}

// Set replaces all headers of that name by one, at the place of the first.
func (m *Message) Set(name, value string) {
	i := slices.IndexFunc(m.Headers, func(h Header) bool { return long(h.Name) == long(name) })
	if i < 0 {
		m.Add(name, value)
		return
	}
	m.Headers[i].Value = value
	rest := slices.DeleteFunc(slices.Clone(m.Headers[i+1:]), func(h Header) bool { return long(h.Name) == long(name) })
	m.Headers = append(m.Headers[:i+1], rest...)
}

// Get is the first value of a header, compact names included; empty if there is none.
func (m *Message) Get(name string) string {
	for _, h := range m.Headers {
		if long(h.Name) == long(name) {
			return h.Value
		}
	}
	return ""
}

// All gives the values of a header in order, comma-separated lists taken apart.
func (m *Message) All(name string) []string {
	var out []string
	for _, h := range m.Headers {
		if long(h.Name) != long(name) {
			continue
		}
		switch long(name) {
		case "via", "route", "record-route", "contact", "supported", "require", "allow", "unsupported":
			out = append(out, splitList(h.Value)...)
		default:
			out = append(out, h.Value)
		}
	}
	return out
}

// CSeq is the number and method of the CSeq header; the method is empty if the header cannot be read.
func (m *Message) CSeq() (uint32, string) {
	number, method, _ := strings.Cut(m.Get("cseq"), " ")
	n, err := strconv.ParseUint(number, 10, 31)
	if err != nil {
		return 0, ""
	}
	return uint32(n), strings.TrimSpace(method)
}

// Bytes is the message as it goes on the wire, with its Content-Length.
func (m *Message) Bytes() []byte {
	var b bytes.Buffer
	if m.Method != "" {
		fmt.Fprintf(&b, "%s %s %s\r\n", m.Method, m.URI, Version)
	} else {
		fmt.Fprintf(&b, "%s %d %s\r\n", Version, m.Status, m.Reason)
	}
	for _, h := range m.Headers {
		if long(h.Name) != "content-length" {
			fmt.Fprintf(&b, "%s: %s\r\n", h.Name, h.Value)
		}
	}
	fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n", len(m.Body))
	b.Write(m.Body)
	return b.Bytes()
}

// Line is the first line, for logs and transcripts.
func (m *Message) Line() string {
	if m.Method != "" {
		return m.Method + " " + m.URI
	}
	_, method := m.CSeq()
	return fmt.Sprintf("%d %s (%s)", m.Status, m.Reason, method)
}
