package forwarder

import (
	"bytes"

	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/sipgate"
	"github.com/mss-federation/mss/pkg/siptransport"
	"github.com/mss-federation/mss/pkg/siptx"
)

// handler is the forwarder on one worker.
type handler struct {
	*Forwarder
	w *siptx.Worker

	// Scratch of the message in work.
	out    []byte
	routes []routeEntry
	text   []byte
	step   []byte
	head   sipgate.Head // of a request that is written again for its next path
}

var _ siptx.Handler = (*handler)(nil)

// Request takes a request through the stages of RFC 3261 §16.3 to §16.6: who sent it, may it pass, where does it go.
func (h *handler) Request(tx *siptx.ServerTx, req *siptx.Request) {
	sender, known := h.Links.Node(req.Flow)
	if !known {
		h.refuse(tx, &refusal{status: 403, reason: "Unknown Peer", stateless: true})
		return
	}
	if h.isForUs(req) {
		h.options(tx, req)
		return
	}
	if r := screen(req); r != nil {
		h.refuse(tx, r)
		return
	}
	c, r := h.resolve(req, sender)
	if r == nil && c.node == "" && req.Head.Method == "INVITE" && !h.Ready() {
		r = notReady
	}
	if r != nil {
		h.refuse(tx, r)
		return
	}
	s := h.newSearch(tx, req, sender, c)
	if r := s.find(req); r != nil {
		h.refuse(tx, r)
		return
	}
	s.begin(req)
}

// isForUs says whether an OPTIONS asks for the hub itself: it names no user, or may go no further.
func (h *handler) isForUs(req *siptx.Request) bool {
	if req.Head.Method != "OPTIONS" || req.Head.ToTag.Present() {
		return false
	}
	u := cutURI(req.Head.URI.Of(req.Raw))
	return len(u.user) == 0 || req.Head.MaxForwards == 0
}

var notReady = &refusal{status: 503, extra: "Retry-After: 2\r\n"}

func (h *handler) options(tx *siptx.ServerTx, _ *siptx.Request) {
	if h.Ready() {
		h.answerOptions(tx)
		return
	}
	h.refuse(tx, notReady)
}

// screen refuses what no proxy of ours passes on (RFC 3261 §16.3).
func screen(req *siptx.Request) *refusal {
	switch {
	case req.Head.MaxForwards == 0:
		return &refusal{status: 483}
	case req.Head.Method == "REGISTER":
		return &refusal{status: 405, extra: allow}
	}
	for i := range req.Head.Lines {
		line := &req.Head.Lines[i]
		if line.Field == sipgate.FieldOther && bytes.EqualFold(line.Name.Of(req.Raw), []byte("Proxy-Require")) {
			if value := line.Value.Of(req.Raw); len(value) > 0 {
				return &refusal{status: 420, extra: "Unsupported: " + unfold(value) + "\r\n"}
			}
		}
	}
	if !req.Head.ToTag.Present() && cutURI(req.Head.URI.Of(req.Raw)).scheme == "" {
		return &refusal{status: 416}
	}
	return nil
}

// unfold makes one line of a value.
func unfold(value []byte) string {
	return string(bytes.Join(bytes.Fields(value), []byte{' '}))
}

// Cancel ends a search (RFC 3261 §16.10).
func (h *handler) Cancel(tx *siptx.ServerTx, req *siptx.Request) {
	s, ok := tx.User().(*search)
	if !ok {
		h.refuse(tx, &refusal{status: 487})
		return
	}
	s.cancel(req)
}

// Ack passes on the ACK to a 2xx, which has no transaction (RFC 3261 §16.6 without step 9).
func (h *handler) Ack(req *siptx.Request) {
	sender, known := h.Links.Node(req.Flow)
	if !known || req.Head.MaxForwards == 0 || !req.Head.ToTag.Present() {
		h.metrics.droppedAcks.Add(1)
		return
	}
	c, r := h.resolve(req, sender)
	if r != nil || c.node == "" {
		h.metrics.droppedAcks.Add(1)
		return
	}
	for _, node := range h.reach(c.node, sender) {
		link, ok := h.Links.Best(node)
		if !ok {
			continue
		}
		h.metrics.acks.Add(1)
		h.out = h.appendRequest(h.out[:0], &forward{
			msg: req.Raw, head: req.Head, from: req.Flow, routes: h.routes, popped: c.keepFor(node, h.routes),
			sender: sender, node: node, flow: link.Flow, branch: h.w.NewBranch(),
		})
		if len(h.out) <= sipgate.MaxMessage {
			h.w.SendRaw(link.Flow, h.out)
		}
		return
	}
	h.metrics.droppedAcks.Add(1)
}

// reach lists through whom a node of a call is reached: itself, else the hubs that have a connection to it.
func (h *handler) reach(node, sender federation.NodeID) []federation.NodeID {
	if _, ok := h.Links.Best(node); ok {
		return []federation.NodeID{node}
	}
	var through []federation.NodeID
	for _, hub := range h.Hubs(node) {
		if hub != sender && hub != h.Self {
			through = append(through, hub)
		}
	}
	return through
}

// keepFor is how many Route values fall away on the way to node. Another hub that is to reach the cookie's node for
// us gets the cookie too.
func (c *course) keepFor(node federation.NodeID, routes []routeEntry) int {
	if c.node == "" || node == c.node || c.popped == 0 {
		return c.popped
	}
	keep := c.popped - 1
	for keep > 0 && bytes.Equal(routes[keep-1].cookie, routes[keep].cookie) {
		keep--
	}
	return keep
}

// Stray drops a final response whose transaction is gone (RFC 6026 §7.2): it belongs to nobody here.
func (h *handler) Stray(*siptx.Response) { h.metrics.strays.Add(1) }

// FlowClosed needs nothing: the requests on the connection were told one by one.
func (h *handler) FlowClosed(siptransport.Flow, error) {}
