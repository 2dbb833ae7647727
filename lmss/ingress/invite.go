package ingress

import (
	"github.com/mss-federation/mss/lmss/call"
	"github.com/mss-federation/mss/lmss/dialplan"
	"github.com/mss-federation/mss/lmss/registrar"
	"github.com/mss-federation/mss/lmss/user"
	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/sipheader"
	"github.com/mss-federation/mss/pkg/siptx"
)

// invite starts a call: who, where to, then the call control.
func (h *Handler) invite(tx *siptx.ServerTx, req *siptx.Request) {
	if h.calls.Merged(req) {
		h.answer(tx, 482, "Loop Detected")
		return
	}
	caller, ok := h.identify(tx, req)
	if !ok {
		return
	}
	h.place(tx, req, dialplan.FromUser, call.Caller{User: caller.Name, Display: displayName(caller, req), NAT: behindNAT(req)})
}

// place sends a call where the dial plan says.
func (h *Handler) place(tx *siptx.ServerTx, req *siptx.Request, source dialplan.Source, caller call.Caller) {
	called := federation.Number(userOf(string(req.Head.URI.Of(req.Raw))))
	decision := h.Plan().Decide(dialplan.Query{
		Caller: federation.Number(caller.User), Called: called, Source: source, At: h.worker.Now(),
	})
	if len(decision.Targets) == 0 {
		h.refuseNumber(tx, caller.User, called, &decision)
		return
	}
	if call.Contact(req) == "" {
		h.answer(tx, 400, "Missing Contact") // RFC 3261 §8.1.1.8: without it the dialog has no target
		return
	}
	groups := h.groups(decision.Targets)
	if len(groups) == 0 {
		h.answer(tx, 480, "Temporarily Unavailable")
		return
	}
	h.calls.Invite(tx, req, call.Plan{Caller: caller, Called: called, Groups: groups})
}

// refuseNumber answers a call that leads nowhere, with the reason of the dial plan for people (RFC 3261 §20.43).
func (h *Handler) refuseNumber(tx *siptx.ServerTx, caller federation.User, called federation.Number, d *dialplan.Decision) {
	why := d.Steps[len(d.Steps)-1].Why
	h.Logger.Info("number not served", "caller", caller, "called", called, "status", d.Status, "why", why,
		"next", "dial another number, or give it to a user here with mssctl user add; mssctl route list on a hub shows whose the others are")
	warning := append([]byte("399 "), h.Authority.Realm()+" "...)
	warning = sipheader.Quoted(warning, string(called)+": "+why)
	h.answer(tx, d.Status, d.Reason, line{"Warning", string(warning)})
}

// displayName is the one the operator gave, or else what the phone says of itself.
func displayName(u *user.User, req *siptx.Request) string {
	if u.DisplayName != "" {
		return u.DisplayName
	}
	return sipheader.DisplayName(string(req.Head.From.Of(req.Raw)))
}

// groups turns the dial plan's targets into what rings, group after group.
func (h *Handler) groups(targets []dialplan.Target) [][]call.Target {
	var groups [][]call.Target
	for _, t := range targets {
		switch t.Kind {
		case dialplan.LocalUser:
			groups = append(groups, h.phones(t.User)...)
		case dialplan.Site:
			groups = append(groups, []call.Target{h.site(t.Number)})
		}
	}
	return groups
}

// phones are the places where a user can be reached: bindings by descending q, then the fixed address.
func (h *Handler) phones(name federation.User) [][]call.Target {
	var groups [][]call.Target
	for same := range registrar.Groups(h.Registrar.Bindings(h.worker.Now(), name)) {
		group := make([]call.Target, 0, len(same))
		for i := range same {
			group = append(group, bindingTarget(name, &same[i]))
		}
		groups = append(groups, group)
	}
	if t, ok := h.fixedTarget(name); ok {
		groups = append(groups, []call.Target{t})
	}
	return groups
}

func bindingTarget(name federation.User, b *registrar.Binding) call.Target {
	return call.Target{
		User: name, URI: sipheader.Target(b.RequestURI), Flow: b.Target, Routes: b.Path, Instance: b.Instance, NAT: b.NAT,
	}
}

// fixedTarget is the address, or the server, of a user that does not register.
func (h *Handler) fixedTarget(name federation.User) (call.Target, bool) {
	u, ok := h.Users.Table().Lookup(name)
	if !ok || u.Target.IsZero() {
		return call.Target{}, false
	}
	uri := u.Target.URI(string(name))
	if u.Target.Host != "" {
		return call.Target{User: name, URI: uri, Name: u.Target.Query()}, true
	}
	flow := u.Target.Flow(u.Target.Address)
	local, ok := h.LocalFor(flow.Transport, u.Target.Address.Addr())
	if !ok {
		return call.Target{}, false
	}
	flow.Local = local
	return call.Target{User: name, URI: uri, Flow: flow}, true
}
