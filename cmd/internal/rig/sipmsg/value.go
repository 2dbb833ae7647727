package sipmsg

import "strings"

// splitList takes a comma-separated header value apart; commas in quotes and angle brackets do not count.
func splitList(value string) []string {
	var out []string
	start, quoted, inBrackets := 0, false, false
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		case c == '\\' && quoted:
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '<':
			inBrackets = true
		case c == '>':
			inBrackets = false
		case c == ',' && !inBrackets:
			out = append(out, strings.TrimSpace(value[start:i]))
			start = i + 1
		}
	}
	return append(out, strings.TrimSpace(value[start:]))
}

// URI is the address in a From, To, Contact, Route or Record-Route value, without brackets.
func URI(value string) string {
	_, uri, _ := cutAddress(value)
	return uri
}

// Param is a parameter of a header value (not of the URI in its brackets); ok says whether it is there.
func Param(value, name string) (text string, ok bool) {
	_, _, params := cutAddress(value)
	return param(params, name)
}

// ViaParam is a parameter of a Via value.
func ViaParam(value, name string) (text string, ok bool) {
	_, params, _ := strings.Cut(value, ";")
	return param(params, name)
}

// SentBy is the host and port of a Via value as written.
func SentBy(value string) string {
	_, rest, _ := strings.Cut(value, " ")
	sentBy, _, _ := strings.Cut(rest, ";")
	return strings.TrimSpace(sentBy)
}

func param(params, name string) (string, bool) {
	for p := range strings.SplitSeq(params, ";") {
		key, value, _ := strings.Cut(strings.TrimSpace(p), "=")
		if strings.EqualFold(strings.TrimSpace(key), name) && key != "" {
			return strings.Trim(strings.TrimSpace(value), `"`), true
		}
	}
	return "", false
}

// cutAddress takes a name-addr or addr-spec apart (RFC 3261 §20.10: without brackets every parameter is the
// header's).
func cutAddress(value string) (display, uri, params string) {
	rest := value
	if strings.HasPrefix(rest, `"`) {
		end := closingQuote(rest)
		display, rest = rest[1:end], rest[min(end+1, len(rest)):]
	}
	if before, after, ok := strings.Cut(rest, "<"); ok {
		if display == "" {
			display = strings.TrimSpace(before)
		}
		uri, params, _ = strings.Cut(after, ">")
		return display, uri, strings.TrimPrefix(strings.TrimSpace(params), ";")
	}
	uri, params, _ = strings.Cut(rest, ";")
	return display, strings.TrimSpace(uri), params
}

func closingQuote(s string) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i
		}
	}
	return len(s) - 1
}

// Display is the display name of a name-addr, without quotes; empty if there is none.
func Display(value string) string {
	display, _, _ := cutAddress(value)
	return display
}

// ChallengeParams takes a Digest challenge or answer apart; keys are in lower case, quotes are removed.
func ChallengeParams(value string) map[string]string {
	out := map[string]string{}
	scheme, rest, _ := strings.Cut(value, " ")
	if !strings.EqualFold(scheme, "Digest") {
		return out
	}
	for _, p := range splitList(rest) {
		if key, v, ok := strings.Cut(p, "="); ok {
			out[strings.ToLower(strings.TrimSpace(key))] = strings.Trim(strings.TrimSpace(v), `"`)
		}
	}
	return out
}
