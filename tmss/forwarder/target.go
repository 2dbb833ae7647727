package forwarder

import (
	"bytes"

	"github.com/mss-federation/mss/pkg/federation"
)

// uri is a Request-URI or a Route's URI, cut where a hub looks. All but scheme point into it.
type uri struct {
	scheme string // "sip", "sips", "tel", or "" for others
	user   []byte // with its escapes; of tel: the number with its parameters
	host   []byte // with its port
	params []byte // from the first semicolon on
}

var schemes = [...]string{"sip", "sips", "tel"}

func cutURI(b []byte) (u uri) {
	scheme, rest, ok := bytes.Cut(b, []byte{':'})
	if !ok {
		return u
	}
	for _, s := range schemes {
		if bytes.EqualFold(scheme, []byte(s)) {
			u.scheme = s
		}
	}
	if u.scheme == "tel" {
		u.user = rest
		return u
	}
	if at := bytes.LastIndexByte(rest, '@'); at >= 0 {
		u.user, rest = rest[:at], rest[at+1:]
	}
	u.host = rest
	if i := bytes.IndexAny(rest, ";?"); i >= 0 {
		u.host, u.params = rest[:i], rest[i:]
	}
	return u
}

// param finds the value of a URI parameter; present without a value is empty and true.
func (u *uri) param(name string) (value []byte, ok bool) {
	rest := u.params
	for len(rest) > 0 {
		var one []byte
		rest = rest[1:]
		if i := bytes.IndexAny(rest, ";?"); i >= 0 {
			one, rest = rest[:i], rest[i:]
		} else {
			one, rest = rest, nil
		}
		key, value, _ := bytes.Cut(one, []byte{'='})
		if len(key) == len(name) && bytes.EqualFold(key, []byte(name)) {
			return value, true
		}
	}
	return nil, false
}

// number is what is looked up: the user part without password, parameters, escapes and visual separators
// (RFC 3966 §5.1.1). Names keep their dots and hyphens.
func (u *uri) number() federation.Number {
	user := u.user
	if u.scheme != "tel" {
		user, _, _ = bytes.Cut(user, []byte{':'})
	}
	user, _, _ = bytes.Cut(user, []byte{';'})
	var scratch [64]byte
	out, digits := scratch[:0], true
	for i := 0; i < len(user); i++ {
		b := user[i]
		if b == '%' && i+2 < len(user) {
			b = hex(user[i+1])<<4 | hex(user[i+2])
			i += 2
		}
		digits = digits && bytes.IndexByte([]byte("+0123456789*#-.()"), b) >= 0
		out = append(out, b)
	}
	if digits {
		kept := out[:0]
		for _, b := range out {
			if bytes.IndexByte([]byte("-.()"), b) < 0 {
				kept = append(kept, b)
			}
		}
		out = kept
	}
	return federation.Number(out)
}

func hex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return (c | 0x20) - 'a' + 10
	}
	return 0
}
