package siptx

import (
	"bytes"
	"strconv"

	"github.com/mss-federation/mss/pkg/sipgate"
	"github.com/mss-federation/mss/pkg/siptransport"
)

// appendKey appends what names a server transaction: source address, method, top branch and sent-by
// (RFC 3261 §17.2.3). The source address is ours: a CANCEL or ACK that somebody else makes up, or the same
// branch from another phone behind another NAT, matches nothing. Without the magic cookie the key is made
// from what RFC 2543 peers keep equal.
func appendKey(dst, msg []byte, h *sipgate.Head, flow siptransport.Flow, method string) []byte {
	source := flow.Remote.Addr().As16()
	dst = append(dst, source[:]...)
	dst = append(dst, method...)
	branch := h.Branch.Of(msg)
	via := h.Vias[0].Of(msg)
	if HasCookie(branch) {
		dst = append(dst, 0)
		dst = append(dst, branch...)
		dst = append(dst, 0)
		head, _ := cutParam(via[:elementEnd(via)])
		return append(dst, afterProtocol(head)...)
	}
	dst = append(dst, 1)
	for _, part := range [...][]byte{h.CallID.Of(msg), h.FromTag.Of(msg), h.URI.Of(msg), via[:elementEnd(via)]} {
		dst = append(dst, part...)
		dst = append(dst, 0)
	}
	return strconv.AppendUint(dst, uint64(h.CSeq), 10)
}

// HasCookie says whether the branch is unique by RFC 3261 §8.1.1.7. The cookie's case does not matter to
// us, nor to the peers that get it wrong.
func HasCookie(branch []byte) bool {
	const cookie = "z9hG4bK"
	return len(branch) > len(cookie) && bytes.EqualFold(branch[:len(cookie)], []byte(cookie))
}
