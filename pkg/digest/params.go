package digest

import (
	"errors"
	"strings"
)

// The limits on a challenge or an answer. Real ones have about ten parameters and 400 bytes.
const (
	maxValue  = 4 << 10
	maxParams = 32
)

var (
	errScheme    = errors.New("not the Digest scheme")
	errMalformed = errors.New("malformed digest parameters")
)

// params are the parameters of a challenge or an answer, unquoted. Empty is absent.
type params struct {
	username, realm, nonce, uri, response, algorithm, cnonce, opaque, qop, nc string
	stale                                                                     string
}

// field finds the place of a parameter by its lower-case name; nil for those that we do not use.
func (p *params) field(name string) *string {
	switch name {
	case "username":
		return &p.username
	case "realm":
		return &p.realm
	case "nonce":
		return &p.nonce
	case "uri":
		return &p.uri
	case "response":
		return &p.response
	case "algorithm":
		return &p.algorithm
	case "cnonce":
		return &p.cnonce
	case "opaque":
		return &p.opaque
	case "qop":
		return &p.qop
	case "nc":
		return &p.nc
	case "stale":
		return &p.stale
	}
	return nil
}

// parse reads "Digest name=value, name="value", …" (RFC 7235 §2.1). A parameter that we use may stand
// in it once only.
func parse(value string) (p params, err error) {
	if len(value) > maxValue {
		return p, errMalformed
	}
	scheme, rest, ok := strings.Cut(strings.TrimLeft(value, whiteSpace), " ")
	if !ok || !strings.EqualFold(scheme, "digest") {
		return p, errScheme
	}
	for count := 0; ; count++ {
		if rest = strings.TrimLeft(rest, whiteSpace+","); rest == "" {
			return p, nil
		}
		if count == maxParams {
			return p, errMalformed
		}
		if rest, err = p.next(rest); err != nil {
			return p, err
		}
	}
}

const whiteSpace = " \t\r\n"

// next takes one name=value off s.
func (p *params) next(s string) (rest string, err error) {
	name, s, ok := strings.Cut(s, "=")
	name = strings.ToLower(strings.TrimRight(name, whiteSpace))
	if !ok || !isToken(name) {
		return "", errMalformed
	}
	value, rest, ok := cutValue(strings.TrimLeft(s, whiteSpace))
	if !ok {
		return "", errMalformed
	}
	if rest = strings.TrimLeft(rest, whiteSpace); rest != "" && rest[0] != ',' {
		return "", errMalformed
	}
	if f := p.field(name); f != nil {
		if *f != "" {
			return "", errMalformed
		}
		*f = value
	}
	return rest, nil
}

// cutValue takes a token or a quoted string off s, quoted pairs resolved.
func cutValue(s string) (value, rest string, ok bool) {
	if s == "" || s[0] != '"' {
		end := strings.IndexAny(s, whiteSpace+",\"")
		if end < 0 {
			end = len(s)
		}
		return s[:end], s[end:], end > 0 && clean(s[:end])
	}
	s = s[1:]
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			value = s[:i]
			return unescape(value), s[i+1:], clean(value)
		case '\\':
			i++
		}
	}
	return "", "", false
}

func unescape(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b = append(b, s[i])
	}
	return string(b)
}

// clean says that a value has no control characters: it may end in a log or a header.
func clean(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7f {
			return false
		}
	}
	return true
}

func isToken(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`()<>@,;:\"/[]?={}`, c) >= 0 {
			return false
		}
	}
	return s != ""
}

// quote writes a quoted string.
func quote(b *strings.Builder, s string) {
	b.WriteByte('"')
	for i := range len(s) {
		if s[i] == '"' || s[i] == '\\' {
			b.WriteByte('\\')
		}
		b.WriteByte(s[i])
	}
	b.WriteByte('"')
}
