package signal

import (
	"fmt"
	"time"

	"github.com/emiago/sipgo/sip"
)

// What a robot does of its own accord.

// dial starts a call.
func (p *robot) dial(number string) {
	tag := fmt.Sprintf("%st%d", p.name, len(p.talks))
	t := &talk{
		caller: true, callID: fmt.Sprintf("%d-%s@%s", len(p.talks), p.name, p.addr.Addr()), ownTag: tag,
		local:  fmt.Sprintf("<sip:%s@example.org>;tag=%s", p.number, tag),
		remote: "<sip:" + number + "@example.org>", target: "sip:" + number + "@example.org",
		acks: map[uint32]string{}, answered: map[uint32]bool{},
	}
	if p.chance(4) {
		t.ackMode = 1 + p.dice.IntN(2)
	}
	p.talks = append(p.talks, t)
	p.sendInvite(t, p.dice.IntN(5) == 0)
}

// sendInvite starts an INVITE transaction, first or inside the dialog.
func (p *robot) sendInvite(t *talk, offerless bool) {
	t.seq++
	t.inviteSeq, t.inviteBranch, t.sentAt = t.seq, p.newBranch(), time.Now()
	t.awaits, t.provisional, t.offerless = true, false, offerless
	body := ""
	if !offerless {
		direction := "sendrecv"
		if t.up && p.dice.IntN(2) == 0 {
			direction = "sendonly"
		}
		body = p.offer(t, direction)
	}
	t.inviteSent = p.compose(t, "INVITE", t.seq, t.inviteBranch, t.remote, "", body)
	p.repeat(t.inviteBranch+"INVITE", t.inviteSent)
}

// derive sends the CANCEL or the failure's ACK of our INVITE.
func (p *robot) derive(t *talk, method, to string) {
	msg, err := sip.ParseMessage([]byte(t.inviteSent))
	if err != nil {
		p.m.fail("%v", err)
		return
	}
	inv, ok := msg.(*sip.Request)
	if !ok {
		return
	}
	if to == "" {
		to = inv.To().Value()
	}
	text := fmt.Sprintf("%s %s SIP/2.0\r\nVia: %s\r\nMax-Forwards: 70\r\nFrom: %s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %d %s\r\nContent-Length: 0\r\n\r\n",
		method, inv.Recipient.String(), inv.Via().Value(), inv.From().Value(), to, inv.CallID().Value(), inv.CSeq().SeqNo, method)
	if method == "CANCEL" {
		p.repeat(t.inviteBranch+"CANCEL", text)
		return
	}
	p.send(text)
}

func (p *robot) sendCancel(t *talk) {
	if t.awaits && p.repeats[t.inviteBranch+"CANCEL"] == nil {
		p.derive(t, "CANCEL", "")
	}
}

// hangUp sends BYE, also in an early dialog.
func (p *robot) hangUp(t *talk) {
	if t.hungUp {
		return
	}
	t.hungUp = true
	t.seq++
	branch := p.newBranch()
	p.repeat(branch+"BYE", p.compose(t, "BYE", t.seq, branch, t.remote, "", ""))
	if t.asked != nil {
		p.decline(t, 487)
	}
	if t.up || t.caller {
		p.end(t)
	}
}

// wild does one thing, legal more often than not.
func (p *robot) wild() {
	if p.deaf {
		return
	}
	if p.name == "A" && p.chance(len(p.talks)+1) && len(p.talks) < 3 {
		p.dial([]string{"4002", "4006", "4006", "4006", "4099"}[p.dice.IntN(5)])
		return
	}
	if len(p.talks) == 0 {
		return
	}
	t := p.talks[len(p.talks)-1-p.dice.IntN(min(2, len(p.talks)))]
	switch {
	case t.caller && !t.up && !t.over:
		p.wildCaller(t)
	case t.asked != nil && !t.up:
		p.wildCallee(t)
	case t.up:
		p.wildInCall(t)
	default:
		p.wildAfter(t)
	}
}

func (p *robot) wildCaller(t *talk) {
	switch n := p.dice.IntN(10); {
	case n < 4:
		// waits
	case n < 6:
		t.cancelled = true
		if t.provisional || p.chance(3) {
			p.sendCancel(t)
		}
	case n < 7:
		p.copyInvite(t)
	case n < 8 && t.provisional && t.remote[len(t.remote)-1] != '>':
		p.hangUp(t)
		t.over = false // the INVITE's final answer ends it
	case n < 9:
		p.strange(t)
	default:
		if p.chance(8) {
			p.vanish()
		}
	}
}

func (p *robot) wildCallee(t *talk) {
	switch n := p.dice.IntN(20); {
	case n < 5:
		p.answer(t.asked, []int{100, 180, 180, 182, 183}[n], t.ownTag, "")
	case n < 7:
		p.answer(t.asked, 183, t.ownTag, p.offer(t, "sendrecv"))
	case n < 8:
		p.answer(t.asked, 180, t.ownTag+"x", "") // of another fork downstream
	case n < 12:
		p.accept(t)
	case n < 13:
		req := t.asked
		p.accept(t)
		t.forked = true
		p.send(p.reply(req, 200, t.ownTag+"y", p.offer(t, "sendrecv"))) // of two forks downstream
	case n < 14:
		req := t.asked
		t.asked, t.up = nil, true
		t.answered[req.CSeq().SeqNo] = false
		p.answer(req, 200, t.ownTag, "") // without SDP
	case n < 18:
		p.decline(t, []int{302, 404, 408, 480, 486, 487, 500, 503, 600, 603, 401}[p.dice.IntN(11)])
	case n < 19:
		p.hangUp(t) // a callee may not, in an early dialog
	default:
		if p.chance(3) {
			p.vanish()
		}
	}
}

func (p *robot) wildInCall(t *talk) {
	switch n := p.dice.IntN(20); {
	case n < 3:
		p.hangUp(t)
	case n < 9 && !t.awaits && (t.asked == nil || p.chance(3)):
		p.sendInvite(t, p.dice.IntN(5) == 0)
	case n < 11 && t.awaits:
		p.sendCancel(t)
	case n < 12:
		p.ask(t, "INFO", t.seq+1, t.remote)
	case n < 13:
		p.ask(t, "OPTIONS", t.seq+1, t.remote)
	case n < 16:
		p.strange(t)
	case n < 17:
		if t.asked != nil {
			p.accept(t)
		}
	case n < 18:
		for _, ack := range t.acks {
			if ack != "" {
				p.send(ack)
			}
		}
	default:
		if p.chance(8) {
			p.vanish()
		}
	}
}

// copyInvite sends our INVITE again, while a copy still belongs to the same transaction: a phone that got
// its final answer has no reason to, but the network may.
func (p *robot) copyInvite(t *talk) {
	if t.inviteSent != "" && time.Since(t.sentAt) < 30*time.Second && (!t.over || time.Since(t.endedAt) < 4*time.Second) {
		p.send(t.inviteSent)
	}
}

// wildAfter plays with a call that is over.
func (p *robot) wildAfter(t *talk) {
	switch p.dice.IntN(6) {
	case 0:
		p.strange(t)
	case 1:
		p.ask(t, "INFO", t.seq+1, t.remote)
	case 2:
		if t.invite != nil && time.Since(t.heardAt) < 30*time.Second {
			t.late = true
			p.send(p.reply(t.invite, 200, t.ownTag, p.offer(t, "sendrecv"))) // a final after the end
		}
	case 3:
		if t.invite != nil {
			p.send(p.reply(t.invite, 486, t.ownTag, ""))
		}
	case 4:
		p.copyInvite(t)
	}
}

// strange sends what no phone should.
func (p *robot) strange(t *talk) {
	if p.polite {
		return
	}
	switch p.dice.IntN(5) {
	case 0:
		p.ask(t, "OPTIONS", max(t.seq, 2)-1, t.remote) // an old CSeq
	case 1:
		p.ask(t, "BYE", t.seq+1, "<sip:x@example.org>;tag=wrong")
	case 2:
		p.ask(t, "OPTIONS", t.seq+1, "<sip:x@example.org>;tag=wrong")
	case 3:
		p.send(p.compose(t, "ACK", t.seq+7, p.newBranch(), t.remote, "", ""))
	case 4:
		p.ask(t, "UPDATE", t.seq+1, t.remote)
	}
}

// ask sends a request other than INVITE.
func (p *robot) ask(t *talk, method string, seq uint32, to string) {
	if to[len(to)-1] == '>' {
		return // no dialog yet
	}
	t.seq = max(t.seq, seq)
	branch := p.newBranch()
	p.repeat(branch+method, p.compose(t, method, seq, branch, to, "", ""))
}

func (p *robot) vanish() {
	p.deaf = true
	p.m.log("%s is gone", p.name)
}

// calm ends what is open as a polite phone does, some time from now.
func (p *robot) calm() {
	p.polite = true
	for _, t := range p.talks {
		t.ackMode = ackNormal
		p.later(time.Duration(p.dice.IntN(8000))*time.Millisecond, func() {
			switch {
			case t.asked != nil && !t.up:
				if p.dice.IntN(2) == 0 {
					p.decline(t, 486)
					return
				}
				p.accept(t)
				p.later(2*time.Second, func() { p.wrapUp(t) })
			case t.caller && t.awaits && !t.up:
				t.cancelled = true
				if t.provisional {
					p.sendCancel(t)
				}
			default:
				p.wrapUp(t)
			}
		})
	}
}

func (p *robot) wrapUp(t *talk) {
	if t.asked != nil {
		p.accept(t)
	}
	if t.up && !t.over && !t.hungUp {
		p.hangUp(t)
	}
}
