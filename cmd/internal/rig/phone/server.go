package phone

import (
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/mss-federation/mss/cmd/internal/rig/sipmsg"
)

// serverTx is a server transaction (RFC 3261 §17.2) with, for INVITE, the retransmission of the 2xx that
// §13.3.1.4 asks of the user agent.
type serverTx struct {
	p        *Phone
	req      *sipmsg.Message
	from     netip.AddrPort
	last     []byte // response, sent again when the request comes again
	status   int
	finalAt  time.Time
	acked    bool
	interval time.Duration
}

func serverKey(req *sipmsg.Message) string {
	via := req.All("via")[0]
	branch, _ := sipmsg.ViaParam(via, "branch")
	_, method := req.CSeq()
	if method == "ACK" {
		method = "INVITE"
	}
	return branch + " " + sipmsg.SentBy(via) + " " + method
}

// response begins a response: the headers that §8.2.6.2 copies from the request.
func (tx *serverTx) response(status int, reason, toTag string) *sipmsg.Message {
	res := &sipmsg.Message{Status: status, Reason: reason}
	for i, via := range tx.req.All("via") {
		if i == 0 {
			via = receivedAt(via, tx.from)
		}
		res.Add("Via", via)
	}
	for _, rr := range tx.req.All("record-route") {
		res.Add("Record-Route", rr)
	}
	res.Add("From", tx.req.Get("from"))
	to := tx.req.Get("to")
	if _, has := sipmsg.Param(to, "tag"); !has && status > 100 {
		to += ";tag=" + toTag
	}
	res.Add("To", to)
	res.Add("Call-ID", tx.req.Get("call-id"))
	res.Add("CSeq", tx.req.Get("cseq"))
	res.Add("User-Agent", userAgent)
	return res
}

// receivedAt fills in rport and received (RFC 3581 §4).
func receivedAt(via string, from netip.AddrPort) string {
	parts := strings.Split(via, ";")
	for i, part := range parts {
		if part == "rport" {
			parts[i] = "rport=" + strconv.Itoa(int(from.Port())) + ";received=" + from.Addr().String()
		}
	}
	return strings.Join(parts, ";")
}

// respond sends a response and keeps it for repetitions.
func (tx *serverTx) respond(res *sipmsg.Message) {
	tx.last, tx.status = res.Bytes(), res.Status
	tx.p.send(tx.last, tx.from)
	if res.Status < 200 {
		return
	}
	tx.finalAt = time.Now()
	tx.p.after(timerB, func() { delete(tx.p.servers, serverKey(tx.req)) })
	overUDP := tx.p.opt.Transport == UDP
	if tx.req.Method == "INVITE" && (overUDP || res.Status < 300) {
		tx.interval = t1
		tx.p.after(t1, tx.retransmit)
	}
}

// retransmit is Timer G, and the repetition of a 2xx until its ACK.
func (tx *serverTx) retransmit() {
	if tx.acked {
		return
	}
	if time.Since(tx.finalAt) > timerB {
		tx.p.journal.violation(RuleOrder, "no ACK to %d within %v", tx.status, timerB)
		return
	}
	tx.p.send(tx.last, tx.from)
	tx.interval = min(2*tx.interval, t2)
	tx.p.after(tx.interval, tx.retransmit)
}

// repeated answers a request that came again.
func (tx *serverTx) repeated(req *sipmsg.Message) {
	if !tx.finalAt.IsZero() && time.Since(tx.finalAt) > grace && req.Method != "INVITE" {
		tx.p.journal.violation(RuleInterval, "%s came again %v after it was answered", req.Line(),
			time.Since(tx.finalAt).Round(time.Millisecond))
	}
	if tx.last != nil {
		tx.p.send(tx.last, tx.from)
	}
}
