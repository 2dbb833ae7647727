package forwarder_test

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mss-federation/mss/pkg/network"
)

// message is a SIP message as lines.
type message struct {
	start   string
	request bool
	headers [][2]string
	body    string
}

func parse(text string) *message {
	head, body, _ := strings.Cut(text, "\r\n\r\n")
	lines := strings.Split(head, "\r\n")
	m := &message{start: lines[0], request: !strings.HasPrefix(lines[0], "SIP/2.0"), body: body}
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ":")
		m.headers = append(m.headers, [2]string{name, strings.TrimSpace(value)})
	}
	return m
}

func (m *message) all(name string) (values []string) {
	for _, h := range m.headers {
		if h[0] == name {
			values = append(values, h[1])
		}
	}
	return values
}

func (m *message) first(name string) string {
	if values := m.all(name); len(values) > 0 {
		return values[0]
	}
	return ""
}

func (m *message) method() string {
	if m.request {
		method, _, _ := strings.Cut(m.start, " ")
		return method
	}
	_, method, _ := strings.Cut(m.first("CSeq"), " ")
	return method
}

func (m *message) tag(header string) string {
	_, tag, _ := strings.Cut(m.first(header), ";tag=")
	return tag
}

// peer is a site or trunk that a script plays: a UDP socket and one dialog.
type peer struct {
	scene *scene
	name  string
	conn  network.PacketConn

	deaf     bool
	branches int
	seq      int
	callID   string
	local    string // our From or To value with tag
	remote   string // the other one
	target   string
	routes   []string
	caller   bool
	sent     string              // the last INVITE sent
	failure  string              // To of the last failure
	received map[string]*message // the last request of each method
	copies   []*message          // of the INVITE that began the call, on different branches
}

func (p *peer) listen() {
	buf := make([]byte, 65536)
	for {
		n, _, err := p.conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		p.scene.mu.Lock()
		if !p.deaf {
			m := parse(string(buf[:n]))
			p.scene.pending = append(p.scene.pending, heard{time.Now(), p.name, m})
			p.take(m)
		}
		p.scene.mu.Unlock()
	}
}

func (p *peer) take(m *message) {
	if m.request {
		p.received[m.method()] = m
		if m.method() == "INVITE" {
			p.keepCopy(m)
		}
		if m.method() == "INVITE" && m.tag("To") == "" {
			p.callID, p.caller, p.seq = m.first("Call-ID"), false, 100
			p.local, p.remote = m.first("To")+";tag="+p.name+"tag", m.first("From")
			p.routes = m.all("Record-Route")
			p.target = strings.Trim(m.first("Contact"), "<>")
		}
		return
	}
	if m.method() != "INVITE" || !p.caller {
		return
	}
	if !strings.HasPrefix(m.start, "SIP/2.0 1") && !strings.HasPrefix(m.start, "SIP/2.0 2") {
		p.failure = m.first("To")
		return
	}
	if m.tag("To") == "" {
		return
	}
	p.remote = m.first("To")
	p.routes = m.all("Record-Route")
	slices.Reverse(p.routes)
	p.target = strings.Trim(m.first("Contact"), "<>")
}

// as is this peer with another one's socket.
func (p *peer) as(other string) *peer {
	masked := *p
	masked.conn = p.scene.peers[other].conn
	return &masked
}

func (p *peer) keepCopy(m *message) {
	if len(p.copies) > 0 && p.copies[0].first("Call-ID") != m.first("Call-ID") {
		p.copies = nil
	}
	for _, c := range p.copies {
		if c.first("Via") == m.first("Via") {
			return
		}
	}
	p.copies = append(p.copies, m)
}

func (p *peer) send(via, text string) {
	if _, err := p.conn.WriteToUDPAddrPort([]byte(text), addrOf(via)); err != nil {
		p.scene.t.Error(err)
	}
}

// newCall forgets the last one.
func (p *peer) newCall(number string) {
	p.seq++
	p.caller = true
	p.callID = fmt.Sprintf("call%d@%s", p.seq, p.name)
	p.local = fmt.Sprintf("<sip:%s@example.org>;tag=%stag", p.name, p.name)
	p.remote = fmt.Sprintf("<sip:%s@example.org>", number)
	p.target = "sip:" + number + "@example.org"
	p.routes = nil
}

// write makes a request of the dialog, or the one that begins it.
func (p *peer) write(method string, seq int, extra, body string) string {
	p.branches++
	var routes strings.Builder
	if p.routes != nil && method != "CANCEL" {
		for _, r := range p.routes {
			routes.WriteString("Route: " + r + "\r\n")
		}
	}
	if !strings.Contains(extra, "Max-Forwards:") {
		extra = "Max-Forwards: 70\r\n" + extra
	}
	return fmt.Sprintf("%s %s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bK%s%d;rport\r\n%s%s"+
		"From: %s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %d %s\r\nContact: <sip:%s@%s>\r\nContent-Length: %d\r\n\r\n%s",
		method, p.target, addrOf(p.name), p.name, p.branches, routes.String(), strings.ReplaceAll(extra, "Max-Forwards: none\r\n", ""),
		p.local, p.remote, p.callID, seq, method, p.name, addrOf(p.name), len(body), body)
}

// derive makes a CANCEL or the ACK to a failure from the last INVITE.
func (p *peer) derive(method, to, extra string) string {
	m := parse(p.sent)
	cseq, _, _ := strings.Cut(m.first("CSeq"), " ")
	_, target, _ := strings.Cut(m.start, " ")
	if to == "" {
		to = m.first("To")
	}
	return fmt.Sprintf("%s %s\r\nVia: %s\r\nMax-Forwards: 70\r\nFrom: %s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %s %s\r\n%sContent-Length: 0\r\n\r\n",
		method, target, m.first("Via"), m.first("From"), to, m.first("Call-ID"), cseq, method, extra)
}

// reply answers a request that arrived.
func (p *peer) reply(m *message, o options) {
	if m == nil {
		p.scene.t.Errorf("%s has nothing to answer", p.name)
		return
	}
	var b strings.Builder
	fmt.Fprintf(&b, "SIP/2.0 %s Text\r\n", o.number)
	for _, name := range []string{"Via", "Record-Route"} {
		for _, v := range m.all(name) {
			fmt.Fprintf(&b, "%s: %s\r\n", name, v)
		}
	}
	to := m.first("To")
	if m.tag("To") == "" && o.number != "100" {
		to += ";tag=" + p.name + "tag"
	}
	fmt.Fprintf(&b, "From: %s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %s\r\nContact: <sip:%s@%s>\r\n%sContent-Length: %d\r\n\r\n%s",
		m.first("From"), to, m.first("Call-ID"), m.first("CSeq"), p.name, addrOf(p.name), o.extra, len(o.body), o.body)
	p.send(o.via, b.String())
}
