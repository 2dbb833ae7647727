package signal

import (
	"fmt"
	"strconv"
	"time"

	"github.com/emiago/sipgo/sip"
)

// What a robot does with what it hears: mostly what the RFCs say, sometimes what phones do.

func (p *robot) find(callID, ownTag string) *talk {
	for _, t := range p.talks {
		if t.callID == callID && t.ownTag == ownTag {
			return t
		}
	}
	return nil
}

func (p *robot) request(req *sip.Request) {
	key := transactionKey(req)
	if req.Method != sip.ACK {
		if again := p.answers[key]; again != "" {
			p.send(again)
			return
		}
	}
	tag, inDialog := req.To().Params.Get("tag")
	t := p.find(req.CallID().Value(), tag)
	switch {
	case req.Method == sip.ACK:
		p.onAck(req, t)
	case req.Method == sip.CANCEL:
		p.onCancel(req)
	case req.Method == sip.INVITE && !inDialog:
		p.onInvite(req)
	case t == nil:
		p.answer(req, 481, "", "") // of a fork that we played ourselves, or unknown
	case t.over && req.Method != sip.BYE:
		p.answer(req, 481, "", "")
	case req.Method == sip.INVITE:
		p.onReinvite(t, req)
	case req.Method == sip.BYE:
		p.onBye(t, req)
	default:
		if p.chance(8) {
			return // never answered
		}
		p.answer(req, 200, "", "")
	}
}

// onInvite takes a call; the main loop or a second look decides.
func (p *robot) onInvite(req *sip.Request) {
	for _, t := range p.talks {
		if t.callID == req.CallID().Value() && !t.caller {
			return // repeated, and nothing was answered yet
		}
	}
	ownTag := fmt.Sprintf("%st%d", p.name, len(p.talks))
	t := &talk{
		callID: req.CallID().Value(), ownTag: ownTag, local: req.To().Value() + ";tag=" + ownTag, remote: req.From().Value(),
		target: req.Contact().Address.String(), seq: 100, asked: req, invite: req, heardAt: time.Now(),
		acks: map[uint32]string{}, answered: map[uint32]bool{},
	}
	p.talks = append(p.talks, t)
	if p.chance(6) {
		return // not even 100
	}
	p.answer(req, []int{100, 180, 183, 180}[p.dice.IntN(4)], ownTag, "")
	if p.polite {
		p.later(2*time.Second, func() { p.decline(t, 486) })
	}
}

func (p *robot) decline(t *talk, status int) {
	if t.asked == nil {
		return
	}
	req := t.asked
	t.asked = nil
	if !t.up && !t.over {
		p.end(t)
		t.rejected = true
	}
	p.answer(req, status, t.ownTag, "")
}

// accept answers the open INVITE with 200.
func (p *robot) accept(t *talk) {
	if t.asked == nil {
		return
	}
	req := t.asked
	t.asked = nil
	t.up = true
	seq := req.CSeq().SeqNo
	if _, done := t.answered[seq]; !done {
		t.answered[seq] = false
	}
	p.answer(req, 200, t.ownTag, p.offer(t, "sendrecv"))
}

func (p *robot) onReinvite(t *talk, req *sip.Request) {
	t.target = req.Contact().Address.String()
	if t.asked != nil {
		p.answer(req, 500, "", "")
		return
	}
	if t.awaits {
		p.answer(req, 491, "", "")
		return
	}
	t.asked = req
	react := func() {
		switch {
		case t.asked != req:
		case p.chance(4):
			p.decline(t, []int{488, 491, 500, 603, 481, 408, 302, 401, 503}[p.dice.IntN(9)])
		default:
			p.accept(t)
		}
	}
	switch {
	case p.chance(3):
		p.answer(req, 100, "", "")
		p.later(time.Duration(p.dice.IntN(5000))*time.Millisecond, react)
	case p.chance(8):
		p.later(40*time.Second, react)
	default:
		react()
	}
}

func (p *robot) onAck(req *sip.Request, t *talk) {
	if t == nil {
		// An ACK to a failure has its INVITE's branch; to a 2xx of a fork that we played, nobody's.
		p.settle("answer" + transactionKeyOf(req, "INVITE"))
		return
	}
	seq := req.CSeq().SeqNo
	if _, ours := t.answered[seq]; ours {
		t.answered[seq] = true
	} else if !t.late && p.answers[transactionKeyOf(req, "INVITE")] == "" {
		p.m.fail("%s gets an ACK to CSeq %d, which it did not accept", p.name, seq)
	}
	for key := range p.repeats {
		if len(key) > 6 && key[:6] == "answer" && p.repeats[key] != nil && seqOf(p.repeats[key].msg) == strconv.Itoa(int(seq))+" INVITE" && callIDOf(p.repeats[key].msg) == t.callID {
			p.settle(key)
		}
	}
}

func transactionKeyOf(req *sip.Request, method string) string {
	branch, _ := req.Via().Params.Get("branch")
	return branch + method
}

func seqOf(msg string) string {
	if m, err := sip.ParseMessage([]byte(msg)); err == nil {
		if d, ok := m.(described); ok {
			return d.CSeq().Value()
		}
	}
	return ""
}

func callIDOf(msg string) string {
	if m, err := sip.ParseMessage([]byte(msg)); err == nil {
		if d, ok := m.(described); ok {
			return d.CallID().Value()
		}
	}
	return ""
}

func (p *robot) onCancel(req *sip.Request) {
	var t *talk
	for _, one := range p.talks {
		if one.callID == req.CallID().Value() && one.asked != nil && transactionKey(one.asked) == transactionKeyOf(req, "INVITE") {
			t = one
		}
	}
	p.answer(req, 200, p.name+"cancel", "")
	if t == nil {
		return
	}
	switch {
	case p.chance(6):
		p.accept(t) // the 200 crosses the CANCEL
	case p.chance(12):
		// never ends: the CANCEL's own timer does
		t.asked = nil
		p.end(t)
	default:
		p.decline(t, 487)
	}
}

func (p *robot) onBye(t *talk, req *sip.Request) {
	if t.asked != nil {
		p.decline(t, 487)
	}
	p.end(t)
	if p.chance(6) {
		p.answer(req, 481, "", "")
		return
	}
	p.answer(req, 200, "", "")
}

func (p *robot) end(t *talk) {
	if !t.over {
		t.over, t.endedAt = true, time.Now()
	}
	t.up = false
}

func (p *robot) response(res *sip.Response) {
	branch, _ := res.Via().Params.Get("branch")
	method := string(res.CSeq().MethodName)
	tag, _ := res.From().Params.Get("tag")
	t := p.find(res.CallID().Value(), tag)
	if t == nil {
		return
	}
	if res.StatusCode >= 200 || method == "INVITE" {
		p.settle(branch + method)
	}
	if method == "INVITE" {
		p.inviteAnswered(t, res, branch)
	}
}

func (p *robot) inviteAnswered(t *talk, res *sip.Response, branch string) {
	seq := res.CSeq().SeqNo
	if res.StatusCode < 200 {
		if branch == t.inviteBranch {
			t.provisional = true
			if _, tagged := res.To().Params.Get("tag"); tagged && !t.up {
				t.remote = res.To().Value()
				if c := res.Contact(); c != nil {
					t.target = c.Address.String()
				}
			}
			if t.cancelled {
				p.sendCancel(t)
			}
		}
		return
	}
	if res.StatusCode >= 300 {
		if branch == t.inviteBranch {
			p.failureAck(t, res)
			if t.awaits {
				t.awaits = false
				if !t.up && !t.over {
					p.end(t)
					t.rejected = true
				}
			}
		}
		return
	}
	if ack, done := t.acks[seq]; done {
		if ack != "" {
			p.send(ack)
		}
		return
	}
	if branch != t.inviteBranch {
		return
	}
	t.awaits = false
	t.remote = res.To().Value()
	if c := res.Contact(); c != nil {
		t.target = c.Address.String()
	}
	gone := t.over || t.hungUp
	if gone {
		p.end(t)
	} else {
		t.up = true
	}
	p.acknowledge(t, seq)
	if t.cancelled && !gone {
		p.hangUp(t)
	}
}

// acknowledge sends the ACK to a 2xx, late or never if that is this phone's way.
func (p *robot) acknowledge(t *talk, seq uint32) {
	body := ""
	if t.offerless && !p.chance(6) {
		body = p.offer(t, "sendrecv")
	}
	t.acks[seq] = ""
	send := func() {
		t.acks[seq] = p.compose(t, "ACK", seq, p.newBranch(), t.remote, "", body)
		p.send(t.acks[seq])
	}
	switch {
	case p.polite, t.ackMode == ackNormal:
		send()
	case t.ackMode == ackLate:
		p.later(time.Duration(p.dice.IntN(6000))*time.Millisecond, send)
	}
}

func (p *robot) failureAck(t *talk, res *sip.Response) {
	p.derive(t, "ACK", res.To().Value())
}
