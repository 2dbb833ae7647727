package forwarder

import (
	"bytes"
	"errors"

	"github.com/mss-federation/mss/pkg/sipgate"
	"github.com/mss-federation/mss/pkg/siptransport"
	"github.com/mss-federation/mss/pkg/siptx"
)

// attempt is one copy of a request on one path.
type attempt struct {
	s     *search
	tx    *siptx.ClientTx
	hop   int
	flow  siptransport.Flow
	older *attempt
	heard bool // any response came
	rang  bool // one of 101 to 199 came
	over  bool
}

// OnResponse passes responses upstream (RFC 3261 §16.7), but for 100 and for what makes the search go on.
func (a *attempt) OnResponse(_ *siptx.ClientTx, res *siptx.Response) {
	s, status := a.s, res.Head.Status
	a.heard = true
	if status != 503 {
		s.h.breakers.ok(peerOf(a.flow))
	}
	if a == s.newest {
		s.silence.Stop()
	}
	switch {
	case status == 100:
	case status < 200:
		a.rang = true
		if !s.done {
			s.relay(a, res, status)
		}
	case status < 300:
		a.over = true
		s.relay(a, res, status)
		if !s.done {
			s.close()
		}
	default:
		a.over = true
		a.refused(res)
	}
}

// refused decides about a failure.
func (a *attempt) refused(res *siptx.Response) {
	s, status := a.s, res.Head.Status
	if s.done {
		return
	}
	if s.cancelled {
		if !s.heard() {
			s.finish(a, res)
		}
		return
	}
	switch judge(outcome{status: status, search: s.serial, rang: a.rang, earlier: a.hasEarlier()}) {
	case wait:
	case nextPath:
		if status == 503 {
			s.h.trip(a)
		}
		s.advance()
	default:
		s.finish(a, res)
	}
}

func (a *attempt) hasEarlier() bool {
	for b := a.older; b != nil; b = b.older {
		if !b.over {
			return true
		}
	}
	return false
}

// finish sends a failure upstream.
func (s *search) finish(a *attempt, res *siptx.Response) {
	if s.inside && res.Head.Status == 503 && isHub(s.hops[a.hop].Node) && hasBy(res) {
		// The other hub cannot reach the call's next node, and so cannot we: the sender tries elsewhere.
		s.answer(&refusal{status: 503})
		return
	}
	s.relay(a, res, relayed(res.Head.Status))
	s.close()
}

func hasBy(res *siptx.Response) bool {
	for i := range res.Head.Lines {
		line := &res.Head.Lines[i]
		if line.Field == sipgate.FieldOther && bytes.EqualFold(line.Name.Of(res.Raw), []byte(byName)) {
			return true
		}
	}
	return false
}

func isPath(name []byte) bool { return bytes.EqualFold(name, []byte(pathName)) }

// relay passes a response on. After a final one only further 2xx to INVITE still pass.
func (s *search) relay(a *attempt, res *siptx.Response, status int) {
	h := s.h
	h.metrics.responses.Add(1)
	h.out = appendResponse(h.out[:0], res, status, isNode(s.sender) && isNode(s.hops[a.hop].Node))
	s.tx.Forward(status, h.out)
}

// OnTimeout is Timer B, C or F, or the end of the wait after a CANCEL.
func (a *attempt) OnTimeout(*siptx.ClientTx) {
	s := a.s
	a.over = true
	switch {
	case s.done:
	case s.method != "INVITE":
		s.close() // a late 408 helps nobody (RFC 4320): the server transaction is forgotten by itself
	case s.cancelled:
		s.settle()
	case s.inside:
		s.answer(&refusal{status: 503})
	case a.rang:
		s.answer(&refusal{status: 408})
	default:
		s.advance()
	}
}

// OnSendError says that a path is closed. The same node is tried again where it has another connection; a
// called site knows that as a copy.
func (a *attempt) OnSendError(_ *siptx.ClientTx, err error) {
	s := a.s
	a.over = true
	if s.done {
		return
	}
	s.h.Logger.Debug("path closed", "node", string(s.hops[a.hop].Node), "flow", a.flow.String(), "err", err)
	switch {
	case errors.Is(err, siptx.ErrTableFull):
		s.answer(&refusal{status: 503, extra: "Retry-After: 1\r\n"})
		return
	case s.cancelled:
		s.settle()
		return
	}
	s.h.trip(a)
	link, ok := s.h.Links.Best(s.hops[a.hop].Node)
	switch {
	case ok && link.Flow != a.flow && s.raw != nil && s.attempts < s.h.MaxPaths:
		s.again(a.hop, link)
	case a.rang:
		s.exhaust() // who sent it may know another hub, through which the ringing site is reached
	default:
		s.advance()
	}
}

// Panicked ends the request whose response could not be handled.
func (a *attempt) Panicked(any) {
	a.over = true
	if !a.s.done {
		a.s.answer(&refusal{status: 500})
	}
}

// cancel passes a CANCEL on to every open attempt (RFC 3261 §16.10), with its Reason. One that nobody has
// answered is given up: its CANCEL leaves when it is answered.
func (s *search) cancel(req *siptx.Request) {
	if s.done {
		return
	}
	s.cancelled = true
	s.silence.Stop()
	var reason []byte
	for i := range req.Head.Lines {
		line := &req.Head.Lines[i]
		if line.Field == sipgate.FieldOther && bytes.EqualFold(line.Name.Of(req.Raw), []byte("Reason")) {
			reason = append(reason, line.Of(req.Raw)...)
		}
	}
	for a := range s.open {
		a.tx.Cancel(reason)
	}
	s.settle()
}

// settle answers a cancelled request once nobody is left who could answer it.
func (s *search) settle() {
	if !s.heard() {
		s.answer(&refusal{status: 487})
	}
}
