package tracering

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Widths of a ladder, in characters. A column grows with its longest label up to maxColumn; a reason phrase
// is cut before that: a call over three nodes must fit a wide terminal.
const (
	timeWidth = 15 // 15:04:05.000000
	minColumn = 26
	maxColumn = 40
	maxLabel  = 28
)

// Ladder draws the messages as the field draws them: one column for each party, time downwards. names may
// give a party's name; where it gives none (or is nil), the address is the name. Addresses of one name share
// a column, so that a phone that has connected again stays where it was. Text ends with a newline; no
// entries give none.
func Ladder(entries []Entry, names func(netip.AddrPort) string) string {
	if len(entries) == 0 {
		return ""
	}
	l := newLadder(entries, names)
	var b strings.Builder
	l.writeHead(&b, entries)
	for i := range l.arrows {
		l.writeArrow(&b, &l.arrows[i])
	}
	return b.String()
}

// ladder is the drawing: its parties from left to right, and an arrow a message.
type ladder struct {
	names   func(netip.AddrPort) string
	parties []party
	arrows  []arrow
	width   int
}

type party struct {
	name      string
	addresses []netip.AddrPort
}

type arrow struct {
	at       time.Time
	from, to int // columns
	label    string
}

func newLadder(entries []Entry, names func(netip.AddrPort) string) *ladder {
	l := &ladder{names: names, width: minColumn}
	seen := make(map[string]bool, len(entries))
	for i := range entries {
		e := &entries[i]
		from, to := e.Flow.Local, e.Flow.Remote
		if !e.Out {
			from, to = to, from
		}
		a := arrow{at: e.At, from: l.column(from), to: l.column(to), label: label(e.Message)}
		key := strconv.Itoa(a.from) + ">" + strconv.Itoa(a.to) + " " + string(e.Message)
		if seen[key] {
			a.label += " again"
		}
		seen[key] = true
		l.width = max(l.width, min(len(a.label)+8, maxColumn))
		l.arrows = append(l.arrows, a)
	}
	for _, p := range l.parties {
		l.width = max(l.width, min(len(p.name)+2, maxColumn), min(len(p.addressText())+2, maxColumn))
	}
	return l
}

// column finds the party's column or opens one at the right.
func (l *ladder) column(addr netip.AddrPort) int {
	name := ""
	if l.names != nil {
		name = l.names(addr)
	}
	if name == "" {
		name = addr.String()
	}
	for i := range l.parties {
		p := &l.parties[i]
		if p.name != name {
			continue
		}
		if !slices.Contains(p.addresses, addr) {
			p.addresses = append(p.addresses, addr)
		}
		return i
	}
	l.parties = append(l.parties, party{name: name, addresses: []netip.AddrPort{addr}})
	return len(l.parties) - 1
}

// addressText is the party's address; empty when that is its name already.
func (p *party) addressText() string {
	text := p.addresses[0].String()
	if text == p.name {
		return ""
	}
	if more := len(p.addresses) - 1; more > 0 {
		text += " +" + strconv.Itoa(more)
	}
	return text
}

// writeHead names the call, then the parties over their columns.
func (l *ladder) writeHead(b *strings.Builder, entries []Entry) {
	for _, id := range sessionIDs(entries) {
		fmt.Fprintf(b, "Session-ID %s\n", id)
	}
	known := map[string]bool{}
	for i := range entries {
		if id := entries[i].CallID; !known[id] {
			known[id] = true
			fmt.Fprintf(b, "Call-ID    %s\n", id)
		}
	}
	b.WriteString("\n")
	l.writeCentred(b, func(p *party) string { return p.name })
	l.writeCentred(b, (*party).addressText)
}

// writeCentred writes one line with a text over the middle of each column.
func (l *ladder) writeCentred(b *strings.Builder, text func(*party) string) {
	line := make([]byte, 0, timeWidth+(len(l.parties)+1)*l.width)
	for i := range l.parties {
		t := cut(text(&l.parties[i]), l.width-2)
		start := l.bar(i) - len(t)/2
		for len(line) < start {
			line = append(line, ' ')
		}
		line = append(line, t...)
	}
	b.Write(bytes.TrimRight(line, " "))
	b.WriteString("\n")
}

// bar is the place of a column's vertical line.
func (l *ladder) bar(column int) int { return timeWidth + l.width/2 + 1 + column*l.width }

// writeArrow writes one message: its time, the bars, and the arrow with its label.
func (l *ladder) writeArrow(b *strings.Builder, a *arrow) {
	line := bytes.Repeat([]byte{' '}, l.bar(len(l.parties)-1)+1)
	copy(line, a.at.Format("15:04:05.000000"))
	for i := range l.parties {
		line[l.bar(i)] = '|'
	}
	if a.from == a.to {
		fmt.Fprintf(b, "%s <-> %s\n", line[:l.bar(a.from)+1], a.label)
		return
	}
	left, right := l.bar(min(a.from, a.to)), l.bar(max(a.from, a.to))
	shaft := line[left+1 : right]
	for i := range shaft {
		shaft[i] = '-'
	}
	if a.from < a.to {
		shaft[len(shaft)-1] = '>'
	} else {
		shaft[0] = '<'
	}
	text := " " + cut(a.label, len(shaft)-6) + " "
	copy(shaft[(len(shaft)-len(text))/2:], text)
	b.Write(line)
	b.WriteString("\n")
}

// cut shortens text to n bytes.
func cut(text string, n int) string {
	if len(text) <= n {
		return text
	}
	return text[:max(n-2, 0)] + ".."
}

// label is a message in a few words: "INVITE 4002 (SDP)", "200 OK (INVITE, SDP)".
func label(msg []byte) string {
	start, _, _ := bytes.Cut(msg, []byte{'\n'})
	first, rest, _ := strings.Cut(printable(start), " ")
	var notes []string
	if strings.HasPrefix(first, "SIP/") {
		first = rest
		cseq, _ := headerValue(msg, "cseq", "")
		if _, method, ok := strings.Cut(printable(cseq), " "); ok {
			notes = append(notes, strings.TrimSpace(method))
		}
	} else if user := uriUserPart(rest); user != "" {
		first += " " + user
	}
	if hasSDP(msg) {
		notes = append(notes, "SDP")
	}
	note := ""
	if len(notes) > 0 {
		note = " (" + strings.Join(notes, ", ") + ")"
	}
	return cut(first, maxLabel-len(note)) + note
}

// uriUserPart is the user part of the Request-URI, or the number of a tel: URI; empty if it has none.
func uriUserPart(rest string) string {
	uri, _, _ := strings.Cut(rest, " ")
	scheme, uri, _ := strings.Cut(uri, ":")
	user, _, ok := strings.Cut(uri, "@")
	if !ok && !strings.EqualFold(scheme, "tel") {
		return ""
	}
	user, _, _ = strings.Cut(user, ";")
	user, _, _ = strings.Cut(user, ":")
	return user
}

func hasSDP(msg []byte) bool {
	if kind, ok := headerValue(msg, "content-type", "c"); ok && equalFold(kind, "application/sdp") {
		return true
	}
	return bytes.Contains(msg, []byte("\nv=0\r\n"))
}

// sessionIDs are the local identifiers of RFC 7989 in the messages, in the order of their appearance.
func sessionIDs(entries []Entry) (ids []string) {
	known := map[string]bool{}
	for i := range entries {
		value, _ := headerValue(entries[i].Message, "session-id", "")
		id, _, _ := strings.Cut(printable(value), ";")
		if id = strings.TrimSpace(id); id != "" && !known[id] {
			known[id] = true
			ids = append(ids, id)
		}
	}
	return ids
}

// printable keeps what a terminal may be given: a message is a stranger's text.
func printable(b []byte) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, string(b))
}
