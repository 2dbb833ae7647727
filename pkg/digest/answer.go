package digest

import (
	"fmt"
	"strings"

	"github.com/mss-federation/mss/pkg/fault"
)

// Answer is the value of the Authorization header that answers a challenge, the value of a
// WWW-Authenticate or Proxy-Authenticate header. Nc counts the uses of this nonce from 1; cnonce is
// the caller's own random text. Challenges without qop get the answer of RFC 2069; one that asks for
// auth-int alone, or another algorithm than MD5 and SHA-256, is an error of kind Invalid.
//
// The caller decides first whether whoever asks may learn this answer: only the peer that the password
// is for, and only in the realm that it belongs to (see [Realm]).
func Answer(challenge, method, uri, username, password string, nc uint32, cnonce string) (string, error) {
	const op = "answer digest challenge"
	p, err := parse(challenge)
	if err != nil {
		return "", &fault.Error{Op: op, Kind: fault.Invalid, Err: err}
	}
	alg, h, ok := algorithmOf(p.algorithm)
	if !ok {
		return "", fault.New(op, fault.Invalid, "algorithm "+p.algorithm, "only MD5 and SHA-256 are known")
	}
	if p.nonce == "" || p.realm == "" {
		return "", &fault.Error{Op: op, Kind: fault.Invalid, Err: errMalformed}
	}
	p.username, p.uri = username, uri
	if p.qop != "" {
		if !offersAuth(p.qop) {
			return "", fault.New(op, fault.Invalid, "qop "+p.qop, "only auth is known")
		}
		p.qop, p.nc, p.cnonce = "auth", fmt.Sprintf("%08x", nc), cnonce
	}
	p.response = string(h.response(HA1(alg, username, p.realm, password), method, &p))
	return p.answer(), nil
}

// Realm is the realm of a challenge; empty if it is none that could be answered.
func Realm(challenge string) string {
	p, err := parse(challenge)
	if err != nil {
		return ""
	}
	return p.realm
}

// algorithmOf reads an algorithm parameter; absent is MD5 (RFC 7616 §3.3).
func algorithmOf(name string) (string, hash, bool) {
	if name == "" {
		name = MD5
	}
	for alg, h := range hashes {
		if strings.EqualFold(name, alg) {
			return alg, h, true
		}
	}
	return "", hash{}, false
}

// offersAuth looks for auth in a list such as "auth,auth-int".
func offersAuth(qop string) bool {
	for option := range strings.SplitSeq(qop, ",") {
		if strings.EqualFold(strings.Trim(option, whiteSpace), "auth") {
			return true
		}
	}
	return false
}

// answer writes an Authorization value. The order and quoting is that of RFC 3261 §22.4 and §25.1, where
// algorithm, qop and nc are tokens.
func (p *params) answer() string {
	var b strings.Builder
	b.WriteString("Digest username=")
	quote(&b, p.username)
	for _, f := range []struct{ name, value string }{
		{"realm", p.realm}, {"nonce", p.nonce}, {"uri", p.uri}, {"response", p.response},
	} {
		b.WriteString(", " + f.name + "=")
		quote(&b, f.value)
	}
	if p.algorithm != "" {
		b.WriteString(", algorithm=" + p.algorithm)
	}
	if p.opaque != "" {
		b.WriteString(", opaque=")
		quote(&b, p.opaque)
	}
	if p.qop != "" {
		b.WriteString(", qop=" + p.qop + ", nc=" + p.nc + ", cnonce=")
		quote(&b, p.cnonce)
	}
	return b.String()
}
