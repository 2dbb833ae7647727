// Package digest does HTTP digest authentication as SIP uses it (RFC 3261 §22, RFC 7616, RFC 8760):
// challenges and verdicts for those who guard something, answers for those who are asked.
//
// It knows no users, bans nobody and sends nothing; whoever holds an [Authority] looks up the users,
// counts the failures and writes the 401. Start at [Authority.Check]; the client's side is [Answer].
package digest

import (
	"crypto/md5" //nolint:gosec // RFC 3261 §22.4: the algorithm that every phone knows
	"crypto/sha256"
	"encoding/hex"
)

// The algorithms, as the algorithm parameter names them.
const (
	MD5    = "MD5"
	SHA256 = "SHA-256"
)

// HA1 is the hash of user, realm and password from which every response is made (RFC 7616 §3.4.2), in
// lower-case hexadecimal. It is as good as the password: store it like one. An unknown algorithm gives
// the empty string.
func HA1(alg, user, realm, password string) string {
	h, ok := hashes[alg]
	if !ok {
		return ""
	}
	return string(h.appendHex(nil, user, ":", realm, ":", password))
}

// hash is one algorithm.
type hash struct {
	size int // of its hexadecimal text
	sha  bool
}

var hashes = map[string]hash{
	MD5:    {size: 2 * md5.Size},
	SHA256: {size: 2 * sha256.Size, sha: true},
}

// appendHex appends the hexadecimal hash of the parts, joined.
func (h hash) appendHex(dst []byte, parts ...string) []byte {
	var room [512]byte // on the stack: this runs four times for each call
	text := room[:0]
	for _, p := range parts {
		text = append(text, p...)
	}
	if h.sha {
		sum := sha256.Sum256(text)
		return hex.AppendEncode(dst, sum[:])
	}
	sum := md5.Sum(text) //nolint:gosec // as above
	return hex.AppendEncode(dst, sum[:])
}

// response is the request-digest (RFC 7616 §3.4.1). Without qop it is the one of RFC 2069.
func (h hash) response(ha1, method string, p *params) []byte {
	ha2 := string(h.appendHex(nil, method, ":", p.uri))
	if p.qop == "" {
		return h.appendHex(nil, ha1, ":", p.nonce, ":", ha2)
	}
	return h.appendHex(nil, ha1, ":", p.nonce, ":", p.nc, ":", p.cnonce, ":", p.qop, ":", ha2)
}
