package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mss-federation/mss/cmd/internal/rig/node"
	"github.com/mss-federation/mss/cmd/internal/rig/phone"
	"github.com/mss-federation/mss/cmd/internal/rig/sipmsg"
	"github.com/mss-federation/mss/pkg/digest"
)

// TestTorture sends the 49 messages of RFC 4475 and the 12 of RFC 5118, byte for byte, to a running office: over UDP, and
// those about framing over TCP too. Each comes from an address of its own that the office knows as one user's, as the
// RFCs use branches and Call-IDs again. Each has the one outcome that its section asks for, and after each a call works.
func TestTorture(t *testing.T) {
	t.Parallel()
	r := newRack(t)
	for _, row := range slices.Concat(rfc4475Rows, rfc5118Rows) {
		ok := t.Run("RFC "+row.rfc+" "+row.section+" "+row.name, func(t *testing.T) { r.torture(t, row) })
		ok = ok && t.Run("a call after "+row.name, r.call)
		if !ok {
			t.Fatal("an outcome deviates, or no call works any more")
		}
	}
	for _, row := range streamRows {
		ok := t.Run("TCP RFC "+row.rfc+" "+row.section+" "+row.name, func(t *testing.T) { r.stream(t, row) })
		ok = ok && t.Run("a call after "+row.name, r.call)
		if !ok {
			t.Fatal("an outcome deviates, or no call works any more")
		}
	}
	wantCounter(t, r.office, "message_panics", 0)
}

// rack is an office under torture, with two phones that call each other, and those that odd INVITEs ring.
type rack struct {
	office  *node.Node
	a, b    *phone.Phone
	called  map[string]*phone.Phone
	invites chan *sipmsg.Message // what reached the called ones
}

const tortureSecret = "kettle-bridge-torture-lamp"

func newRack(t *testing.T) *rack {
	t.Helper()
	r := &rack{called: map[string]*phone.Phone{}, invites: make(chan *sipmsg.Message, 16)}
	at := netip.AddrPortFrom(node.NewAddress(), 5060)
	var text strings.Builder
	text.WriteString("timers: {next_group: 1s}\nusers:\n")
	for _, u := range users[:2] {
		fmt.Fprintf(&text, "  - {name: %q, password: %q}\n", u.Name, u.Password)
	}
	text.WriteString("  - {name: caller, addresses: [127.64.0.0/10]}\n") // of these each message has its own
	for _, name := range []string{"j.user", "watson", "null-"} {
		fmt.Fprintf(&text, "  - {name: %q, password: %q}\n", name, tortureSecret)
	}
	for _, name := range []string{"user", "UserB"} {
		p, err := phone.New(phone.Options{Name: name, Registrar: at, OnRequest: func(m *sipmsg.Message) bool {
			if m.Method == "INVITE" {
				r.invites <- m
			}
			return false
		}})
		must(t, err)
		t.Cleanup(func() {
			p.Close()
			for _, v := range p.Violations() {
				t.Errorf("phone %s saw: %v", name, v)
			}
		})
		r.called[name] = p
		fmt.Fprintf(&text, "  - {name: %q, password: %q, target: %q}\n", name, tortureSecret, p.Local())
	}
	r.office = startOffice(t, node.Options{Addr: at.Addr(), Port: at.Port(), Extra: text.String()})
	r.a, r.b = register(t, r.office, phone.Options{Name: "4001"}), register(t, r.office, phone.Options{Name: "4002"})
	return r
}

// call is a whole call between two phones that prove their passwords.
func (r *rack) call(t *testing.T) {
	ctx := limit(t)
	out, err := r.a.Dial(ctx, "4002")
	must(t, err)
	in := arrives(t, out, r.b)
	must(t, in.Ring())
	must(t, in.Answer())
	must(t, out.WaitAnswered(ctx))
	must(t, out.Hangup(ctx))
	must(t, in.WaitEnded(ctx))
}

// torture sends a message in one datagram and wants its outcome.
func (r *rack) torture(t *testing.T, row outcome) {
	t.Helper()
	raw := row.read(t)
	conn := r.datagrams(t, row.port)
	before := r.counter(t, row.counted)
	conn.send(t, raw)
	if row.counted != "" {
		eventually(t, row.counted+" to count the message", func() bool { return r.counter(t, row.counted) == before+1 })
		conn.silent(t)
		return
	}
	if row.rings != "" {
		r.rings(t, row, raw, conn)
		return
	}
	got := conn.receive(t)
	if row.registers != "" {
		raw = sign(t, raw, row.registers, got)
		conn.send(t, raw)
		got = conn.receive(t)
	}
	row.check(t, got)
	if slices.Contains([]string{"INVITE", "BYE"}, string(bytes.Fields(raw)[0])) {
		conn.send(t, got.ack(raw))
	}
	if row.registers != "" {
		r.bindings(t, row)
	}
}

// rings wants a phone to ring, to be shown what it may be, and its answer to come back; then the call is ended from there.
func (r *rack) rings(t *testing.T, row outcome, raw []byte, conn *datagrams) {
	t.Helper()
	ctx := limit(t)
	in, err := r.called[row.rings].WaitIncoming(ctx)
	must(t, err)
	row.checkInvite(t, <-r.invites, r.called[row.rings])
	if row.want != 200 {
		must(t, in.Reject(row.want, "Busy Here"))
		got := conn.receive(t)
		row.check(t, got)
		conn.send(t, got.ack(raw))
		return
	}
	must(t, in.Ring())
	must(t, in.Answer())
	got := conn.receive(t)
	row.check(t, got)
	if !strings.Contains(got.text, "c=IN IP4 "+r.office.Addr().String()+"\r\n") {
		t.Errorf("the answer does not name the office's relay:\n%s", got.text)
	}
	conn.send(t, got.ack(raw))
	ended := make(chan error, 1)
	go func() { ended <- in.Hangup(ctx) }()
	bye := conn.request(t)
	if uri := strings.Fields(bye.text)[1]; bye.status != 0 || uri != row.target {
		t.Errorf("hung up with %q, want a BYE to %s", bye.text, row.target)
	}
	conn.send(t, bye.ok())
	must(t, <-ended)
}

// bindings wants what a REGISTER bound, as a later query shows it, and removes it.
func (r *rack) bindings(t *testing.T, row outcome) {
	t.Helper()
	conn := r.datagrams(t, 0)
	ask := func(headers string) reply {
		seq := conn.next()
		raw := fmt.Appendf(nil, "REGISTER sip:example.com SIP/2.0\r\nVia: SIP/2.0/UDP %v;branch=z9hG4bKquery%d\r\nMax-Forwards: 70\r\nFrom: <sip:q@example.com>;tag=q\r\n"+
			"To: <sip:%s@example.com>\r\nCall-ID: query@%v\r\nCSeq: %d REGISTER\r\n%sContent-Length: 0\r\n\r\n", conn.local, seq, row.registers, conn.local, seq, headers)
		conn.send(t, raw)
		conn.send(t, sign(t, raw, row.registers, conn.receive(t)))
		return conn.receive(t)
	}
	var bound []string
	for _, contact := range ask("").all("contact") {
		value, _, _ := strings.Cut(contact, ";expires=")
		bound = append(bound, value)
	}
	if !slices.Equal(bound, row.bound) {
		t.Errorf("%s is bound to %q, want %q", row.registers, bound, row.bound)
	}
	if got := ask("Contact: *\r\nExpires: 0\r\n"); got.status != 200 || got.all("contact") != nil {
		t.Errorf("not removed: %s", got.text)
	}
}

// stream sends a message over a connection of its own and wants all its answers and then the connection's end,
// or that it still can be used.
func (r *rack) stream(t *testing.T, row streamed) {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: node.NewAddress().AsSlice()}}
	conn, err := d.DialContext(limit(t), "tcp", r.office.TCP().String())
	must(t, err)
	defer conn.Close()
	must(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
	raw := row.read(t)
	if row.registers != "" {
		asking := r.datagrams(t, 0)
		asking.send(t, raw)
		raw = sign(t, raw, row.registers, asking.receive(t))
	}
	_, err = conn.Write(raw)
	must(t, err)
	in := bufio.NewReader(conn)
	count := 0
	next := func() reply {
		for {
			msg, err := sipmsg.ReadFrom(in)
			switch {
			case errors.Is(err, sipmsg.ErrPong): // two line ends between messages are a ping
				continue
			case err != nil:
				t.Fatalf("after %d messages: %v", count, err)
			}
			count++
			return newReply(t, msg)
		}
	}
	if slices.Contains(row.answers, 486) {
		in, err := r.called["user"].WaitIncoming(limit(t))
		must(t, err)
		<-r.invites
		must(t, in.Reject(486, "Busy Here"))
	}
	var answers []int
	for len(answers) < len(row.answers) {
		if got := next(); got.status/100 != 1 {
			answers = append(answers, got.status)
		}
	}
	if slices.Sort(answers); !slices.Equal(answers, row.answers) { // messages of different calls keep no order
		t.Errorf("answered with %v, want %v", answers, row.answers)
	}
	if row.closes {
		if rest, err := io.ReadAll(in); err != nil || len(rest) > 0 {
			t.Errorf("instead of the connection's end: %q, %v", rest, err)
		}
		return
	}
	fmt.Fprintf(conn, "OPTIONS sip:%v SIP/2.0\r\nVia: SIP/2.0/TCP %v;branch=z9hG4bKafter\r\nMax-Forwards: 70\r\nFrom: <sip:x@example.com>;tag=x\r\n"+
		"To: <sip:x@example.com>\r\nCall-ID: after@%v\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n", r.office.TCP(), conn.LocalAddr(), conn.LocalAddr())
	if got := next(); got.status != 200 {
		t.Errorf("the next message on the connection is answered with\n%s", got.text)
	}
}

// counter reads a counter of the office; none is 0.
func (r *rack) counter(t *testing.T, name string) int {
	t.Helper()
	if name == "" {
		return 0
	}
	return counterOf(t, r.office, name)
}

func counterOf(t *testing.T, n *node.Node, name string) int {
	t.Helper()
	text, err := n.Ctl(limit(t), "status", "-o", "json")
	must(t, err)
	var status struct {
		Counters []struct {
			Name  string
			Value json.Number
		}
	}
	must(t, json.Unmarshal([]byte(text), &status))
	for _, c := range status.Counters {
		if c.Name == name {
			v, err := strconv.Atoi(c.Value.String())
			must(t, err)
			return v
		}
	}
	t.Fatalf("no counter %s in %s", name, text)
	return 0
}

func wantCounter(t *testing.T, n *node.Node, name string, want int) {
	t.Helper()
	if got := counterOf(t, n, name); got != want {
		t.Errorf("%s is %d, want %d", name, got, want)
	}
}

func (o outcome) read(t *testing.T) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("..", "..", "pkg", "sipgate", "testdata", "rfc"+o.rfc, o.name+".dat"))
	must(t, err)
	return raw
}

// sign adds the proof of a user's password that a 401 asks for. Nothing else of the message changes.
func sign(t *testing.T, raw []byte, user string, challenge reply) []byte {
	t.Helper()
	if challenge.status != 401 {
		t.Fatalf("not challenged but\n%s", challenge.text)
	}
	start, rest, _ := bytes.Cut(raw, []byte("\r\n"))
	words := strings.Fields(string(start))
	proof, err := digest.Answer(challenge.get("www-authenticate"), words[0], words[1], user, tortureSecret, 1, "torture")
	must(t, err)
	return slices.Concat(start, []byte("\r\nAuthorization: "+proof+"\r\n"), rest)
}
