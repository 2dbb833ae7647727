package ingress

import (
	"github.com/mss-federation/mss/lmss/call"
	"github.com/mss-federation/mss/lmss/dialplan"
	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/sipheader"
	"github.com/mss-federation/mss/pkg/siptransport"
	"github.com/mss-federation/mss/pkg/siptx"
)

// hub says which hub is at the other end of a flow. The link proves it: hubs are never challenged.
func (h *Handler) hub(flow siptransport.Flow) (federation.NodeID, bool) {
	if h.Uplink == nil {
		return "", false
	}
	return h.Uplink.Node(flow)
}

// fromHub takes the requests of hubs outside dialogs. They bring calls of other sites and nothing else: a
// hub is nobody's phone.
func (h *Handler) fromHub(tx *siptx.ServerTx, req *siptx.Request) bool {
	node, ok := h.hub(req.Flow)
	switch {
	case !ok:
		return false
	case req.Head.Method == "INVITE":
		h.inviteFromHub(tx, req, node)
	case req.Head.Method == "REGISTER":
		h.answer(tx, 403, "Forbidden")
	default:
		return false
	}
	return true
}

// inviteFromHub starts a call from another site. Who calls is what its L-MSS wrote into From, after it had asked
// for proof.
func (h *Handler) inviteFromHub(tx *siptx.ServerTx, req *siptx.Request, node federation.NodeID) {
	if h.calls.Copy(tx, req, node) {
		return
	}
	h.place(tx, req, dialplan.FromUplink, call.Caller{
		User: userOf(sipheader.URI(string(req.Head.From.Of(req.Raw)))), Display: sipheader.DisplayName(string(req.Head.From.Of(req.Raw))), Node: node,
	})
}

// inDialogOfHub gives a request to the dialog of a leg that hubs carry, whichever hub brings it: dialogs move
// between hubs. What comes from a hub reaches no phone's dialog, and what comes from elsewhere no hub's.
func (h *Handler) inDialogOfHub(tx *siptx.ServerTx, req *siptx.Request, leg *call.Leg) bool {
	if _, hub := h.hub(req.Flow); hub && leg.Node() != "" {
		h.calls.InDialog(leg, tx, req)
	} else {
		h.answer(tx, 403, "Forbidden")
	}
	return true
}

// site is a number at another site. Which hub leads there is the hubs' to know.
func (h *Handler) site(number federation.Number) call.Target {
	return call.Target{Uplink: true, User: federation.User(number), URI: "sip:" + string(number) + "@" + h.Domain}
}
