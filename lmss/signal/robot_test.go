package signal

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"

	"github.com/mss-federation/mss/pkg/network"
)

// robot is a phone that acts at random. It keeps what a phone must to send mostly legal messages: its
// dialogs, its unanswered requests, which it repeats, and its answers, which it repeats too. Everything is
// guarded by the model's mutex.
type robot struct {
	m       *model
	name    string
	number  string
	conn    network.PacketConn
	addr    netip.AddrPort
	dice    *rand.Rand
	codec   string // PCMA or PCMU
	deaf    bool
	polite  bool // the wild time is over
	branch  int
	talks   []*talk
	answers map[string]string      // the last answer to a request, by branch and method
	repeats map[string]*repetition // what is sent until something comes back
}

// talk is a dialog, or the attempt at one, as a phone sees it.
type talk struct {
	caller        bool
	callID        string
	local, remote string // From or To values; local with tag, remote with tag once known
	ownTag        string
	target        string
	seq           uint32 // of our last request
	invite        *sip.Request
	inviteBranch  string
	inviteSent    string // our open INVITE, for CANCEL and the ACK of a failure
	inviteSeq     uint32
	awaits        bool // our INVITE has no final answer
	provisional   bool // ... but a provisional one
	asked         *sip.Request
	up, over      bool
	rejected      bool // ended by a failure
	endedAt       time.Time
	offerless     bool              // our INVITE had no SDP
	acks          map[uint32]string // our ACKs to 2xx, by CSeq
	answered      map[uint32]bool   // our 2xx, by CSeq: whether it was ACKed
	ackMode       int
	cancelled     bool
	hungUp        bool
	sdp           int
	forked        bool      // we also answered as another phone would, which then knows nothing
	heardAt       time.Time // when the first INVITE came
	late          bool      // we sent a 200 after the end
	sentAt        time.Time // when our INVITE was first sent: a copy after 64*T1 would be a new one
}

const (
	ackNormal = iota
	ackLate
	ackNever
)

type repetition struct {
	msg   string
	next  time.Duration
	timer *time.Timer
	until time.Time
}

func (p *robot) listen() {
	buf := make([]byte, 65536)
	for {
		n, _, err := p.conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		msg, err := sip.ParseMessage(bytes.Clone(buf[:n]))
		if err != nil {
			continue
		}
		p.m.mu.Lock()
		if !p.deaf {
			p.m.log("%s <- %s", p.name, brief(msg))
			switch msg := msg.(type) {
			case *sip.Request:
				p.request(msg)
			case *sip.Response:
				p.response(msg)
			}
		}
		p.m.mu.Unlock()
	}
}

func (p *robot) send(msg string) {
	if p.deaf {
		return
	}
	p.m.log("%s -> %s", p.name, firstLine(msg))
	if _, err := p.conn.WriteToUDPAddrPort([]byte(msg), p.m.site); err != nil {
		p.m.fail("%s cannot send: %v", p.name, err)
	}
}

// repeat sends a message now and again, with doubling gaps, until it is settled or 64*T1 are over.
func (p *robot) repeat(key, msg string) {
	r := &repetition{msg: msg, next: 500 * time.Millisecond, until: time.Now().Add(32 * time.Second)}
	p.settle(key)
	p.repeats[key] = r
	p.send(msg)
	r.timer = time.AfterFunc(r.next, func() { p.again(key, r) })
}

func (p *robot) again(key string, r *repetition) {
	p.m.mu.Lock()
	defer p.m.mu.Unlock()
	if p.repeats[key] != r {
		return
	}
	if p.deaf || time.Now().After(r.until) {
		delete(p.repeats, key)
		return
	}
	p.send(r.msg)
	r.next = min(2*r.next, 4*time.Second)
	r.timer = time.AfterFunc(r.next, func() { p.again(key, r) })
}

func (p *robot) settle(key string) {
	if r := p.repeats[key]; r != nil {
		r.timer.Stop()
		delete(p.repeats, key)
	}
}

// later acts after a while, unless the phone is gone by then.
func (p *robot) later(d time.Duration, fn func()) {
	time.AfterFunc(d, func() {
		p.m.mu.Lock()
		defer p.m.mu.Unlock()
		if !p.deaf && !p.m.closed {
			fn()
		}
	})
}

// chance is true once in n, and never when the wild time is over.
func (p *robot) chance(n int) bool { return !p.polite && p.dice.IntN(n) == 0 }

func (p *robot) newBranch() string {
	p.branch++
	return "z9hG4bK" + p.name + strconv.Itoa(p.branch)
}

// offer is SDP whose o= version says which description of the phone it is.
func (p *robot) offer(t *talk, direction string) string {
	t.sdp++
	return fmt.Sprintf("v=0\r\no=- 7 %d IN IP4 %s\r\ns=-\r\nc=IN IP4 %s\r\nt=0 0\r\nm=audio %d RTP/AVP %s\r\na=%s\r\n",
		t.sdp, p.addr.Addr(), p.addr.Addr(), 20000+int(p.name[0])*2, p.codec, direction)
}

// compose writes a request in a talk.
func (p *robot) compose(t *talk, method string, seq uint32, branch, to, extra, body string) string {
	if body != "" {
		extra += "Content-Type: application/sdp\r\n"
	}
	return fmt.Sprintf("%s %s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=%s;rport\r\nMax-Forwards: 70\r\n"+
		"From: %s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %d %s\r\nContact: <sip:%s@%s>\r\n%sContent-Length: %d\r\n\r\n%s",
		method, t.target, p.addr, branch, t.local, to, t.callID, seq, method, p.number, p.addr, extra, len(body), body)
}

// reply writes an answer to a request and remembers it for its repetitions.
func (p *robot) reply(req *sip.Request, status int, tag, body string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "SIP/2.0 %d Text\r\n", status)
	for _, h := range req.GetHeaders("Via") {
		fmt.Fprintf(&b, "Via: %s\r\n", h.Value())
	}
	to := req.To().Value()
	if _, tagged := req.To().Params.Get("tag"); !tagged && status > 100 {
		to += ";tag=" + tag
	}
	fmt.Fprintf(&b, "From: %s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %s\r\nContact: <sip:%s@%s>\r\n",
		req.From().Value(), to, req.CallID().Value(), req.CSeq().Value(), p.number, p.addr)
	if body != "" {
		b.WriteString("Content-Type: application/sdp\r\n")
	}
	fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(body), body)
	return b.String()
}

// answer sends a reply; a final one to INVITE is repeated until its ACK.
func (p *robot) answer(req *sip.Request, status int, tag, body string) {
	msg := p.reply(req, status, tag, body)
	key := transactionKey(req)
	p.answers[key] = msg
	p.m.failing = p.m.failing || status/100 == 5
	if req.Method == sip.INVITE && status >= 200 {
		p.repeat("answer"+key, msg)
		return
	}
	p.send(msg)
}

func transactionKey(req *sip.Request) string {
	branch, _ := req.Via().Params.Get("branch")
	return branch + string(req.Method)
}

func firstLine(msg string) string {
	parsed, err := sip.ParseMessage([]byte(msg))
	if err != nil {
		return msg
	}
	return brief(parsed)
}

// brief is a message in one line of the transcript.
func brief(msg sip.Message) string {
	var b strings.Builder
	var branch, from, to string
	switch m := msg.(type) {
	case *sip.Request:
		fmt.Fprintf(&b, "%s", m.Method)
		branch, _ = m.Via().Params.Get("branch")
		from, _ = m.From().Params.Get("tag")
		to, _ = m.To().Params.Get("tag")
	case *sip.Response:
		fmt.Fprintf(&b, "%d %s", m.StatusCode, m.Reason)
		branch, _ = m.Via().Params.Get("branch")
		from, _ = m.From().Params.Get("tag")
		to, _ = m.To().Params.Get("tag")
	}
	d, _ := msg.(described)
	fmt.Fprintf(&b, " (%s) id=%.10s from=%s to=%s %s", d.CSeq().Value(), d.CallID().Value(), from, to, branch)
	if len(msg.Body()) > 0 {
		b.WriteString(" " + sdpWord(string(msg.Body())))
	}
	return b.String()
}
