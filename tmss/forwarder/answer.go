package forwarder

import (
	"github.com/mss-federation/mss/pkg/siptx"
)

// refusal is an answer of this hub's own.
type refusal struct {
	status    int
	reason    string // empty means the usual phrase
	extra     string // whole header lines
	params    string // of X-MSS-By
	stateless bool   // the sender is nobody: nothing is kept for it
}

// byName is the header by which others know that a hub of its own, and not who was called, gave an answer.
const byName = "X-MSS-By"

const noBody = "Content-Length: 0\r\n\r\n"

// refuse answers a request here.
func (h *handler) refuse(tx *siptx.ServerTx, r *refusal) {
	h.metrics.refused.Add(1)
	h.out = tx.AppendResponse(h.out[:0], r.status, r.reason, "")
	if r.stateless {
		h.metrics.strangers.Add(1)
		h.out = append(h.out, noBody...)
		tx.SendStateless(r.status, h.out)
		return
	}
	h.out = append(h.out, byName...)
	h.out = append(h.out, ": "...)
	h.out = append(h.out, h.Self...)
	h.out = append(h.out, r.params...)
	h.out = append(h.out, "\r\n"...)
	h.out = append(h.out, r.extra...)
	h.out = append(h.out, noBody...)
	tx.Send(r.status, h.out)
}

// allow is what passes here, for 405 and for the answer to OPTIONS.
const allow = "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, PRACK, UPDATE, INFO, REFER, NOTIFY, SUBSCRIBE, MESSAGE, PUBLISH\r\n"

// answerOptions answers one that means the hub itself: is it there (RFC 3261 §11).
func (h *handler) answerOptions(tx *siptx.ServerTx) {
	h.out = tx.AppendResponse(h.out[:0], 200, "", "")
	h.out = append(h.out, allow...)
	h.out = append(h.out, noBody...)
	tx.Send(200, h.out)
}
