package siptx

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"
	"strconv"

	"github.com/mss-federation/mss/pkg/sipgate"
	"github.com/mss-federation/mss/pkg/siptransport"
)

// appendStatus appends the start line of a response. An empty reason means the RFC's phrase.
func appendStatus(dst []byte, status int, reason string) []byte {
	if reason == "" {
		reason = Reason(status)
	}
	dst = append(dst, "SIP/2.0 "...)
	dst = strconv.AppendInt(dst, int64(status), 10)
	dst = append(dst, ' ')
	dst = append(dst, reason...)
	return append(dst, "\r\n"...)
}

// appendHead appends the lines that every response copies from its request (RFC 3261 §8.2.6.2): Via,
// From, Call-ID, CSeq, and To, which comes last and without its CRLF, so that a tag can follow.
func appendHead(dst, msg []byte, h *sipgate.Head, flow siptransport.Flow) []byte {
	for i, via := range h.Vias {
		dst = append(dst, "Via: "...)
		if i == 0 {
			dst = appendTopVia(dst, via.Of(msg), flow.Remote)
		} else {
			dst = append(dst, via.Of(msg)...)
		}
		dst = append(dst, "\r\n"...)
	}
	dst = appendLine(dst, "From: ", h.From.Of(msg))
	dst = appendLine(dst, "Call-ID: ", h.CallID.Of(msg))
	dst = appendLine(dst, "CSeq: ", h.CSeqValue.Of(msg))
	if !h.To.Present() {
		return dst
	}
	dst = append(dst, "To: "...)
	return append(dst, h.To.Of(msg)...)
}

// appendLine leaves out a header that the request does not have: one that the gate refused may lack some.
func appendLine(dst []byte, name string, value []byte) []byte {
	if len(value) == 0 {
		return dst
	}
	dst = append(dst, name...)
	dst = append(dst, value...)
	return append(dst, "\r\n"...)
}

// endHead ends the To line, with tag unless the request had one or tag is empty.
func endHead(dst []byte, tag string, tagged bool) []byte {
	if !tagged && tag != "" {
		dst = append(dst, ";tag="...)
		dst = append(dst, tag...)
	}
	return append(dst, "\r\n"...)
}

const noBody = "Content-Length: 0\r\n\r\n"

// appendStateless appends the start line and head of a response that no transaction remembers. Its To tag is
// the same for every copy of the request (RFC 3261 §8.2.7).
func (s *Stack) appendStateless(dst, msg []byte, h *sipgate.Head, flow siptransport.Flow, status int, reason string) []byte {
	dst = appendStatus(dst, status, reason)
	dst = appendHead(dst, msg, h, flow)
	var hash maphash.Hash
	hash.SetSeed(s.seed)
	for _, part := range [...]sipgate.Span{h.CallID, h.Branch, h.FromTag} {
		// A Hash takes every write.
		_, _ = hash.Write(part.Of(msg))
		_ = hash.WriteByte(0)
	}
	if !h.To.Present() {
		return dst
	}
	return endHead(dst, formatTag(hash.Sum64()), h.ToTag.Present())
}

// formatTag writes a number as a tag, 13 characters of base32.
func formatTag(n uint64) string {
	var raw [8]byte
	binary.BigEndian.PutUint64(raw[:], n)
	return idEncoding.EncodeToString(raw[:])
}

// timestamp finds the Timestamp header, which a 100 repeats (RFC 3261 §8.2.6.1), as a whole line without
// CRLF; nil without one. The message passed the gate.
func timestamp(msg []byte) []byte {
	const name = "timestamp"
	for {
		end := bytes.IndexByte(msg, '\n')
		if end < 0 || end+1 == len(msg) || msg[end+1] == '\r' {
			return nil
		}
		msg = msg[end+1:]
		if msg[0]|0x20 == 't' && len(msg) > len(name) && bytes.EqualFold(msg[:len(name)], []byte(name)) {
			line, _, _ := bytes.Cut(msg, []byte("\r\n"))
			return line
		}
	}
}
