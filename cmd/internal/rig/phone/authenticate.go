package phone

import (
	"net/netip"

	"github.com/mss-federation/mss/cmd/internal/rig/sipmsg"
)

const mostChallenges = 3

// authenticated sends a request and answers challenges: one, and again when the nonce was stale (RFC 7616
// §3.3). next gives the CSeq number of another attempt; started tells of each transaction; on gets what is
// not a challenge, or the last one.
func (p *Phone) authenticated(req *sipmsg.Message, to netip.AddrPort, next func() uint32,
	started func(*clientTx), on func(*sipmsg.Message),
) {
	p.attempt(req, to, next, started, on, 1)
}

func (p *Phone) attempt(req *sipmsg.Message, to netip.AddrPort, next func() uint32,
	started func(*clientTx), on func(*sipmsg.Message), attempt int,
) {
	started(p.request(req, to, func(res *sipmsg.Message) {
		again := p.answer(req, res, attempt)
		if again == nil {
			on(res)
			return
		}
		again.Set("CSeq", cseq(next(), req.Method))
		p.attempt(again, to, next, started, on, attempt+1)
	}))
}

// answer is the request with credentials for the challenge in res; nil if there is nothing to answer or to
// try again.
func (p *Phone) answer(req, res *sipmsg.Message, attempt int) *sipmsg.Message {
	if res == nil || res.Status != 401 && res.Status != 407 || p.opt.Password == "" || attempt >= mostChallenges {
		return nil
	}
	challengeName, answerName := "WWW-Authenticate", "Authorization"
	if res.Status == 407 {
		challengeName, answerName = "Proxy-Authenticate", "Proxy-Authorization"
	}
	challenges := res.All(challengeName)
	if len(challenges) != 1 {
		p.journal.violation(RuleStatus, "%s with %d challenges", res.Line(), len(challenges))
		return nil
	}
	if attempt > 1 && sipmsg.ChallengeParams(challenges[0])["stale"] != "true" {
		return nil
	}
	credentials, err := answerChallenge(challenges[0], req.Method, req.URI, p.opt.Name, p.opt.Password, 1)
	if err != nil {
		p.journal.violation(RuleStatus, "%s: %v", res.Line(), err)
		return nil
	}
	again := &sipmsg.Message{Method: req.Method, URI: req.URI, Body: req.Body}
	for _, h := range req.Headers {
		if h.Name != "Via" && h.Name != answerName {
			again.Add(h.Name, h.Value)
		}
	}
	again.Add(answerName, credentials)
	return again
}
