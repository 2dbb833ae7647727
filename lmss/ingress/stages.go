package ingress

import (
	"strings"

	"github.com/mss-federation/mss/lmss/call"
	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/sipheader"
	"github.com/mss-federation/mss/pkg/siptx"
)

// extensions refuses what a request requires and we do not have, of the end that we are to the sender (RFC 3261
// §8.2.2.3) or else of what stands between ends (§16.3 step 5), never both in one answer.
func (h *Handler) extensions(tx *siptx.ServerTx, req *siptx.Request) bool {
	for _, name := range [...]string{"require", "proxy-require"} {
		var unsupported []string
		for token := range sipheader.Tokens(req.Raw, req.Head, name) {
			if !supported(token) {
				unsupported = append(unsupported, token)
			}
		}
		if len(unsupported) > 0 {
			h.answer(tx, 420, "Bad Extension", line{"Unsupported", strings.Join(unsupported, ", ")})
			return true
		}
	}
	return false
}

// supported says whether we have an extension. Path only adds a header that the registrar keeps.
func supported(token string) bool { return strings.EqualFold(token, "path") }

// scheme refuses what no part of us understands (RFC 3261 §8.2.2.1).
func (h *Handler) scheme(tx *siptx.ServerTx, req *siptx.Request) bool {
	scheme, _, _ := strings.Cut(string(req.Head.URI.Of(req.Raw)), ":")
	switch strings.ToLower(scheme) {
	case "sip", "sips", "tel":
		return false
	}
	h.answer(tx, 416, "Unsupported URI Scheme")
	return true
}

// inDialog gives a request with a To tag to its call, if it comes from where the dialog's peer was last
// heard, or from where the same user is registered, or authenticates itself. A right tag alone moves nothing.
func (h *Handler) inDialog(tx *siptx.ServerTx, req *siptx.Request) bool {
	if !req.Head.ToTag.Present() {
		return false
	}
	leg := h.calls.Leg(req)
	if leg == nil {
		h.answer(tx, 481, "Call/Transaction Does Not Exist")
		return true
	}
	if _, hub := h.hub(req.Flow); hub || leg.Node() != "" {
		return h.inDialogOfHub(tx, req, leg)
	}
	if !leg.From(req.Flow) && !h.registeredAt(leg.User(), req.Flow) {
		who, ok := h.authenticate(tx, req)
		if !ok {
			return true
		}
		if who.Name != leg.User() {
			h.answer(tx, 403, "Forbidden")
			return true
		}
	}
	h.calls.InDialog(leg, tx, req)
	return true
}

// dispatch sends a request outside dialogs to who serves its method.
func (h *Handler) dispatch(tx *siptx.ServerTx, req *siptx.Request) bool {
	switch req.Head.Method {
	case "INVITE":
		h.invite(tx, req)
	case "REGISTER":
		h.register(tx, req)
	case "OPTIONS":
		h.answer(tx, 200, "OK", line{"Allow", call.Allow + ", REGISTER"}, line{"Accept", "application/sdp"}, line{"Supported", "path"})
	case "BYE", "INFO", "PRACK", "UPDATE", "NOTIFY":
		h.answer(tx, 481, "Call/Transaction Does Not Exist")
	default:
		h.answer(tx, 405, "Method Not Allowed", line{"Allow", call.Allow + ", REGISTER"})
	}
	return true
}

// line is a header of an answer.
type line struct{ name, value string }

// answer sends a response that belongs to no call.
func (h *Handler) answer(tx *siptx.ServerTx, status int, reason string, lines ...line) {
	tx.Send(status, h.response(tx, status, reason, lines))
}

func (h *Handler) response(tx *siptx.ServerTx, status int, reason string, lines []line) []byte {
	msg := tx.AppendResponse(make([]byte, 0, 512), status, reason, h.worker.NewTag())
	for _, l := range lines {
		msg = sipheader.Line(msg, l.name, l.value)
	}
	return sipheader.Body(msg, "", nil)
}

// userOf is the user part of a SIP or tel URI, unescaped, without parameters; "" when there is none.
func userOf(uri string) federation.User {
	scheme, rest, ok := strings.Cut(uri, ":")
	if !ok {
		return ""
	}
	if strings.EqualFold(scheme, "tel") {
		number, _, _ := strings.Cut(rest, ";")
		return federation.User(number)
	}
	at := strings.LastIndexByte(rest, '@')
	if at < 0 {
		return ""
	}
	// Parameters and a password in the user part say nothing about who is meant (RFC 3261 §19.1.1).
	name, _, _ := strings.Cut(rest[:at], ";")
	name, _, _ = strings.Cut(name, ":")
	return federation.User(unescape(name))
}

// unescape resolves %HH (RFC 3261 §19.1.2). A broken escape stays as it is and matches nobody.
func unescape(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			hi, lo := hexDigit(s[i+1]), hexDigit(s[i+2])
			if hi >= 0 && lo >= 0 {
				out = append(out, byte(hi<<4|lo))
				i += 2
				continue
			}
		}
		out = append(out, s[i])
	}
	return string(out)
}

func hexDigit(b byte) int {
	switch {
	case b >= '0' && b <= '9':
		return int(b - '0')
	case b|0x20 >= 'a' && b|0x20 <= 'f':
		return int(b|0x20-'a') + 10
	}
	return -1
}
