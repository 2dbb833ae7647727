package ingress

import (
	"github.com/mss-federation/mss/lmss/call"
	"github.com/mss-federation/mss/lmss/user"
	"github.com/mss-federation/mss/pkg/digest"
	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/sipheader"
	"github.com/mss-federation/mss/pkg/siptransport"
	"github.com/mss-federation/mss/pkg/siptx"
)

// identify finds out who sent a request: a user known by the address it comes from, or one who proves a
// password. Without proof it answers 401 and returns false.
func (h *Handler) identify(tx *siptx.ServerTx, req *siptx.Request) (*user.User, bool) {
	if u, ok := h.Users.Table().LookupAddress(req.Flow.Remote.Addr()); ok && !u.Disabled {
		return u, true
	}
	return h.authenticate(tx, req)
}

// authenticate checks the digest (RFC 3261 §22). The challenge leaves without a transaction: an
// unauthenticated peer costs no state and gets no retransmission.
func (h *Handler) authenticate(tx *siptx.ServerTx, req *siptx.Request) (*user.User, bool) {
	now := h.worker.Now()
	verdict, best := digest.Missing, federation.User("")
	for value := range sipheader.Values(req.Raw, req.Head, "authorization") {
		name, v := h.Authority.CheckURI(now, value, req.Head.Method, string(req.Head.URI.Of(req.Raw)), h.ha1)
		verdict, best = v, federation.User(name)
		if v == digest.OK || v.Renew() {
			break
		}
	}
	if verdict == digest.OK {
		if u, ok := h.Users.Table().Lookup(best); ok && !u.Disabled {
			return u, true
		}
	}
	if verdict != digest.Missing && !verdict.Renew() {
		h.Counters.AuthFailures.Add(1)
		h.Logger.Info("authentication failed", "user", best, "source", req.Flow.Remote.String(), "method", req.Head.Method, "why", verdict.String(),
			"next", "give the phone the user's name and password; mssctl user list shows who there is, mssctl user set makes a new password")
	}
	challenge := line{"WWW-Authenticate", h.Authority.Challenge(now, verdict.Renew())}
	tx.SendStateless(401, h.response(tx, 401, "Unauthorized", []line{challenge}))
	return nil, false
}

// ha1 finds the hash of a user in the Authority's algorithm.
func (h *Handler) ha1(name string) (string, bool) {
	u, ok := h.Users.Table().Lookup(federation.User(name))
	if !ok || u.Disabled || u.Realm != h.Authority.Realm() {
		return "", false
	}
	if h.Authority.Algorithm() == digest.SHA256 {
		return u.HA1SHA256, u.HA1SHA256 != ""
	}
	return u.HA1MD5, u.HA1MD5 != ""
}

// registeredAt says whether a user may be believed on a flow: registered over it, or known by its address.
func (h *Handler) registeredAt(name federation.User, flow siptransport.Flow) bool {
	if name == "" {
		return false
	}
	if u, ok := h.Users.Table().LookupAddress(flow.Remote.Addr()); ok && u.Name == name && !u.Disabled {
		return true
	}
	for _, b := range h.Registrar.Bindings(h.worker.Now(), name) {
		if b.Flow == flow {
			return true
		}
	}
	return false
}

// behindNAT says whether a request's source is neither what its top Via says nor its Contact's host: the
// phone does not know the address that others see.
func behindNAT(req *siptx.Request) bool {
	var text [48]byte
	source := req.Flow.Remote.Addr().Unmap().AppendTo(text[:0])
	if host, _ := req.Via(); string(host) == string(source) {
		return false
	}
	return sipheader.Host(call.Contact(req)) != string(source)
}
