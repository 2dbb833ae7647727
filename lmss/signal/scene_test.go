package signal

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emiago/sipgo/sip"

	"github.com/mss-federation/mss/lmss/registrar"
	"github.com/mss-federation/mss/pkg/network"
	"github.com/mss-federation/mss/pkg/network/memnet"
)

// scene is a conversation on an in-memory network: scripted phones around one site. Phone A is 192.0.2.1,
// B 192.0.2.2 and so on; they are the users 4001, 4002, …, known by their address.
type scene struct {
	t         *testing.T
	net       *memnet.Net
	site      netip.AddrPort
	registrar *registrar.Registrar
	phones    map[string]*phone
	out       bytes.Buffer
	mu        sync.Mutex
	pending   []heard
	names     map[string]string // tags and session ids, in order of appearance
}

// phone is a raw UDP socket that a script drives.
type phone struct {
	scene   *scene
	name    string
	number  string
	conn    network.PacketConn
	addr    netip.AddrPort
	deaf    bool // reads nothing: messages to it are lost
	seq     int
	asked   int // CSeq of the last INVITE sent
	branch  int
	callID  string
	ours    string // our From or To value with tag
	theirs  string
	target  string
	invite  *sip.Request // the last INVITE received
	sent    string       // the last INVITE sent, for CANCEL and repetition
	sdp     int          // version of our SDP
	caller  bool
	pings   int    // CRLF pings that came
	failure string // To of the last failure of our INVITE
	replyTo map[string]*sip.Request
	contact string            // the host that its Contact shows, empty for its address
	as      string            // the To tag of further answers, if it is another
	hub     *hub              // nil for a phone
	heard   func(sip.Message) // may be nil
}

func newScene(t *testing.T, site netip.AddrPort) *scene {
	t.Helper()
	return &scene{
		t: t, net: memnet.New(memnet.Options{Delay: time.Millisecond}), site: site,
		phones: map[string]*phone{}, names: map[string]string{},
	}
}

// phone finds or makes the phone of that letter.
func (s *scene) phone(name string) *phone {
	if p := s.phones[name]; p != nil {
		return p
	}
	i := int(name[0]-'A') + 1
	addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), 5060)
	conn, err := s.net.Host(addr.Addr()).ListenUDP(context.Background(), addr)
	if err != nil {
		s.t.Fatal(err)
	}
	p := &phone{scene: s, name: name, number: strconv.Itoa(4000 + i), conn: conn, addr: addr, replyTo: map[string]*sip.Request{}}
	s.phones[name] = p
	go p.listen()
	return p
}

func (s *scene) close() {
	for _, p := range s.phones {
		if p.hub != nil {
			p.hub.die()
			p.hub.running.Wait()
			continue
		}
		_ = p.conn.Close()
	}
}

// symbol gives a random value a stable short name.
func (s *scene) symbol(kind, value string) string {
	if value == "" {
		return "-"
	}
	if n := s.names[kind+value]; n != "" {
		return n
	}
	n := kind + strconv.Itoa(1+len(slices.Collect(func(yield func(string) bool) {
		for k := range s.names {
			if strings.HasPrefix(k, kind) && !yield(k) {
				return
			}
		}
	})))
	s.names[kind+value] = n
	return n
}

// say adds a line of the script's own.
func (s *scene) say(format string, args ...any) {
	fmt.Fprintf(&s.out, format+"\n", args...)
}

// heard is a message that reached a phone. What arrives at several phones at the same moment is sorted by
// phone: the order of sockets is nobody's promise.
type heard struct {
	at    time.Time
	phone string
	msg   described
	text  string // what happened, where it was no message
}

func (s *scene) flush() {
	slices.SortStableFunc(s.pending, func(a, b heard) int {
		return cmp.Or(a.at.Compare(b.at), strings.Compare(a.phone, b.phone))
	})
	for _, h := range s.pending {
		if h.msg == nil {
			s.say("%s <- %s", h.phone, h.text)
			continue
		}
		more := ""
		if s.phones[h.phone].hub != nil {
			more = s.hubWords(h.msg)
		}
		switch m := h.msg.(type) {
		case *sip.Request:
			s.say("%s <- %s%s%s", h.phone, m.Method, s.describe(m), more)
		case *sip.Response:
			s.say("%s <- %d %s%s%s", h.phone, m.StatusCode, m.Reason, s.describe(m), more)
		}
	}
	s.pending = nil
}

// listen prints what arrives and keeps what later commands answer.
func (p *phone) listen() {
	buf := make([]byte, 65536)
	for {
		n, _, err := p.conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		if p.deaf {
			continue
		}
		if string(buf[:n]) == "\r\n\r\n" {
			p.scene.mu.Lock()
			p.pings++
			p.scene.mu.Unlock()
			continue
		}
		msg, err := sip.ParseMessage(bytes.Clone(buf[:n]))
		if err != nil {
			continue
		}
		p.scene.mu.Lock()
		p.take(msg)
		p.scene.mu.Unlock()
	}
}

func (p *phone) take(msg sip.Message) {
	p.scene.pending = append(p.scene.pending, heard{at: time.Now(), phone: p.name, msg: msg.(described)})
	switch m := msg.(type) {
	case *sip.Request:
		p.request(m)
	case *sip.Response:
		p.response(m)
	}
	if p.heard != nil {
		p.heard(msg)
	}
}

func (p *phone) request(m *sip.Request) {
	p.replyTo[string(m.Method)] = m
	if m.Method != sip.INVITE {
		return
	}
	if p.replyTo["FIRST"] == nil {
		p.replyTo["FIRST"] = m
	}
	p.replyTo["INVITE"+strconv.Itoa(int(m.CSeq().SeqNo))] = m
	p.invite = m
	if _, inDialog := m.To().Params.Get("tag"); !inDialog {
		p.callID, p.caller = m.CallID().Value(), false
		p.ours = m.To().Value() + ";tag=" + p.tag()
		p.theirs = m.From().Value()
		p.seq = 100
	}
	p.target = m.Contact().Address.String()
}

func (p *phone) response(m *sip.Response) {
	if m.CSeq().MethodName == sip.INVITE && m.StatusCode >= 300 {
		p.failure = m.To().Value()
		return
	}
	if m.CSeq().MethodName == sip.INVITE && p.caller {
		if _, ok := m.To().Params.Get("tag"); ok {
			p.theirs = m.To().Value()
		}
	}
	if c := m.Contact(); c != nil {
		p.target = c.Address.String()
	}
}

// tag is what the phone puts into its To. What answers behind the hubs is one site, whichever hub its answer takes.
func (p *phone) tag() string {
	if p.as != "" {
		return p.as
	}
	if p.hub != nil {
		return "Htag"
	}
	return p.name + "tag"
}

// describe is what a reader of the transcript wants to know of a message.
func (s *scene) describe(m described) string {
	var b strings.Builder
	if c := m.CSeq(); c != nil {
		if req, ok := m.(*sip.Request); ok {
			fmt.Fprintf(&b, " %s", req.Recipient.String())
		}
		fmt.Fprintf(&b, " (%d %s)", c.SeqNo, c.MethodName)
	}
	tag, _ := m.To().Params.Get("tag")
	fmt.Fprintf(&b, " to=%s", s.symbol("t", tag))
	for _, name := range []string{"Reason", "Retry-After", "Allow", "Accept", "Unsupported", "Warning", "Date", "Subject", "X-Secret", "P-Asserted-Identity"} {
		if h := m.GetHeader(name); h != nil {
			fmt.Fprintf(&b, " %s=%q", name, h.Value())
		}
	}
	if body := string(m.Body()); body != "" {
		fmt.Fprintf(&b, " %s", sdpWord(body))
	}
	return b.String()
}

// sdpWord sums up a body: who describes the voice, its direction and o= version.
func sdpWord(body string) string {
	if !strings.HasPrefix(body, "v=0") {
		return fmt.Sprintf("body=%q", body)
	}
	var word []string
	for line := range strings.Lines(body) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "o="):
			if f := strings.Fields(line); len(f) == 6 {
				word = append(word, "v"+f[2])
			}
		case strings.HasPrefix(line, "c="):
			word = append(word, strings.TrimPrefix(line, "c=IN IP4 "))
		case strings.HasPrefix(line, "m="):
			word = append(word, strings.TrimPrefix(line, "m="))
		case line == "a=sendonly" || line == "a=recvonly" || line == "a=inactive":
			word = append(word, line[2:])
		}
	}
	return "sdp[" + strings.Join(word, " ") + "]"
}

// offer is the phone's SDP.
func (p *phone) offer(direction string) string {
	p.sdp++
	return fmt.Sprintf("v=0\r\no=- 7 %d IN IP4 %s\r\ns=-\r\nc=IN IP4 %s\r\nt=0 0\r\nm=audio %d RTP/AVP 8 101\r\n"+
		"a=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\na=%s\r\n",
		p.sdp, p.addr.Addr(), p.addr.Addr(), 20000+int(p.name[0]), direction)
}

func (p *phone) send(text string) {
	if p.hub != nil {
		p.hub.send(text)
		return
	}
	if _, err := p.conn.WriteToUDPAddrPort([]byte(text), p.scene.site); err != nil {
		p.scene.t.Error(err)
	}
}

// write makes a request outside or inside the phone's dialog.
func (p *phone) write(method, uri string, seq int, extra, contentType, body string) string {
	p.branch++
	if contentType != "" {
		extra += "Content-Type: " + contentType + "\r\n"
	}
	transport := "UDP"
	if p.hub != nil {
		transport = "TLS"
		extra += p.hub.recordRoute(false)
	}
	return fmt.Sprintf("%s %s SIP/2.0\r\nVia: SIP/2.0/%s %s;branch=z9hG4bK%s%d;rport\r\nMax-Forwards: 70\r\n"+
		"From: %s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %d %s\r\nContact: <sip:%s@%s>\r\n%sContent-Length: %d\r\n\r\n%s",
		method, uri, transport, p.addr, p.name, p.branch, p.ours, p.theirs, p.callID, seq, strings.TrimPrefix(method, "re"),
		p.number, p.addr, extra, len(body), body)
}

// reply answers a request that arrived.
func (p *phone) reply(req *sip.Request, status int, extra, body string) {
	if req == nil {
		p.scene.t.Fatalf("%s has nothing to answer", p.name)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "SIP/2.0 %d %s\r\n", status, "Text")
	for _, h := range req.GetHeaders("Via") {
		fmt.Fprintf(&b, "Via: %s\r\n", h.Value())
	}
	if p.hub != nil {
		extra += p.hub.recordRoute(true)
	}
	to := req.To().Value()
	if _, tagged := req.To().Params.Get("tag"); !tagged && status > 100 {
		to += ";tag=" + p.tag()
	}
	fmt.Fprintf(&b, "From: %s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %s\r\nContact: <sip:%s@%s>\r\n%s",
		req.From().Value(), to, req.CallID().Value(), req.CSeq().Value(), p.number, cmp.Or(p.contact, p.addr.String()), extra)
	if body != "" {
		b.WriteString("Content-Type: application/sdp\r\n")
	}
	fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(body), body)
	p.send(b.String())
}

// settle lets everything happen that happens without waiting.
func settle() {
	synctest.Wait()
	<-time.After(20 * time.Millisecond)
	synctest.Wait()
}

// described is a request or a response.
type described interface {
	sip.Message
	GetHeader(name string) sip.Header
	GetHeaders(name string) []sip.Header
}

// pinged is the number of pings so far.
func (p *phone) pinged() int {
	p.scene.mu.Lock()
	defer p.scene.mu.Unlock()
	return p.pings
}
