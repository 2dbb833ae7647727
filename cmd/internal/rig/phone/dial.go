package phone

import (
	"context"
	"crypto/rand"
	"net/netip"
	"slices"
	"strings"
	"time"

	sipuri "github.com/emiago/sipgo/sip"

	"github.com/mss-federation/mss/cmd/internal/rig/sipmsg"
)

// DialOptions change how a call is made.
type DialOptions struct {
	NoOffer bool            // INVITE without SDP: the offer comes in the 200
	HoldACK bool            // the 2xx is not acknowledged until Call.SendACK
	Headers []sipmsg.Header // added to the INVITE
}

// Dial sends an INVITE and returns; what happens then is seen on the call's channels. The target is a number
// or user of the phone's domain, or a whole SIP URI.
func (p *Phone) Dial(ctx context.Context, target string) (*Call, error) {
	return p.DialWith(ctx, target, DialOptions{})
}

// DialWith is Dial with options.
func (p *Phone) DialWith(_ context.Context, target string, opt DialOptions) (*Call, error) {
	var call *Call
	var err error
	if derr := p.do(func() { call, err = p.dial(target, opt) }); derr != nil {
		return nil, derr
	}
	return call, err
}

func (p *Phone) dial(target string, opt DialOptions) (*Call, error) {
	c, err := p.newCall(rand.Text()+"@"+p.wire.local().Addr().String(), true)
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(target, "sip:") {
		target = "sip:" + target + "@" + p.opt.Domain
	}
	c.opt = opt
	c.dialog.local, c.dialog.remote, c.dialog.target = p.address(), "<"+target+">", target
	req := c.newRequest("INVITE")
	req.Add("Contact", "<"+p.contact+">")
	req.Add("Allow", allow)
	req.Headers = append(req.Headers, opt.Headers...)
	if !opt.NoOffer {
		c.setBody(req, c.offer())
	}
	c.sendINVITE(req, p.opt.Registrar, c.initialResponse)
	return c, nil
}

// sendINVITE sends an INVITE of ours, first or in the dialog, with an answer to a challenge.
func (c *Call) sendINVITE(req *sipmsg.Message, to netip.AddrPort, on func(*sipmsg.Message)) {
	c.answerBody = ""
	c.p.authenticated(req, to, c.nextSeq, func(tx *clientTx) {
		c.invite = tx
	}, on)
}

func (c *Call) setBody(m *sipmsg.Message, body []byte) {
	m.Set("Content-Type", "application/sdp")
	m.Body = body
}

// initialResponse drives a call that we made until it is up.
func (c *Call) initialResponse(res *sipmsg.Message) {
	switch {
	case res == nil:
		c.finish(408, "no answer", false)
	case res.Status == 100:
		c.cancelIfAsked()
	case res.Status < 200:
		c.early(res)
		c.cancelIfAsked()
	case res.Status < 300:
		c.accepted(res)
	default:
		c.checkTag(res)
		c.finish(res.Status, res.Reason, true)
	}
}

// checkTag holds the caller's leg to one To tag.
func (c *Call) checkTag(res *sipmsg.Message) {
	tag, _ := sipmsg.Param(res.Get("to"), "tag")
	if c.dialog.remoteTag == "" {
		c.dialog.remoteTag = tag
	}
	if tag != c.dialog.remoteTag {
		c.p.journal.violation(RuleToTag, "%s with To tag %q, the first was %q", res.Line(), tag, c.dialog.remoteTag)
	}
}

// learn takes target and routes from a response that makes a dialog.
func (c *Call) learn(res *sipmsg.Message) {
	c.checkTag(res)
	c.setTarget(res)
	if c.up {
		return
	}
	c.dialog.routes = res.All("record-route")
	slices.Reverse(c.dialog.routes)
}

// setTarget takes the Contact of a message that may refresh it, and holds it to what can be reached.
func (c *Call) setTarget(m *sipmsg.Message) {
	contacts := m.All("contact")
	if len(contacts) != 1 {
		c.p.journal.violation(RuleContact, "%s with %d Contact", m.Line(), len(contacts))
		return
	}
	c.dialog.target = sipmsg.URI(contacts[0])
	if _, ok := c.p.resolve(c.dialog.target); !ok {
		c.p.journal.violation(RuleContact, "%s with Contact %s, which is no address", m.Line(), contacts[0])
	}
	_, param, _ := strings.Cut(strings.ToLower(c.dialog.target), ";transport=")
	param, _, _ = strings.Cut(param, ";")
	if param != strings.TrimPrefix(c.p.opt.Transport.param(), ";transport=") || !strings.HasPrefix(c.dialog.target, "sip:") {
		c.p.journal.violation(RuleContact, "%s over %v with Contact %s", m.Line(), c.p.opt.Transport, contacts[0])
	}
}

// resolve gives the address in a SIP URI whose host is one.
func (p *Phone) resolve(uri string) (netip.AddrPort, bool) {
	var u sipuri.Uri
	if err := sipuri.ParseUri(uri, &u); err != nil {
		return netip.AddrPort{}, false
	}
	a, err := netip.ParseAddr(strings.Trim(u.Host, "[]"))
	if err != nil {
		return netip.AddrPort{}, false
	}
	port := u.Port
	if port == 0 {
		port = 5060
	}
	return netip.AddrPortFrom(a, uint16(port)), true
}

func (c *Call) early(res *sipmsg.Message) {
	c.learn(res)
	if res.Status >= 180 {
		c.rang()
	}
	if len(res.Body) > 0 && !c.opt.NoOffer {
		c.takeAnswer(res)
	}
}

// accepted acknowledges a 2xx; if the caller gave up meanwhile, it hangs up at once (RFC 3261 §9.1).
func (c *Call) accepted(res *sipmsg.Message) {
	c.learn(res)
	var answer []byte
	switch {
	case c.opt.NoOffer:
		answer = c.answerTo(res)
	case len(res.Body) == 0:
		c.p.journal.violation(RuleAnswer, "%s without SDP", res.Line())
	default:
		c.takeAnswer(res)
	}
	ack := func() { c.acknowledge(c.invite, answer) }
	if c.opt.HoldACK {
		c.heldACK = ack
	} else {
		ack()
	}
	c.establish()
	if c.cancelling {
		c.bye(func(error) {})
	}
}

// acknowledge sends the ACK to a 2xx of tx (RFC 3261 §13.2.2.4).
func (c *Call) acknowledge(tx *clientTx, body []byte) {
	seq, _ := tx.req.CSeq()
	ack := c.requestWith("ACK", seq)
	for _, name := range []string{"Authorization", "Proxy-Authorization"} {
		if v := tx.req.Get(name); v != "" {
			ack.Add(name, v)
		}
	}
	if body != nil {
		c.setBody(ack, body)
	}
	c.p.putVia(ack, "z9hG4bK"+rand.Text())
	tx.ack, tx.ackTo, tx.acked = ack.Bytes(), c.hop(), time.Now()
	c.p.send(tx.ack, tx.ackTo)
}

// SendACK sends the ACK that HoldACK kept back.
func (c *Call) SendACK() error {
	return c.p.do(func() {
		if c.heldACK != nil {
			c.heldACK()
			c.heldACK = nil
		}
	})
}

// Cancel gives up a call that we made and waits for its end. Before the first response the CANCEL waits (RFC
// 3261 §9.1); if the answer was faster, the call is hung up.
func (c *Call) Cancel(ctx context.Context) error {
	c.p.post(func() {
		c.cancelling = true
		switch {
		case c.up:
			c.bye(func(error) {})
		case c.invite.provisional:
			c.cancelIfAsked()
		}
	})
	return c.waitEnd(ctx)
}

func (c *Call) cancelIfAsked() {
	if !c.cancelling || c.byeSent {
		return
	}
	branch := c.invite.branch()
	if c.p.clients[clientKey(branch, "CANCEL")] == nil {
		c.invite.cancel()
	}
}
