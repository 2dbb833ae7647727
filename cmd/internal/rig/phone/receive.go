package phone

import (
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/mss-federation/mss/cmd/internal/rig/sipmsg"
)

const userAgent = "mss-test-phone"

func cseq(n uint32, method string) string { return strconv.FormatUint(uint64(n), 10) + " " + method }

// receive takes one message in; it runs on the loop.
func (p *Phone) receive(data []byte, from netip.AddrPort, now time.Time) {
	if p.vanished {
		return
	}
	if strings.Trim(string(data), "\r\n\x00 ") == "" {
		return // a keep-alive datagram (RFC 5626 §4.4, RFC 6223)
	}
	p.journal.message(false, from, data)
	m, err := sipmsg.Parse(data)
	if err != nil {
		p.journal.violation(RuleSyntax, "%v in %q", err, firstLine(data))
		return
	}
	if m.Status != 0 {
		p.receiveResponse(m, from, now)
		return
	}
	p.receiveRequest(m, from)
}

func firstLine(data []byte) string {
	line, _, _ := strings.Cut(string(data), "\r\n")
	return line
}

func (p *Phone) receiveResponse(res *sipmsg.Message, from netip.AddrPort, now time.Time) {
	if p.opt.OnResponse != nil && p.opt.OnResponse(res) {
		return
	}
	branch, _ := sipmsg.ViaParam(res.All("via")[0], "branch")
	_, method := res.CSeq()
	tx := p.clients[clientKey(branch, method)]
	if tx == nil {
		p.journal.violation(RuleUnknown, "%s to no request of ours (branch %s)", res.Line(), branch)
		return
	}
	if p.opt.Transport == UDP && from != tx.to {
		p.journal.violation(RuleSource, "%s from %v, asked %v", res.Line(), from, tx.to)
	}
	tx.response(res, now)
}

func (p *Phone) receiveRequest(req *sipmsg.Message, from netip.AddrPort) {
	if p.opt.OnRequest != nil && p.opt.OnRequest(req) {
		return
	}
	p.checkRequest(req, from)
	key := serverKey(req)
	tx := p.servers[key]
	switch {
	case req.Method == "ACK":
		p.receiveACK(req, tx)
		return
	case tx != nil:
		tx.repeated(req)
		return
	}
	tx = &serverTx{p: p, req: req, from: from}
	p.servers[key] = tx
	switch req.Method {
	case "INVITE":
		p.receiveINVITE(tx)
	case "CANCEL":
		p.receiveCANCEL(tx)
	default:
		p.receiveOther(tx)
	}
}

// receiveOther answers what belongs to a call, and OPTIONS outside of one.
func (p *Phone) receiveOther(tx *serverTx) {
	if c := p.calls[tx.req.Get("call-id")]; c != nil && c.inDialog(tx.req) {
		c.receive(tx)
		return
	}
	_, inside := sipmsg.Param(tx.req.Get("to"), "tag")
	switch {
	case inside:
		p.journal.violation(RuleUnknown, "%s in no dialog of ours (Call-ID %s)", tx.req.Line(), tx.req.Get("call-id"))
		tx.respond(tx.response(481, "Call/Transaction Does Not Exist", ""))
	case tx.req.Method == "OPTIONS":
		res := tx.response(200, "OK", newTag())
		res.Add("Allow", allow)
		tx.respond(res)
	default:
		res := tx.response(405, "Method Not Allowed", newTag())
		res.Add("Allow", allow)
		tx.respond(res)
	}
}

// checkRequest checks what every request must have.
func (p *Phone) checkRequest(req *sipmsg.Message, from netip.AddrPort) {
	via := req.All("via")[0]
	if branch, _ := sipmsg.ViaParam(via, "branch"); !strings.HasPrefix(branch, "z9hG4bK") {
		p.journal.violation(RuleVia, "%s with branch %q", req.Line(), branch)
	}
	if hops, err := strconv.Atoi(req.Get("max-forwards")); err != nil || hops < 1 || hops > maxHops {
		p.journal.violation(RuleLateCheck, "%s with Max-Forwards %q", req.Line(), req.Get("max-forwards"))
	}
	if _, ok := sipmsg.Param(req.Get("from"), "tag"); !ok {
		p.journal.violation(RuleTags, "%s without a From tag", req.Line())
	}
	if p.opt.Transport != UDP && p.registration.active && from != p.opt.Registrar {
		p.journal.violation(RuleFlow, "%s over a connection from %v, registered over one to %v",
			req.Line(), from, p.opt.Registrar)
	}
	if p.opt.Transport == UDP && p.registration.active && from != p.opt.Registrar {
		p.journal.violation(RuleSource, "%s from %v, registered at %v", req.Line(), from, p.opt.Registrar)
	}
}

// checkEcho checks what a response must repeat of its request.
func (p *Phone) checkEcho(req, res *sipmsg.Message) {
	vias := res.All("via")
	sent := req.All("via")[0]
	if len(vias) != 1 {
		p.journal.violation(RuleVia, "%s with %d Via", res.Line(), len(vias))
	}
	if sipmsg.SentBy(vias[0]) != sipmsg.SentBy(sent) {
		p.journal.violation(RuleVia, "%s with sent-by %s, ours is %s", res.Line(), sipmsg.SentBy(vias[0]), sipmsg.SentBy(sent))
	}
	if rport, has := sipmsg.ViaParam(vias[0], "rport"); p.opt.Transport == UDP &&
		(!has || rport != strconv.Itoa(int(p.wire.local().Port()))) && res.Status > 100 {
		p.journal.violation(RuleVia, "%s with rport %q, our port is %d (RFC 3581)", res.Line(), rport, p.wire.local().Port())
	}
	for _, name := range []string{"From", "Call-ID", "CSeq"} {
		if res.Get(name) != req.Get(name) {
			p.journal.violation(RuleEcho, "%s with %s %q, ours is %q", res.Line(), name, res.Get(name), req.Get(name))
		}
	}
	if sipmsg.URI(res.Get("to")) != sipmsg.URI(req.Get("to")) {
		p.journal.violation(RuleEcho, "%s with To %q, ours is %q", res.Line(), res.Get("to"), req.Get("to"))
	}
	tag, has := sipmsg.Param(res.Get("to"), "tag")
	if !has && res.Status > 100 {
		p.journal.violation(RuleToTag, "%s without a To tag", res.Line())
	}
	if ours, inside := sipmsg.Param(req.Get("to"), "tag"); inside && has && ours != tag {
		p.journal.violation(RuleToTag, "%s with To tag %q inside a dialog of %q", res.Line(), tag, ours)
	}
}
