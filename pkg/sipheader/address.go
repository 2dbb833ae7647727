package sipheader

import (
	"iter"
	"strings"
)

// Elements yields the elements of a value that is a list of addresses (Contact, Route, Record-Route), without the
// commas and white space between them. Empty ones are left out.
func Elements(value string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for value != "" {
			end := outside(value, ',')
			one := strings.Trim(value[:end], " \t")
			if value = value[end:]; value != "" {
				value = value[1:]
			}
			if one != "" && !yield(one) {
				return
			}
		}
	}
}

// URI is the URI of a name-addr or addr-spec, with its parameters; those of the header are left out (RFC 3261 §20).
func URI(value string) string {
	open := outside(value, '<')
	if open == len(value) {
		uri, _, _ := strings.Cut(value, ";") // without brackets they are the header's
		return strings.Trim(uri, " \t")
	}
	uri, _, _ := strings.Cut(value[open+1:], ">")
	return uri
}

// Target is what a URI becomes in a Request-URI: headers are not allowed there (RFC 3261 §19.1.1).
func Target(uri string) string {
	if i := strings.IndexByte(uri[userEnd(uri):], '?'); i >= 0 {
		return uri[:userEnd(uri)+i]
	}
	return uri
}

// Host is the host of a sip or sips URI, IPv6 without its brackets.
func Host(uri string) string {
	_, rest, _ := strings.Cut(uri[:len(Target(uri))], ":")
	rest = rest[userEnd(rest):]
	if strings.HasPrefix(rest, "[") {
		host, _, _ := strings.Cut(rest[1:], "]")
		return host
	}
	if end := strings.IndexAny(rest, ":;"); end >= 0 {
		return rest[:end]
	}
	return rest
}

// userEnd is where the user part ends, behind its at sign; 0 without one. "?" and ";" may stand in it.
func userEnd(uri string) int { return strings.LastIndexByte(uri, '@') + 1 }

// outside is the position of the first c that stands neither in a quoted string nor in brackets, or the length.
func outside(s string, c byte) int {
	quoted, bracket := false, false
	for i := 0; i < len(s); i++ {
		switch b := s[i]; {
		case quoted && b == '\\':
			i++
		case b == '"' && !bracket:
			quoted = !quoted
		case quoted:
		case b == c && !bracket:
			return i
		case b == '<':
			bracket = true
		case b == '>':
			bracket = false
		}
	}
	return len(s)
}
