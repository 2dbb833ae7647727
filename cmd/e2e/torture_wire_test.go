package e2e

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mss-federation/mss/cmd/internal/rig/node"
)

// datagrams is a socket at the port where the answers to a message are sent: that of its top Via, or 5060.
type datagrams struct {
	conn   *net.UDPConn
	local  netip.AddrPort
	remote netip.AddrPort
	seq    int
}

func (r *rack) datagrams(t *testing.T, port uint16) *datagrams {
	t.Helper()
	if port == 0 {
		port = 5060
	}
	local := netip.AddrPortFrom(node.NewAddress(), port)
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(local))
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	return &datagrams{conn: conn, local: local, remote: r.office.UDP()}
}

func (d *datagrams) next() int { d.seq++; return d.seq }

func (d *datagrams) send(t *testing.T, raw []byte) {
	t.Helper()
	_, err := d.conn.WriteToUDPAddrPort(raw, d.remote)
	must(t, err)
}

// receive is the next final answer. It must come from where the message was sent.
func (d *datagrams) receive(t *testing.T) reply {
	t.Helper()
	for {
		if got := d.request(t); got.status/100 != 1 {
			return got
		}
	}
}

// request is the next message of any kind.
func (d *datagrams) request(t *testing.T) reply {
	t.Helper()
	must(t, d.conn.SetReadDeadline(time.Now().Add(10*time.Second)))
	buf := make([]byte, 65536)
	n, from, err := d.conn.ReadFromUDPAddrPort(buf)
	if err != nil {
		t.Fatalf("no answer: %v", err)
	}
	if from != d.remote {
		t.Errorf("answered from %v, not from %v", from, d.remote)
	}
	return newReply(t, buf[:n])
}

// silent wants that nothing has come.
func (d *datagrams) silent(t *testing.T) {
	t.Helper()
	must(t, d.conn.SetReadDeadline(time.Now()))
	buf := make([]byte, 65536)
	if n, _, err := d.conn.ReadFromUDPAddrPort(buf); err == nil {
		t.Errorf("answered with\n%s", buf[:n])
	}
}

// reply is a message from the office, read so that nothing in it is taken amiss: it repeats what it was sent.
type reply struct {
	text   string
	status int // 0 of a request
	lines  []string
}

func newReply(t *testing.T, raw []byte) reply {
	t.Helper()
	head, _, ok := strings.Cut(string(raw), "\r\n\r\n")
	if !ok {
		t.Fatalf("no message: %q", raw)
	}
	m := reply{text: string(raw), lines: strings.Split(head, "\r\n")}
	if words := strings.Fields(m.lines[0]); words[0] == "SIP/2.0" {
		var err error
		m.status, err = strconv.Atoi(words[1])
		must(t, err)
	}
	return m
}

// all gives the values of a header's lines.
func (m reply) all(name string) (values []string) {
	for _, l := range m.lines[1:] {
		if key, value, _ := strings.Cut(l, ":"); strings.EqualFold(key, name) {
			values = append(values, strings.TrimSpace(value))
		}
	}
	return values
}

func (m reply) get(name string) string {
	if all := m.all(name); len(all) > 0 {
		return all[0]
	}
	return ""
}

// tag is the tag parameter of From or To, which is their last but for those that the caller wrote behind it.
func (m reply) tag(name string) string {
	value := m.get(name)
	_, value, _ = strings.Cut(value[strings.LastIndexByte(value, '>')+1:], "tag=")
	value, _, _ = strings.Cut(value, ";")
	return value
}

// ack acknowledges the final answer to an INVITE: in its transaction if it is a failure, which is known by the top Via
// and, without a branch, by the Request-URI (RFC 2543).
func (m reply) ack(invite []byte) []byte {
	via, _, _ := strings.Cut(m.all("via")[0], ";received=")
	uri := strings.Fields(string(invite))[1]
	if m.status < 300 {
		via = "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKack"
	}
	seq, _, _ := strings.Cut(m.get("cseq"), " ")
	return fmt.Appendf(nil, "ACK %s SIP/2.0\r\nVia: %s\r\nFrom: %s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %s ACK\r\nContent-Length: 0\r\n\r\n",
		uri, via, m.get("from"), m.get("to"), m.get("call-id"), seq)
}

// ok answers a request.
func (m reply) ok() []byte {
	return fmt.Appendf(nil, "SIP/2.0 200 OK\r\nVia: %s\r\nFrom: %s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %s\r\nContent-Length: 0\r\n\r\n",
		m.get("via"), m.get("from"), m.get("to"), m.get("call-id"), m.get("cseq"))
}
