package ingress

import (
	"slices"
	"strconv"
	"strings"

	"github.com/mss-federation/mss/lmss/registrar"
	"github.com/mss-federation/mss/pkg/sipheader"
	"github.com/mss-federation/mss/pkg/siptx"
)

// register authenticates a REGISTER and gives it to the registrar. The address-of-record is the user part
// of To; only its owner may change it.
func (h *Handler) register(tx *siptx.ServerTx, req *siptx.Request) {
	who, ok := h.authenticate(tx, req)
	if !ok {
		return
	}
	to := sipheader.URI(string(req.Head.To.Of(req.Raw)))
	if scheme, _, _ := strings.Cut(to, ":"); !strings.EqualFold(scheme, "sip") && !strings.EqualFold(scheme, "sips") {
		h.answer(tx, 400, "To is not a SIP URI") // RFC 3261 §10.3 step 5, RFC 4475 §3.3.4
		return
	}
	aor := userOf(to)
	if aor != who.Name {
		h.answer(tx, 403, "Forbidden")
		return
	}
	contacts, star, err := registrar.ParseContacts(slices.Collect(sipheader.Values(req.Raw, req.Head, "contact")))
	if err != nil {
		h.answer(tx, 400, "Bad Contact", line{"Warning", `399 mss "` + err.Error() + `"`})
		return
	}
	_, rport := req.Via()
	out := h.Registrar.Register(h.worker.Now(), registrar.Request{
		AoR: aor, CallID: string(req.Head.CallID.Of(req.Raw)), CSeq: req.Head.CSeq, Contacts: contacts, Star: star,
		Expires: expires(req), Flow: req.Flow, RPort: rport,
		Path: slices.Collect(sipheader.Values(req.Raw, req.Head, "path")), UserAgent: sipheader.First(req.Raw, req.Head, "user-agent"),
	}, who.BindingLimit())
	if out.Status == 200 && req.Flow.ID != 0 {
		h.Keep(req.Flow, holds(out.Bindings, req))
	}
	h.confirm(tx, &out)
}

// confirm answers a REGISTER once what it changed is safe, so that a phone that was told 200 is still
// known after a crash; after PersistWait it answers all the same.
func (h *Handler) confirm(tx *siptx.ServerTx, out *registrar.Outcome) {
	msg := h.registered(tx, out)
	if len(out.Changes) == 0 || h.Persist == nil {
		tx.Send(out.Status, msg)
		return
	}
	answered := false
	answer := func() {
		if !answered {
			answered = true
			tx.Send(out.Status, msg)
		}
	}
	late := h.worker.After(h.PersistWait, answer)
	h.Persist(out.Changes, func() {
		if err := h.worker.Post(func() { late.Stop(); answer() }); err != nil {
			h.Logger.Debug("event after the end of its worker", "err", err)
		}
	})
}

func expires(req *siptx.Request) int {
	value := sipheader.First(req.Raw, req.Head, "expires")
	if value == "" {
		return registrar.Absent
	}
	return registrar.ParseExpires(value)
}

// holds says whether a binding uses the request's connection.
func holds(bindings []registrar.Binding, req *siptx.Request) bool {
	return slices.ContainsFunc(bindings, func(b registrar.Binding) bool { return b.Flow == req.Flow })
}

// registered writes the answer: every binding's Contact as it was sent, with what is left of it.
func (h *Handler) registered(tx *siptx.ServerTx, out *registrar.Outcome) []byte {
	msg := tx.AppendResponse(make([]byte, 0, 1024), out.Status, out.Reason, h.worker.NewTag())
	now := h.worker.Now()
	for i := range out.Bindings {
		if out.Bindings[i].Remaining(now) <= 0 {
			continue
		}
		msg = append(msg, "Contact: "...)
		msg = out.Bindings[i].AppendContact(msg, now)
		msg = append(msg, "\r\n"...)
	}
	if out.MinExpires > 0 {
		msg = sipheader.Number(msg, "Min-Expires", out.MinExpires)
	}
	if out.RetryAfter > 0 {
		msg = sipheader.Line(msg, "Retry-After", strconv.Itoa(out.RetryAfter))
	}
	if out.Status == 200 {
		msg = sipheader.Line(msg, "Date", now.UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT"))
	}
	return sipheader.Body(msg, "", nil)
}
