package forwarder

import (
	"time"

	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/nodelink"
	"github.com/mss-federation/mss/pkg/sipgate"
	"github.com/mss-federation/mss/pkg/siptransport"
	"github.com/mss-federation/mss/pkg/siptx"
)

// search is one request on its way: its server transaction, the paths it may take, and the attempts that were
// begun. It belongs to its worker.
type search struct {
	h      *handler
	tx     *siptx.ServerTx
	method string
	sender federation.NodeID
	from   siptransport.Flow
	course course
	inside bool // it has a To tag: a hub may end no call by an answer of its own
	serial bool // an INVITE outside a dialog: answers decide about the next path

	hops        []Hop  // of the table: only read
	skip, tried uint64 // by position in hops
	to          string // the number, as X-MSS-Path names it
	path        []byte // X-MSS-Path as it came; nil inside a call
	raw         []byte // the request, while it may have to be written again

	began     time.Time
	silence   siptx.Timer
	attempts  int
	first     attempt
	newest    *attempt
	cancelled bool
	done      bool // a final response went upstream
}

// maxHops is what the bits of skip and tried can tell apart; worse paths are never tried.
const maxHops = 64

func (h *handler) newSearch(tx *siptx.ServerTx, req *siptx.Request, sender federation.NodeID, c course) *search {
	s := &search{
		h: h, tx: tx, method: tx.Method(), sender: sender, from: req.Flow, course: c,
		inside: req.Head.ToTag.Present(), began: h.w.Now(),
	}
	s.serial = s.method == "INVITE" && !s.inside
	tx.SetUser(s)
	return s
}

// find fills in the hops: where the course says, or by number.
func (s *search) find(req *siptx.Request) *refusal {
	if s.course.node != "" {
		for _, node := range s.h.reach(s.course.node, s.sender) {
			s.hops = append(s.hops, Hop{Node: node})
		}
		return nil
	}
	u := cutURI(req.Head.URI.Of(req.Raw))
	number := u.number()
	s.to = tokenOf(string(number))
	s.path = []byte{}
	if isNode(s.sender) {
		s.path = appendPathValue(s.path, req)
	}
	if first, last, found := loop(s.path, s.h.Self, s.to); found {
		return s.looped(first, last)
	}
	hops := s.h.Routes.Lookup(number)
	s.hops = hops[:min(len(hops), maxHops)]
	return s.withoutBack()
}

// withoutBack rules out the hops that lead back to where the request has been. If no other is left, the number is
// either nobody's but the sender's, or sent round by two rules.
func (s *search) withoutBack() *refusal {
	var refused *refusal
	var down bool
	for i := range s.hops {
		hop := &s.hops[i]
		if hop.Down {
			s.tried |= 1 << i
			down = true
			continue
		}
		if first, _, found := loop(s.path, hop.Node, s.to); found {
			s.skip |= 1 << i
			refused = s.looped(first, step{node: []byte(s.h.Self), rule: []byte(tokenOf(hop.Rule))})
		} else if hop.Node == s.sender || hop.Node == s.h.Self {
			s.skip |= 1 << i
		}
	}
	switch {
	case s.left() > 0:
		return nil
	case refused != nil:
		return refused
	case down: // the search ends at once, with 480
		return nil
	}
	return &refusal{status: 404}
}

// looped names the two rules that send a number round: that of the hub where it comes by again, and that of
// the hub which sends it back there.
func (s *search) looped(first, last step) *refusal {
	s.h.metrics.loops.Add(1)
	return &refusal{status: 482, extra: "Warning: 399 " + string(s.h.Self) + ` "rule ` + string(first.rule) + " of " + string(first.node) +
		" and rule " + string(last.rule) + " of " + string(last.node) + ` form a loop"` + "\r\n"}
}

// appendPathValue joins the request's X-MSS-Path lines.
func appendPathValue(dst []byte, req *siptx.Request) []byte {
	for i := range req.Head.Lines {
		line := &req.Head.Lines[i]
		if line.Field != sipgate.FieldOther || !isPath(line.Name.Of(req.Raw)) {
			continue
		}
		if len(dst) > 0 {
			dst = append(dst, ", "...)
		}
		dst = append(dst, unfold(line.Value.Of(req.Raw))...)
	}
	return dst
}

// begin makes the first attempt.
func (s *search) begin(req *siptx.Request) {
	i, link, ok := s.pick()
	if !ok {
		s.exhaust()
		return
	}
	if link.Flow.Transport.Stream() || s.left() > 1 {
		s.raw = append(make([]byte, 0, len(req.Raw)), req.Raw...)
	}
	s.send(&s.first, i, link, req.Raw, req.Head, s.h.routes)
}

// next makes another attempt, if one may still be begun.
func (s *search) next() bool {
	if s.raw == nil || s.attempts >= s.h.MaxPaths || s.h.w.Now().Sub(s.began) >= s.h.SearchFor {
		return false
	}
	i, link, ok := s.pick()
	if !ok {
		return false
	}
	s.again(i, link)
	return true
}

// again writes the request once more, for hop i.
func (s *search) again(i int, link nodelink.Link) {
	h := s.h
	if r := sipgate.Scan(s.raw, &h.head); r != nil {
		h.Logger.Error("a request that had passed is refused", "err", r)
	}
	h.metrics.failovers.Add(1)
	h.routes = readRoutes(h.routes[:0], s.raw, &h.head)
	s.send(new(attempt), i, link, s.raw, &h.head, h.routes)
}

// left counts the hops that were neither tried nor ruled out.
func (s *search) left() (n int) {
	for i := range s.hops {
		if (s.skip|s.tried)>>i&1 == 0 {
			n++
		}
	}
	return n
}

// pick chooses among the hops that are left: the first that is alive and behind a closed breaker, else a suspect
// one, else, if nothing was tried yet, one whose breaker is open.
func (s *search) pick() (hop int, link nodelink.Link, ok bool) {
	suspect, refused := -1, -1
	now := s.h.w.Now()
	for i := range s.hops {
		if (s.skip|s.tried)>>i&1 != 0 {
			continue
		}
		l, found := s.h.Links.Best(s.hops[i].Node)
		switch {
		case !found:
			s.tried |= 1 << i // nothing leads there
		case l.State != nodelink.Alive:
			if suspect < 0 {
				suspect = i
			}
		case s.serial && !s.h.breakers.allow(peerOf(l.Flow), now):
			if refused < 0 {
				refused = i
			}
		default:
			return i, l, true
		}
	}
	hop = suspect
	if hop < 0 && s.attempts == 0 {
		hop = refused
	}
	if hop < 0 {
		return 0, link, false
	}
	link, ok = s.h.Links.Best(s.hops[hop].Node)
	return hop, link, ok
}

// send makes an attempt.
func (s *search) send(a *attempt, hop int, link nodelink.Link, msg []byte, head *sipgate.Head, routes []routeEntry) {
	h, node := s.h, s.hops[hop].Node
	s.tried |= 1 << hop
	s.attempts++
	*a = attempt{s: s, hop: hop, flow: link.Flow, older: s.newest}
	s.newest = a
	f := forward{
		msg: msg, head: head, from: s.from, routes: routes, popped: s.course.keepFor(node, routes), sender: s.sender,
		node: node, flow: link.Flow, branch: h.w.NewBranch(), record: records(s.method), target: s.course.node == "",
	}
	if s.path != nil {
		f.path = s.stepFor(hop)
	}
	h.out = h.appendRequest(h.out[:0], &f)
	if len(h.out) > sipgate.MaxMessage { // on a stream it would cost the next node its connection
		a.over = true
		s.answer(&refusal{status: 513})
		return
	}
	a.tx = h.w.SendRequest(link.Flow, s.method, f.branch, h.out, a)
	if s.serial || s.inside && isHub(node) {
		h.w.Start(&s.silence, h.Silence, s, 0)
	}
}

// stepFor is the path with this hub's entry. It is valid until the next one is made.
func (s *search) stepFor(hop int) []byte {
	text := append(s.h.step[:0], s.path...)
	if len(s.path) > 0 {
		text = append(text, ", "...)
	}
	s.h.step = appendStep(text, s.h.Self, s.to, s.hops[hop].Rule)
	return s.h.step
}

// records says which requests get a Record-Route, in a dialog or not: a NOTIFY can be the first of one (RFC 6665).
func records(method string) bool {
	switch method {
	case "INVITE", "SUBSCRIBE", "NOTIFY", "REFER", "UPDATE":
		return true
	}
	return false
}

// OnTimer ends the patience with the newest attempt, which nobody has answered at all. It stays open: should it be
// answered yet, that counts.
func (s *search) OnTimer(int) {
	switch a := s.newest; {
	case a.over:
	case s.inside:
		s.doubt(a)
	default:
		s.h.trip(a)
		s.advance()
	}
}

// doubtAgain is how often a hub that has not answered inside a call is looked at.
const doubtAgain = 250 * time.Millisecond

// doubt gives up a hub that says nothing inside a call once its link is no longer alive. Who sent the request then finds
// another way, before that link is closed. The attempt stays as it is: the request may have passed, and a copy with a
// CANCEL of its own would end what the other copy brought about.
func (s *search) doubt(a *attempt) {
	if s.h.alive(s.hops[a.hop].Node) {
		s.h.w.Start(&s.silence, doubtAgain, s, 0)
		return
	}
	s.done, s.raw = true, nil
	s.h.refuse(s.tx, &refusal{status: 503})
}

// trip opens the breaker before an attempt's peer.
func (f *Forwarder) trip(a *attempt) {
	if f.breakers.fail(peerOf(a.flow), a.s.h.w.Now()) {
		f.metrics.opened.Add(1)
		f.Logger.Info("next hop fails", "node", string(a.s.hops[a.hop].Node), "flow", a.flow.String())
	}
}

// advance takes the next path or gives up, unless an attempt that was answered provisionally will still decide.
func (s *search) advance() {
	if !s.heard() && !s.next() {
		s.exhaust()
	}
}

// open yields the attempts that have no final response, newest first.
func (s *search) open(yield func(*attempt) bool) {
	for a := s.newest; a != nil; a = a.older {
		if !a.over && !yield(a) {
			return
		}
	}
}

// heard says whether an open attempt was answered in any way.
func (s *search) heard() bool {
	for a := range s.open {
		if a.heard {
			return true
		}
	}
	return false
}

// exhaust answers that no path is left.
func (s *search) exhaust() {
	s.h.metrics.exhausted.Add(1)
	if s.inside {
		s.answer(&refusal{status: 503})
		return
	}
	tried := s.h.text[:0]
	for i := range s.hops {
		if s.tried>>i&1 != 0 {
			if len(tried) > 0 {
				tried = append(tried, ' ')
			}
			tried = append(tried, s.hops[i].Node...)
		}
	}
	s.h.text = tried
	s.answer(&refusal{status: 480, params: `;tried="` + string(tried) + `"`})
}

// answer ends the search with an answer of this hub.
func (s *search) answer(r *refusal) {
	s.close()
	s.h.refuse(s.tx, r)
}

// close lets go of what only an unanswered request needs, and cancels what is still open.
func (s *search) close() {
	s.done = true
	s.silence.Stop()
	s.raw, s.path = nil, nil
	for a := range s.open {
		a.tx.Cancel(nil)
	}
}
