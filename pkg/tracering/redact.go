package tracering

import (
	"bytes"
	"slices"
	"strings"
)

// removed stands where a secret was.
const removed = "***"

// credentialHeaders carry digest or other credentials (RFC 3261 §20, RFC 7616).
var credentialHeaders = []string{
	"authorization", "proxy-authorization", "www-authenticate", "proxy-authenticate",
	"authentication-info", "proxy-authentication-info",
}

// plainParams are the digest parameters that help in a search for an error and tell nobody a password. All
// others go: a list of what is secret would miss the next one.
var plainParams = []string{
	"username", "realm", "nonce", "uri", "algorithm", "qop", "nc", "opaque", "stale", "domain", "userhash",
}

// secretLines are the SDP lines whose value is a key (RFC 4568, RFC 4567, RFC 8839, RFC 4566 §5.12), with how
// many words of it may stay: of a=crypto the tag and the suite.
var secretLines = []struct {
	prefix string
	keep   int
}{
	{"a=crypto:", 2},
	{"a=key-mgmt:", 1},
	{"a=ice-pwd:", 0},
	{"k=", 0},
}

// Redact is a copy of a SIP message without what could be used against its user: digest responses and other
// credentials, passwords in URIs, media keys, and digits dialled in an INFO. Lines that hold none of these
// stay byte for byte, so Content-Length may no longer fit.
func Redact(msg []byte) []byte {
	out := make([]byte, 0, len(msg)+16)
	digits := dialledDigits(msg)
	body := false
	for len(msg) > 0 {
		var line []byte
		line, msg = cutLine(msg, !body)
		text := bytes.TrimRight(line, "\r\n")
		out = appendRedacted(out, text, body && digits)
		out = append(out, line[len(text):]...)
		body = body || len(text) == 0
	}
	return out
}

// cutLine takes the next line with its end. In the head a folded header is one line (RFC 3261 §7.3.1).
func cutLine(msg []byte, head bool) (line, rest []byte) {
	end := 0
	for {
		i := bytes.IndexByte(msg[end:], '\n')
		if i < 0 {
			return msg, nil
		}
		first := end == 0 && i <= 1 // the blank line itself is never folded
		end += i + 1
		if !head || first || end == len(msg) || msg[end] != ' ' && msg[end] != '\t' {
			return msg[:end], msg[end:]
		}
	}
}

// appendRedacted appends one line. The rules for heads hold in bodies too: a message/sipfrag has headers.
func appendRedacted(out, line []byte, digits bool) []byte {
	if key, value, ok := splitHeader(line); ok {
		lower := strings.ToLower(string(key))
		if slices.Contains(credentialHeaders, lower) {
			out = append(append(out, key...), ": "...)
			return appendCredentials(out, value)
		}
	}
	for _, secret := range secretLines {
		if len(line) >= len(secret.prefix) && strings.EqualFold(string(line[:len(secret.prefix)]), secret.prefix) {
			out = append(out, line[:len(secret.prefix)]...)
			return appendWords(out, line[len(secret.prefix):], secret.keep)
		}
	}
	if digits && len(line) > 0 {
		return appendDigits(out, line)
	}
	return appendURIs(out, line)
}

// appendCredentials keeps the scheme and the plain parameters of a Digest; of any other scheme only its name.
// Authentication-Info has no scheme: its parameters are judged alike.
func appendCredentials(out, value []byte) []byte {
	value = bytes.Join(bytes.Fields(value), []byte{' '}) // unfolded
	scheme, rest, spaced := bytes.Cut(value, []byte{' '})
	switch {
	case strings.EqualFold(string(scheme), "digest") && spaced:
		out = append(append(out, scheme...), ' ')
		return appendParams(out, rest)
	case bytes.IndexByte(scheme, '=') >= 0:
		return appendParams(out, value)
	case spaced:
		return append(append(append(out, scheme...), ' '), removed...)
	}
	return append(out, removed...)
}

// appendParams writes a list of name=value, in which quoted strings may hold commas and escapes.
func appendParams(out, params []byte) []byte {
	for first := true; ; first = false {
		params = bytes.TrimLeft(params, " ,")
		if len(params) == 0 {
			return out
		}
		var param []byte
		param, params = cutParam(params)
		name, value, ok := bytes.Cut(param, []byte{'='})
		name = bytes.TrimSpace(name)
		if !first {
			out = append(out, ", "...)
		}
		if !ok {
			// Not a parameter at all: somebody's broken header may hold the secret right here.
			out = append(out, removed...)
			continue
		}
		out = append(append(out, name...), '=')
		value = bytes.TrimSpace(value)
		if slices.Contains(plainParams, strings.ToLower(string(name))) && oneValue(value) {
			out = appendURIs(out, value)
		} else {
			out = append(out, removed...)
		}
	}
}

// oneValue says whether b is one token or one quoted string. Where a comma is missing, the next parameter
// would pass as part of this value.
func oneValue(b []byte) bool {
	if len(b) >= 2 && b[0] == '"' {
		for i := 1; i < len(b); i++ {
			switch b[i] {
			case '\\':
				i++
			case '"':
				return i == len(b)-1
			}
		}
		return false
	}
	return !bytes.ContainsAny(b, " \";=")
}

// cutParam takes what stands before the next comma outside quotes.
func cutParam(b []byte) (param, rest []byte) {
	quoted := false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case c == ',' && !quoted:
			return b[:i], b[i+1:]
		}
	}
	return b, nil
}

// appendWords keeps the first words of value.
func appendWords(out, value []byte, keep int) []byte {
	for range keep {
		word, rest, more := bytes.Cut(value, []byte{' '})
		if !more {
			break // fewer words than the form asks for: the last may be the key
		}
		out = append(append(out, word...), ' ')
		value = rest
	}
	return append(out, removed...)
}

// appendURIs copies a line and removes the password of each SIP URI in it: sip:user:password@host
// (RFC 3261 §19.1.1).
func appendURIs(out, line []byte) []byte {
	for {
		i := uriUser(line)
		if i < 0 {
			return append(out, line...)
		}
		out, line = append(out, line[:i]...), line[i:]
		at := bytes.IndexAny(line, "@ \t<>\"")
		if at < 0 || line[at] != '@' {
			continue
		}
		if colon := bytes.IndexByte(line[:at], ':'); colon >= 0 {
			out = append(append(out, line[:colon+1]...), removed...)
			line = line[at:]
		}
	}
}

// uriUser is where the user part of the first SIP URI starts; -1 if there is none.
func uriUser(line []byte) int {
	for i := 0; ; {
		colon := bytes.IndexByte(line[i:], ':')
		if colon < 0 {
			return -1
		}
		i += colon + 1
		if hasSuffixFold(line[:i], "sip:") || hasSuffixFold(line[:i], "sips:") {
			return i
		}
	}
}

func hasSuffixFold(b []byte, suffix string) bool {
	return len(b) >= len(suffix) && strings.EqualFold(string(b[len(b)-len(suffix):]), suffix)
}

// dialledDigits says whether the body is digits that somebody pressed: a PIN, often enough.
func dialledDigits(msg []byte) bool {
	kind, _ := headerValue(msg, "content-type", "c")
	return strings.HasPrefix(strings.ToLower(string(kind)), "application/dtmf")
}

// appendDigits keeps the name before "=" of application/dtmf-relay; application/dtmf is one bare digit.
func appendDigits(out, line []byte) []byte {
	name, _, ok := bytes.Cut(line, []byte{'='})
	switch {
	case ok && strings.EqualFold(string(bytes.TrimSpace(name)), "duration"):
		return append(out, line...)
	case ok:
		return append(append(append(out, name...), '='), removed...)
	}
	return append(out, removed...)
}
