package sdpedit

import (
	"bytes"
	"strings"
)

// The limits on a multipart body.
const (
	maxParts    = 16
	maxBoundary = 70 // RFC 2046 §5.1.1
)

// Body finds the description in the body of a message: the body itself, or the first part of that type
// in a multipart one (RFC 5621), not deeper. The result is a part of body. ErrNoSDP says that there is
// none.
func Body(contentType string, body []byte) (sdp []byte, err error) {
	kind, parameters, _ := strings.Cut(contentType, ";")
	switch kind = strings.ToLower(strings.TrimSpace(kind)); {
	case len(body) == 0:
		return nil, ErrNoSDP
	case kind == "application/sdp":
		return body, nil
	case strings.HasPrefix(kind, "multipart/"):
		boundary, ok := boundaryOf(parameters)
		if !ok {
			return nil, ErrNoSDP
		}
		return partOf(body, boundary)
	}
	return nil, ErrNoSDP
}

// boundaryOf finds the boundary parameter of a Content-Type.
func boundaryOf(parameters string) (string, bool) {
	for p := range strings.SplitSeq(parameters, ";") {
		name, value, _ := strings.Cut(p, "=")
		if !strings.EqualFold(strings.TrimSpace(name), "boundary") {
			continue
		}
		value = strings.Trim(strings.TrimSpace(value), `"`)
		return value, value != "" && len(value) <= maxBoundary
	}
	return "", false
}

// partOf finds the first part that is a description. Parts lie between lines that begin with two hyphens
// and the boundary (RFC 2046 §5.1).
func partOf(body []byte, boundary string) ([]byte, error) {
	delimiter := []byte("--" + boundary)
	_, rest, ok := cutAtLine(body, delimiter)
	for range maxParts {
		if !ok || bytes.HasPrefix(rest, []byte("--")) {
			break
		}
		var part []byte
		part, rest, ok = cutAtLine(rest, delimiter)
		_, part, _ = bytes.Cut(part, []byte("\n")) // the rest of the delimiter's line
		if sdp, isSDP := content(part); isSDP {
			return sdp, nil
		}
	}
	return nil, ErrNoSDP
}

// cutAtLine cuts b at the first line that begins with delimiter; the line end before it belongs to the
// delimiter.
func cutAtLine(b, delimiter []byte) (before, after []byte, ok bool) {
	for from := 0; ; {
		i := bytes.Index(b[from:], delimiter)
		if i < 0 {
			return b, nil, false
		}
		if i += from; (i == 0 || b[i-1] == '\n') && ends(b[i+len(delimiter):]) {
			before = bytes.TrimSuffix(b[:i], []byte("\n"))
			return bytes.TrimSuffix(before, []byte("\r")), b[i+len(delimiter):], true
		}
		from = i + len(delimiter)
	}
}

// ends says that a delimiter is complete: another boundary may begin like ours.
func ends(b []byte) bool {
	return len(b) == 0 || bytes.IndexByte([]byte("-\r\n \t"), b[0]) >= 0
}

// content takes the headers off a part and says whether it is a description as it stands.
func content(part []byte) (sdp []byte, ok bool) {
	for {
		header, rest, more := bytes.Cut(part, []byte("\n"))
		header = bytes.TrimSuffix(header, []byte("\r"))
		if !more || len(header) == 0 {
			return rest, ok && len(rest) > 0
		}
		part = rest
		name, value, _ := bytes.Cut(header, []byte(":"))
		switch strings.ToLower(string(bytes.TrimSpace(name))) {
		case "content-type", "c":
			kind, _, _ := bytes.Cut(value, []byte(";"))
			ok = strings.EqualFold(string(bytes.TrimSpace(kind)), "application/sdp")
		case "content-transfer-encoding":
			if coded(string(bytes.TrimSpace(value))) {
				return nil, false
			}
		}
	}
}

// coded says that a part is not the bytes that it stands for.
func coded(encoding string) bool {
	switch strings.ToLower(encoding) {
	case "binary", "8bit", "7bit":
		return false
	}
	return true
}
