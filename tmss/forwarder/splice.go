package forwarder

import (
	"bytes"
	"strconv"

	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/sipgate"
	"github.com/mss-federation/mss/pkg/siptransport"
	"github.com/mss-federation/mss/pkg/siptx"
	"github.com/mss-federation/mss/tmss/cookie"
)

// forward is a request that is to be written for its next node. Positions in head are those of msg.
type forward struct {
	msg    []byte
	head   *sipgate.Head
	from   siptransport.Flow
	routes []routeEntry
	popped int
	sender federation.NodeID

	node   federation.NodeID
	flow   siptransport.Flow
	branch siptx.Branch
	path   []byte // X-MSS-Path's new value; nil leaves the header as it is
	record bool   // Record-Route
	target bool   // the Request-URI is a number: a trunk gets its own address behind it
}

const maxForwards = 70

// appendRequest appends the request as it leaves (RFC 3261 §16.6): what is ours on top, then its own lines but
// for those that change, then its body.
func (h *handler) appendRequest(dst []byte, f *forward) []byte {
	h.metrics.requests.Add(1)
	dst = h.appendStart(dst, f)
	dst = append(dst, "Via: SIP/2.0/"...)
	dst = append(dst, f.flow.Transport.String()...)
	dst = append(dst, ' ')
	dst = h.SentBy(f.flow).AppendTo(dst)
	dst = append(dst, ";rport;branch="...)
	dst = f.branch.AppendTo(dst)
	dst = append(dst, "\r\n"...)
	if f.record {
		dst = h.appendRecordRoute(dst, f)
	}
	dst = append(dst, "Max-Forwards: "...)
	left := maxForwards
	if f.head.MaxForwards > 0 {
		left = f.head.MaxForwards - 1
	}
	dst = strconv.AppendInt(dst, int64(left), 10)
	dst = append(dst, "\r\n"...)
	if f.path != nil && isNode(f.node) {
		dst = append(dst, pathName...)
		dst = append(dst, ": "...)
		dst = append(dst, f.path...)
		dst = append(dst, "\r\n"...)
	}
	return h.appendRest(dst, f)
}

func (h *handler) appendStart(dst []byte, f *forward) []byte {
	if !f.target || isNode(f.node) {
		return append(dst, f.msg[:f.head.Lines[0].From]...)
	}
	dst = append(dst, f.head.Method...)
	dst = append(dst, " sip:"...)
	u := cutURI(f.head.URI.Of(f.msg))
	dst = append(dst, u.user...)
	if len(u.user) > 0 {
		dst = append(dst, '@')
	}
	dst = f.flow.Remote.AppendTo(dst)
	if u.scheme == "tel" {
		dst = append(dst, ";user=phone"...)
	}
	dst = append(dst, u.params...)
	return append(dst, " SIP/2.0\r\n"...)
}

// appendRecordRoute writes one value, or two where the sides do not share transport and address: the one that
// the next node sees on top (RFC 5658 §4).
func (h *handler) appendRecordRoute(dst []byte, f *forward) []byte {
	callID, tag := f.head.CallID.Of(f.msg), f.head.FromTag.Of(f.msg)
	text, err := h.Keys.Append(h.text[:0], cookie.Cookie{By: h.Self, In: f.sender, Out: f.node}, callID, tag, h.w.Now())
	h.text = text
	if err != nil {
		h.Logger.Error("no cookie", "err", err)
		return dst
	}
	out, in := h.SentBy(f.flow), h.SentBy(f.from)
	dst = h.appendRecordRouteValue(dst, f.flow, f.node, text)
	if out != in || f.flow.Transport != f.from.Transport {
		dst = h.appendRecordRouteValue(dst, f.from, f.sender, text)
	}
	return dst
}

func (h *handler) appendRecordRouteValue(dst []byte, flow siptransport.Flow, peer federation.NodeID, text []byte) []byte {
	dst = append(dst, "Record-Route: <sip:"...)
	if h.Host != "" && !isNode(peer) {
		dst = append(dst, h.Host...)
	} else {
		dst = h.SentBy(flow).AppendTo(dst)
	}
	if flow.Transport.Stream() {
		dst = append(dst, ";transport="...)
		dst = append(dst, flow.Transport.Param()...)
	}
	dst = append(dst, ";lr;"+cookieParam+"="...)
	dst = append(dst, text...)
	return append(dst, ">\r\n"...)
}

// appendRest copies the request's own lines in runs, round those that change or may not pass.
func (h *handler) appendRest(dst []byte, f *forward) []byte {
	msg, lines := f.msg, f.head.Lines
	kept := lines[0].From // where the run of bytes to copy began
	length, via := false, false
	for i := range lines {
		line := &lines[i]
		changed := false
		switch line.Field {
		case sipgate.FieldVia:
			changed = !via
		case sipgate.FieldMaxForwards:
			changed = true
		case sipgate.FieldRoute:
			changed = f.popped > 0
		case sipgate.FieldContentLength:
			length = true
		case sipgate.FieldOther:
			changed = h.stops(f, line.Name.Of(msg))
		default:
		}
		if !changed {
			continue
		}
		dst = append(dst, msg[kept:line.From]...)
		kept = line.To
		switch line.Field {
		case sipgate.FieldVia:
			via = true
			dst = append(dst, "Via: "...)
			dst = siptx.AppendVia(dst, line.Value.Of(msg), f.from)
			dst = append(dst, "\r\n"...)
		case sipgate.FieldRoute:
			dst = f.appendRoutes(dst, i)
		default:
		}
	}
	return appendEnd(dst, msg, f.head, kept, length)
}

// appendEnd copies the last run and the body. A datagram may come without a Content-Length; on a stream it needs one.
func appendEnd(dst, msg []byte, head *sipgate.Head, kept int, length bool) []byte {
	last := head.Lines[len(head.Lines)-1].To
	dst = append(dst, msg[kept:last]...)
	if !length {
		dst = append(dst, "Content-Length: "...)
		dst = strconv.AppendInt(dst, int64(head.Body.To-head.Body.From), 10)
		dst = append(dst, "\r\n"...)
	}
	dst = append(dst, "\r\n"...)
	return append(dst, head.Body.Of(msg)...)
}

// appendRoutes writes what is left of one Route line.
func (f *forward) appendRoutes(dst []byte, line int) []byte {
	for i := f.popped; i < len(f.routes); i++ {
		if r := &f.routes[i]; r.line == line {
			dst = append(dst, "Route: "...)
			dst = append(dst, r.Of(f.msg)...)
			dst = append(dst, "\r\n"...)
		}
	}
	return dst
}

// stops says whether a header that the gate does not know ends here.
func (h *handler) stops(f *forward, name []byte) bool {
	if isOurs(name) {
		return !isNode(f.sender) || !isNode(f.node) || f.path != nil && isPath(name)
	}
	if !isIdentity(name) {
		return false
	}
	return !isNode(f.sender) && !h.Trusted(f.sender) || !isNode(f.node) && !h.Trusted(f.node)
}

// isOurs says whether a header is one of those that exist between our nodes alone.
func isOurs(name []byte) bool {
	const prefix = "X-MSS-"
	return len(name) >= len(prefix) && bytes.EqualFold(name[:len(prefix)], []byte(prefix))
}

// identityNames are headers that say who calls or who was called before, in their lengths' order. They are
// worth what their sender is (RFC 3325 §5).
var identityNames = [...]string{
	"Diversion", "History-Info", "Remote-Party-ID", "P-Asserted-Identity", "P-Preferred-Identity",
}

func isIdentity(name []byte) bool {
	for _, n := range identityNames {
		if len(n) == len(name) && bytes.EqualFold([]byte(n), name) {
			return true
		}
	}
	return false
}

// appendResponse appends a response as it goes back: without our Via, and without what stays between nodes.
// status is the one it leaves under.
func appendResponse(dst []byte, res *siptx.Response, status int, inside bool) []byte {
	msg, lines := res.Raw, res.Head.Lines
	if status == res.Head.Status {
		dst = append(dst, msg[:lines[0].From]...)
	} else {
		dst = append(dst, "SIP/2.0 "...)
		dst = strconv.AppendInt(dst, int64(status), 10)
		dst = append(dst, ' ')
		dst = append(dst, siptx.Reason(status)...)
		dst = append(dst, "\r\n"...)
	}
	kept := lines[0].From
	length, via := false, false
	for i := range lines {
		line := &lines[i]
		switch {
		case line.Field == sipgate.FieldContentLength:
			length = true
		case line.Field == sipgate.FieldVia && !via:
			via = true
			dst = append(dst, msg[kept:line.From]...)
			kept = line.To
			if rest := afterFirst(line.Value.Of(msg)); len(rest) > 0 {
				dst = append(dst, "Via: "...)
				dst = append(dst, rest...)
				dst = append(dst, "\r\n"...)
			}
		case line.Field == sipgate.FieldOther && !inside && isOurs(line.Name.Of(msg)):
			dst = append(dst, msg[kept:line.From]...)
			kept = line.To
		}
	}
	return appendEnd(dst, msg, res.Head, kept, length)
}

// afterFirst is what follows the first of comma-separated values.
func afterFirst(value []byte) []byte {
	end := elementEnd(value)
	if end == len(value) {
		return nil
	}
	return bytes.TrimLeft(value[end+1:], " \t\r\n")
}
