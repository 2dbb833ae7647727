package phone

import (
	"crypto/rand"
	"net/netip"
	"time"

	"github.com/mss-federation/mss/cmd/internal/rig/sipmsg"
)

// The timers of RFC 3261 §17, table 4.
const (
	t1      = 500 * time.Millisecond
	t2      = 4 * time.Second
	timerB  = 64 * t1
	grace   = 200 * time.Millisecond // what may have been on its way when we acknowledged
	maxHops = 70
)

// clientTx is a client transaction (RFC 3261 §17.1). It stays after the final response for 64*T1, to notice
// repetitions.
type clientTx struct {
	p      *Phone
	req    *sipmsg.Message
	raw    []byte
	to     netip.AddrPort
	invite bool
	on     func(*sipmsg.Message) // each response once, then nil on timeout if there was no final one
	resend bool                  // sent again when a TCP connection was lost before the answer: all but what begins a dialog

	provisional bool
	final       *sipmsg.Message
	acked       time.Time // zero: not yet
	ack         []byte    // sent again when the final response to an INVITE comes again
	ackTo       netip.AddrPort
	sends       int
	interval    time.Duration
	timer       *time.Timer
	deadline    *time.Timer
}

func clientKey(branch, method string) string { return branch + " " + method }

// request sends a request as a new transaction with a new branch. on runs on the loop.
func (p *Phone) request(req *sipmsg.Message, to netip.AddrPort, on func(*sipmsg.Message)) *clientTx {
	branch := "z9hG4bK" + rand.Text()
	p.putVia(req, branch)
	tx := &clientTx{
		p: p, req: req, raw: req.Bytes(), to: to, invite: req.Method == "INVITE", on: on,
		interval: t1,
	}
	_, inside := sipmsg.Param(req.Get("to"), "tag")
	tx.resend = inside || !tx.invite && req.Method != "REGISTER"
	p.clients[clientKey(branch, req.Method)] = tx
	tx.send()
	if p.opt.Transport == UDP {
		tx.timer = p.after(t1, tx.retransmit)
	}
	tx.deadline = p.after(timerB, tx.timeout)
	return tx
}

func (p *Phone) putVia(req *sipmsg.Message, branch string) {
	via := "SIP/2.0/" + p.opt.Transport.String() + " " + p.wire.local().String() + ";branch=" + branch + ";rport"
	req.Headers = append([]sipmsg.Header{{Name: "Via", Value: via}}, req.Headers...)
}

func (tx *clientTx) branch() string {
	b, _ := sipmsg.ViaParam(tx.req.Get("via"), "branch")
	return b
}

func (tx *clientTx) send() {
	if tx.resend && !tx.p.wire.ready() {
		return // see Phone.resume
	}
	tx.sends++
	tx.p.send(tx.raw, tx.to)
}

// retransmit is timers A and E.
func (tx *clientTx) retransmit() {
	if tx.final != nil || tx.invite && tx.provisional {
		return
	}
	tx.send()
	tx.interval *= 2
	if !tx.invite {
		tx.interval = min(tx.interval, t2)
		if tx.provisional {
			tx.interval = t2
		}
	}
	tx.timer = tx.p.after(tx.interval, tx.retransmit)
}

// timeout is timers B and F; Timer B does not run once there was a provisional response.
func (tx *clientTx) timeout() {
	if tx.final != nil || tx.invite && tx.provisional {
		return
	}
	tx.forget()
	tx.on(nil)
}

func (tx *clientTx) forget() {
	delete(tx.p.clients, clientKey(tx.branch(), tx.req.Method))
	tx.stopTimers()
}

func (tx *clientTx) stopTimers() {
	if tx.timer != nil {
		tx.timer.Stop()
	}
	tx.deadline.Stop()
}

// response takes one response in.
func (tx *clientTx) response(res *sipmsg.Message, now time.Time) {
	tx.p.checkEcho(tx.req, res)
	if tx.final != nil {
		tx.again(res, now)
		return
	}
	if res.Status < 200 {
		tx.provisional = true
		tx.on(res)
		return
	}
	tx.final = res
	tx.stopTimers()
	tx.p.after(timerB, tx.forget)
	if tx.invite && res.Status >= 300 {
		tx.ack, tx.ackTo = tx.ackFor(res).Bytes(), tx.to
		tx.p.send(tx.ack, tx.ackTo)
		tx.acked = now
	}
	tx.on(res)
}

// again handles what comes after the final response.
func (tx *clientTx) again(res *sipmsg.Message, now time.Time) {
	if res.Status < 200 {
		tx.p.journal.violation(RuleOrder, "%s after %s", res.Line(), tx.final.Line())
		return
	}
	if res.Status != tx.final.Status {
		tx.p.journal.violation(RuleOrder, "a second final response: %s after %s", res.Line(), tx.final.Line())
	}
	if !tx.invite {
		if tx.sends == 1 {
			tx.p.journal.violation(RuleRepeat, "%s to a request that was sent once", res.Line())
		}
		return
	}
	if !tx.acked.IsZero() && now.Sub(tx.acked) > grace {
		tx.p.journal.violation(RuleRepeat, "%s %v after its ACK", res.Line(), now.Sub(tx.acked).Round(time.Millisecond))
	}
	if tx.ack != nil {
		tx.p.send(tx.ack, tx.ackTo)
	}
}

// ackFor is the ACK to a non-2xx (RFC 3261 §17.1.1.3): same branch, To of the response.
func (tx *clientTx) ackFor(res *sipmsg.Message) *sipmsg.Message {
	ack := &sipmsg.Message{Method: "ACK", URI: tx.req.URI}
	for _, name := range []string{"Via", "From", "Call-ID", "Max-Forwards"} {
		ack.Add(name, tx.req.Get(name))
	}
	for _, r := range tx.req.All("route") {
		ack.Add("Route", r)
	}
	ack.Add("To", res.Get("to"))
	seq, _ := tx.req.CSeq()
	ack.Add("CSeq", cseq(seq, "ACK"))
	return ack
}

// cancelRequest is the CANCEL of an INVITE (RFC 3261 §9.1): the Via of the INVITE alone.
func (tx *clientTx) cancelRequest() *sipmsg.Message {
	c := &sipmsg.Message{Method: "CANCEL", URI: tx.req.URI}
	for _, name := range []string{"Via", "From", "To", "Call-ID", "Max-Forwards"} {
		c.Add(name, tx.req.Get(name))
	}
	for _, r := range tx.req.All("route") {
		c.Add("Route", r)
	}
	seq, _ := tx.req.CSeq()
	c.Add("CSeq", cseq(seq, "CANCEL"))
	return c
}

// cancel sends the CANCEL of tx as a transaction of its own with the same branch.
func (tx *clientTx) cancel() {
	req := tx.cancelRequest()
	c := &clientTx{
		p: tx.p, req: req, raw: req.Bytes(), to: tx.to, interval: t1,
		on: func(res *sipmsg.Message) {
			if res == nil || res.Status >= 300 {
				tx.p.journal.violation(RuleStatus, "CANCEL answered with %v", lineOf(res))
			}
		},
	}
	tx.p.clients[clientKey(tx.branch(), "CANCEL")] = c
	c.send()
	if tx.p.opt.Transport == UDP {
		c.timer = tx.p.after(t1, c.retransmit)
	}
	c.deadline = tx.p.after(timerB, c.timeout)
}

func lineOf(res *sipmsg.Message) string {
	if res == nil {
		return "nothing"
	}
	return res.Line()
}

// send writes a message and notes it, unless the phone has vanished.
func (p *Phone) send(data []byte, to netip.AddrPort) {
	if p.vanished || p.closed {
		return
	}
	p.journal.message(true, to, data)
	p.wire.send(data, to)
}
