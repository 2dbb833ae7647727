package signal

import (
	"bytes"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"

	"github.com/mss-federation/mss/lmss/cdr"
)

// wiretap looks at what the site sends, in the order of sending.
type wiretap struct {
	m     *model
	calls map[string]*watched // by Call-ID
}

// watched is what was seen of one dialog.
type watched struct {
	tag        string          // our To tag as the called side
	answer     []byte          // SDP in the first INVITE's answers
	seq        uint32          // of our last request
	shown      string          // all SDP that we sent, for whom the caller was told to talk to
	acked      map[uint32]bool // by CSeq: an ACK to a 2xx left
	branches   map[string]bool // of our requests
	final      int             // first final to the first INVITE
	answeredAt time.Time       // when that was a 2xx
}

func (w *wiretap) call(id string) *watched {
	if w.calls[id] == nil {
		w.calls[id] = &watched{branches: map[string]bool{}, acked: map[uint32]bool{}}
	}
	return w.calls[id]
}

func (w *wiretap) sent(msg sip.Message, to netip.AddrPort) {
	w.m.log("   site -> %c %s", 'A'+to.Addr().As4()[3]-1, brief(msg))
	d, _ := msg.(described)
	w.call(d.CallID().Value()).shown += string(msg.Body())
	switch msg := msg.(type) {
	case *sip.Request:
		w.request(msg, w.m.robots[int(to.Addr().As4()[3])-1])
	case *sip.Response:
		w.response(msg, to)
	}
}

// request checks that the CSeq of new requests grows.
func (w *wiretap) request(req *sip.Request, p *robot) {
	branch, _ := req.Via().Params.Get("branch")
	tag, _ := req.From().Params.Get("tag")
	c := w.call(req.CallID().Value() + tag + toTag(req))
	if req.Method == sip.ACK {
		w.call(req.CallID().Value()).acked[req.CSeq().SeqNo] = true
	}
	w.early(req, p)
	if t := p.find(req.CallID().Value(), toTag(req)); t != nil && t.over && req.Method == sip.BYE {
		return // a dialog that its phone brought up again when all was forgotten is ended again
	}
	if req.Method == sip.ACK || req.Method == sip.CANCEL || c.branches[branch] {
		return
	}
	c.branches[branch] = true
	if req.CSeq().SeqNo <= c.seq {
		w.m.fail("%s has CSeq %d after %d", req.Method, req.CSeq().SeqNo, c.seq)
	}
	c.seq = req.CSeq().SeqNo
}

// early checks that no BYE goes to a caller who has not acknowledged its 2xx (RFC 3261 §15).
func (w *wiretap) early(req *sip.Request, p *robot) {
	t := p.find(req.CallID().Value(), toTag(req))
	answered := w.call(req.CallID().Value()).answeredAt
	if req.Method != sip.BYE || t == nil || !t.caller || t.over || t.acks[1] != "" || t.seq > 1 || answered.IsZero() {
		return
	}
	if since := time.Since(answered); since < 31*time.Second {
		w.m.fail("BYE to a caller %v after its 200, which it has not acknowledged", since)
	}
}

func toTag(req *sip.Request) string { tag, _ := req.To().Params.Get("tag"); return tag }

// response checks To tag, SDP answer and status towards a caller.
func (w *wiretap) response(res *sip.Response, to netip.AddrPort) {
	m := w.m
	p := m.robots[int(to.Addr().As4()[3])-1]
	tag, _ := res.From().Params.Get("tag")
	t := p.find(res.CallID().Value(), tag)
	w.status(res)
	if t == nil || !t.caller || res.CSeq().MethodName != sip.INVITE || res.CSeq().SeqNo != 1 || res.StatusCode == 100 {
		return
	}
	c := w.call(res.CallID().Value())
	own, _ := res.To().Params.Get("tag")
	if c.tag == "" {
		c.tag = own
	}
	if own != c.tag {
		m.fail("a caller sees To tag %s after %s", own, c.tag)
	}
	if res.StatusCode >= 200 {
		if c.final == 0 {
			c.final, c.answeredAt = res.StatusCode, time.Now()
		} else if c.final != res.StatusCode {
			m.fail("a caller gets %d after %d", res.StatusCode, c.final)
		}
	} else if c.final != 0 {
		m.fail("a caller gets %d after %d", res.StatusCode, c.final)
	}
	if body := res.Body(); len(body) > 0 {
		if c.answer != nil && !bytes.Equal(c.answer, body) {
			m.fail("a caller gets a second SDP answer\n%s\nafter\n%s", body, c.answer)
		}
		c.answer = body
	} else if res.StatusCode/100 == 2 {
		m.fail("a 200 without SDP")
	} else if c.answer != nil && res.StatusCode < 200 {
		m.fail("a provisional answer lost its SDP")
	}
}

// status checks that a 5xx has a reason: a phone's, the relay's or the asker's own.
func (w *wiretap) status(res *sip.Response) {
	m := w.m
	if code := res.StatusCode; code/100 == 3 || code == 401 || code == 407 {
		m.fail("a %d of a far phone reaches the other", code)
	}
	switch {
	case res.StatusCode < 500 || res.StatusCode >= 600:
	case res.Reason == "CSeq Out Of Order":
	case res.GetHeader("Retry-After") != nil && res.StatusCode == 500:
	case res.StatusCode == 503 && m.voice != nil && m.voice.failed:
	case !m.failing:
		m.fail("a %d %s that nobody caused", res.StatusCode, res.Reason)
	}
}

// verify looks at what is left when everything should be over.
func (m *model) verify() {
	for _, r := range m.office.runners {
		if calls, legs := r.Sizes(); calls != 0 || legs != 0 {
			m.fail("%d calls and %d legs are left", calls, legs)
		}
	}
	for _, w := range m.office.stack.Stats().Workers {
		if w.Servers != 0 || w.Clients != 0 || w.Panics != 0 {
			m.fail("%d server and %d client transactions are left, %d panics", w.Servers, w.Clients, w.Panics)
		}
	}
	if m.voice != nil && len(m.voice.open) != 0 {
		m.fail("%d voice endpoints are left", len(m.voice.open))
	}
	if m.voice != nil && len(m.voice.groups) != len(m.ledger.closed) {
		m.fail("%d calls had voice, %d have a CDR", len(m.voice.groups), len(m.ledger.closed))
	}
	if len(m.ledger.twice) > 0 {
		m.fail("CDRs written twice: %v", m.ledger.twice)
	}
	for _, p := range m.robots {
		if !p.deaf {
			m.verifyPhone(p)
		}
	}
	for _, r := range m.ledger.closed {
		m.verifyRecord(&r)
	}
}

func (m *model) verifyPhone(p *robot) {
	for i, t := range p.talks {
		if !t.over {
			m.fail("%s: call %d is not over (up %v, awaits %v)", p.name, i, t.up, t.awaits)
		}
		if t.awaits && t.caller && t.inviteSeq == 1 && !t.hungUp {
			m.fail("%s: the INVITE %d of call %d was never answered", p.name, t.inviteSeq, i)
		}
		for seq, acked := range t.answered {
			if !acked && !m.wire.call(t.callID).acked[seq] {
				m.fail("%s: 2xx to CSeq %d of call %d was never acknowledged", p.name, seq, i)
			}
		}
	}
}

// verifyTold checks that a caller whose voice does not pass our relay was told where the winner listens,
// unless the call was short or its caller slow.
func (m *model) verifyTold(r *cdr.Record) {
	p := m.robots[0]
	i := slices.IndexFunc(p.talks, func(t *talk) bool { return t.callID == r.CallID })
	if m.voice != nil || i < 0 || p.talks[i].ackMode != ackNormal || r.EndAt.Sub(r.AnswerAt) < 10*time.Second {
		return
	}
	address, _, _ := strings.Cut(strings.TrimPrefix(r.Destination, "udp "), ":")
	if !strings.Contains(m.wire.call(r.CallID).shown, "IN IP4 "+address+"\r\n") {
		m.fail("the caller of %s never heard of %s", r.CallID, address)
	}
}

// maxApart is how long the two ends of a call may end apart: 64*T1, and a little for the way.
const maxApart = 33 * time.Second

func (m *model) verifyRecord(r *cdr.Record) {
	if r.Termination.Class == "" || r.EndAt.IsZero() {
		m.fail("CDR %s has no end", r.ID)
	}
	if m.voice != nil && !r.AnswerAt.IsZero() && r.EndAt.Before(r.AnswerAt) {
		m.fail("CDR %s ends before its answer", r.ID)
	}
	if r.AnswerAt.IsZero() {
		return
	}
	if r.Termination.Reason == "no voice relay" {
		m.fail("CDR %s: an answered call ended because another phone found no relay", r.ID)
	}
	m.verifyTold(r)
	var ends []time.Time // of the caller and the winner
	for _, p := range m.robots {
		for _, t := range p.talks {
			callee := !t.caller && !t.rejected && len(t.answered) > 0 && slices.Contains(r.LegCallIDs, t.callID) &&
				r.Destination == "udp "+p.addr.String()
			switch {
			case !callee && (!t.caller || t.callID != r.CallID):
				continue
			case p.deaf || t.forked:
				return
			}
			ends = append(ends, t.endedAt)
		}
	}
	if len(ends) > 1 {
		if apart := slices.MaxFunc(ends, time.Time.Compare).Sub(slices.MinFunc(ends, time.Time.Compare)); apart > maxApart {
			m.fail("the ends of call %s ended %v apart", r.CallID, apart)
		}
	}
}

// modelLogger puts the site's own words into the transcript.
func modelLogger(m *model) *slog.Logger {
	return slog.New(slog.NewTextHandler(modelWriter{m}, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
}

type modelWriter struct{ m *model }

func (w modelWriter) Write(b []byte) (int, error) {
	w.m.mu.Lock()
	defer w.m.mu.Unlock()
	w.m.log("   %s", bytes.TrimSpace(b))
	return len(b), nil
}
