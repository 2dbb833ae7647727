package call

import (
	"slices"
	"strings"

	"github.com/mss-federation/mss/pkg/sipgate"
	"github.com/mss-federation/mss/pkg/sipheader"
	"github.com/mss-federation/mss/pkg/siptransport"
	"github.com/mss-federation/mss/pkg/siptx"
)

// Allow lists the methods that a leg understands.
const Allow = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO"

// maxForwards is where a request of our own begins (RFC 3261 §8.1.1.6).
const maxForwards = 70

// field is a header that is passed on.
type field struct{ name, value string }

// passRequest lists the headers of an INVITE or INFO that reach the other leg. All others end here:
// identity, routing and extension headers are ours to write.
var passRequest = []string{
	"Subject", "Priority", "Alert-Info", "Accept", "Accept-Language", "Organization", "In-Reply-To",
	"Content-Disposition", "Info-Package", "Date",
}

// passResponse is the list for responses.
var passResponse = []string{
	"Alert-Info", "Warning", "Organization", "Reason", "Content-Disposition", "Accept", "Accept-Language", "Date",
	"Error-Info",
}

// maxPassed bounds how many headers of one message are passed on.
const maxPassed = 16

// passed collects the headers of a message that its allow-list lets through. The gate has written compact names out.
func passed(msg []byte, h *sipgate.Head, list []string) []field {
	var out []field
	for i := range h.Lines {
		line := &h.Lines[i]
		name := line.Name.Of(msg)
		at := slices.IndexFunc(list, func(long string) bool { return len(long) == len(name) && strings.EqualFold(long, string(name)) })
		if at < 0 {
			continue
		}
		if len(out) == maxPassed {
			break
		}
		value := string(line.Value.Of(msg))
		if list[at] == "Date" && !strings.HasSuffix(value, " GMT") {
			continue // not a SIP-date (RFC 3261 §20.17): we need not mind it, but those behind us may
		}
		out = append(out, field{list[at], value})
	}
	return out
}

func appendFields(dst []byte, fields []field) []byte {
	for _, f := range fields {
		dst = sipheader.Line(dst, f.name, f.value)
	}
	return dst
}

// appendRequest writes the head of a request of ours in the leg's dialog, up to and without
// Content-Type: request line, Via, Max-Forwards, Route, From, To, Call-ID, CSeq, and Contact where the
// method refreshes the target.
func (l *Leg) appendRequest(dst []byte, method string, seq uint32, branch siptx.Branch, hops int) []byte {
	sentBy := l.call.env.SentBy(l.flow)
	dst = sipheader.RequestLine(dst, method, l.target)
	var text [48]byte
	dst = sipheader.Via(dst, l.flow.Transport, sentBy, branch.AppendTo(text[:0]))
	dst = sipheader.Number(dst, "Max-Forwards", hops)
	for _, r := range l.routes {
		dst = sipheader.Line(dst, "Route", r)
	}
	dst = sipheader.Tagged(dst, "From", l.local, l.localTag)
	dst = sipheader.Tagged(dst, "To", l.remote, l.remoteTag)
	dst = sipheader.Line(dst, "Call-ID", l.callID)
	dst = sipheader.CSeq(dst, seq, method)
	if method == "INVITE" || method == "OPTIONS" {
		dst = l.appendContact(dst)
		dst = sipheader.Line(dst, "Allow", Allow)
	}
	if method == "INVITE" {
		dst = l.appendVoice(dst)
	}
	return l.appendSession(dst)
}

// appendContact writes our Contact on this leg: each leg shows its own local address. It is a sip URI but towards a
// peer over TLS whose own is a sips one: such peers refuse a dialog with any other (RFC 3261 §8.1.1.8, §12.1.1).
func (l *Leg) appendContact(dst []byte) []byte {
	if l.flow.Transport == siptransport.TLS && isSIPS(l.target) {
		dst = append(dst, "Contact: <sips:"...)
		dst = l.call.env.SentBy(l.flow).AppendTo(dst)
		return append(dst, ">\r\n"...)
	}
	dst = append(dst, "Contact: <sip:"...)
	dst = l.call.env.SentBy(l.flow).AppendTo(dst)
	if l.flow.Transport != siptransport.UDP {
		dst = append(dst, ";transport="...)
		dst = append(dst, l.flow.Transport.Param()...)
	}
	return append(dst, ">\r\n"...)
}

func isSIPS(uri string) bool {
	const scheme = "sips:"
	return len(uri) > len(scheme) && strings.EqualFold(uri[:len(scheme)], scheme)
}

// appendSession writes the Session-ID (RFC 7989 §5); the remote half is not tracked and is the nil UUID.
func (l *Leg) appendSession(dst []byte) []byte {
	dst = append(dst, "Session-ID: "...)
	dst = append(dst, l.call.session...)
	return append(dst, ";remote=00000000000000000000000000000000\r\n"...)
}

// respond answers an INVITE of the peer or any other request in the dialog and returns what it sent.
func (l *Leg) respond(tx *siptx.ServerTx, status int, reason string, fields []field, sdp []byte) []byte {
	msg := l.response(tx, status, reason, fields, sdp)
	tx.Send(status, msg)
	if tx == l.invite {
		l.answerCopies(status, reason, fields, sdp)
	}
	return msg
}

// response writes an answer, with what one that forms or refreshes a dialog needs; fields and sdp may be empty.
func (l *Leg) response(tx *siptx.ServerTx, status int, reason string, fields []field, sdp []byte) []byte {
	return l.responseTo(tx, l.recorded, status, reason, fields, sdp)
}

// responseTo is response with the Record-Route of that request: each copy of an INVITE has its own.
func (l *Leg) responseTo(tx *siptx.ServerTx, recorded []string, status int, reason string, fields []field, sdp []byte) []byte {
	msg := tx.AppendResponse(make([]byte, 0, 1024), status, reason, l.localTag)
	if tx.Method() == "INVITE" && status > 100 && status < 300 {
		for _, rr := range recorded {
			msg = sipheader.Line(msg, "Record-Route", rr)
		}
		msg = l.appendContact(msg)
		msg = sipheader.Line(msg, "Allow", Allow)
	}
	if tx.Method() == "INVITE" {
		msg = l.appendVoice(msg)
	}
	msg = l.appendSession(msg)
	msg = appendFields(msg, fields)
	return sipheader.Body(msg, "application/sdp", sdp)
}

// recordRoutes collects the Record-Route values, one per element, top first.
func recordRoutes(msg []byte, h *sipgate.Head) []string {
	var out []string
	for value := range sipheader.Values(msg, h, "record-route") {
		out = slices.AppendSeq(out, sipheader.Elements(value))
	}
	return out
}

// Contact is the URI of an INVITE's Contact, as the target of a dialog; "" without one. RFC 2543 does not ask for
// it, and sends to the URI in From then (RFC 4475 §3.4.1); what speaks that has no magic cookie in its branch.
func Contact(req *siptx.Request) string {
	contact := contactURI(req.Raw, req.Head)
	if contact == "" && !siptx.HasCookie(req.Head.Branch.Of(req.Raw)) {
		return sipheader.Target(sipheader.URI(string(req.Head.From.Of(req.Raw))))
	}
	return contact
}

// contactURI is where the sender wants the requests of its dialog, "" when it does not say.
func contactURI(msg []byte, h *sipgate.Head) string {
	for one := range sipheader.Elements(sipheader.First(msg, h, "contact")) {
		if one == "*" {
			return ""
		}
		return sipheader.Target(sipheader.URI(one))
	}
	return ""
}

// nameAddr writes `"display" <sip:user@host>`.
func nameAddr(display, user, host string) string {
	dst := make([]byte, 0, 64)
	if display != "" {
		dst = sipheader.Quoted(dst, display)
		dst = append(dst, ' ')
	}
	dst = append(dst, "<sip:"...)
	dst = appendUser(dst, user)
	dst = append(dst, '@')
	dst = append(dst, host...)
	return string(append(dst, '>'))
}

// appendUser writes a URI's user part, escaping what RFC 3261 §25.1 does not allow there.
func appendUser(dst []byte, user string) []byte {
	const unreserved = "-_.!~*'()&=+$,;?/"
	const hex = "0123456789ABCDEF"
	for i := range len(user) {
		b := user[i]
		if b >= '0' && b <= '9' || b|0x20 >= 'a' && b|0x20 <= 'z' || strings.IndexByte(unreserved, b) >= 0 {
			dst = append(dst, b)
			continue
		}
		dst = append(dst, '%', hex[b>>4], hex[b&15])
	}
	return dst
}
