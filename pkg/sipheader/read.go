package sipheader

import (
	"iter"
	"strings"

	"github.com/mss-federation/mss/pkg/sipgate"
)

// compact maps the one-letter names (RFC 3261 §7.3.3 and the extensions that have one) to the long ones, in lower case.
var compact = map[byte]string{
	'a': "accept-contact", 'b': "referred-by", 'c': "content-type", 'd': "request-disposition",
	'e': "content-encoding", 'f': "from", 'i': "call-id", 'j': "reject-contact", 'k': "supported",
	'l': "content-length", 'm': "contact", 'n': "identity-info", 'o': "event", 'r': "refer-to",
	's': "subject", 't': "to", 'u': "allow-events", 'v': "via", 'x': "session-expires", 'y': "identity",
}

// Is says whether a header's name, long or compact, in any case, is the long name given.
func Is(name, long string) bool {
	if len(name) == 1 {
		return strings.EqualFold(compact[name[0]|0x20], long)
	}
	return strings.EqualFold(name, long)
}

// Values yields the value of every header line of that long name, compact forms included, in order, out of msg, whose
// head is h. What it yields is a copy; lines of other names cost next to nothing.
func Values(msg []byte, h *sipgate.Head, long string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := range h.Lines {
			name := h.Lines[i].Name
			if n := name.To - name.From; n != len(long) && n != 1 || !Is(string(name.Of(msg)), long) {
				continue
			}
			if !yield(string(h.Lines[i].Value.Of(msg))) {
				return
			}
		}
	}
}

// First is the value of the first header line of that long name, or "".
func First(msg []byte, h *sipgate.Head, long string) string {
	for v := range Values(msg, h, long) {
		return v
	}
	return ""
}

// Tokens yields the comma-separated tokens of all lines of that long name (Supported, Require, Allow).
func Tokens(msg []byte, h *sipgate.Head, long string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for v := range Values(msg, h, long) {
			for token := range strings.SplitSeq(v, ",") {
				if token = strings.TrimSpace(token); token != "" && !yield(token) {
					return
				}
			}
		}
	}
}

// WithoutTag cuts the tag parameter out of a From or To value.
func WithoutTag(value string) string {
	from := paramsStart(value)
	for i := from; i < len(value); i++ {
		if value[i] != ';' {
			continue
		}
		rest := strings.TrimLeft(value[i+1:], " \t")
		if len(rest) < 3 || !strings.EqualFold(rest[:3], "tag") {
			continue
		}
		if eq := strings.TrimLeft(rest[3:], " \t"); eq == "" || eq[0] != '=' {
			continue
		}
		end := strings.IndexByte(value[i+1:], ';')
		if end < 0 {
			return strings.TrimRight(value[:i], " \t")
		}
		return value[:i] + value[i+1+end:]
	}
	return value
}

// paramsStart is where the header parameters of a name-addr or addr-spec begin: behind the ">", or,
// in an addr-spec without brackets, at the first semicolon (RFC 3261 §20: they are the header's then).
func paramsStart(value string) int {
	quoted := false
	for i := 0; i < len(value); i++ {
		switch {
		case quoted && value[i] == '\\':
			i++
		case value[i] == '"':
			quoted = !quoted
		case !quoted && value[i] == '>':
			return i + 1
		}
	}
	if i := strings.IndexByte(value, ';'); i >= 0 && !strings.Contains(value, "<") {
		return i
	}
	return len(value)
}

// DisplayName is the display name of a name-addr, without quotes and escapes, or "".
func DisplayName(value string) string {
	value = strings.TrimLeft(value, " \t")
	if value == "" || value[0] == '<' {
		return ""
	}
	if value[0] != '"' {
		name, _, found := strings.Cut(value, "<")
		if !found {
			return ""
		}
		return strings.TrimSpace(name)
	}
	var name strings.Builder
	for i := 1; i < len(value); i++ {
		switch value[i] {
		case '"':
			return name.String()
		case '\\':
			if i++; i == len(value) {
				return ""
			}
		}
		name.WriteByte(value[i])
	}
	return ""
}
