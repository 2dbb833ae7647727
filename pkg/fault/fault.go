// Package fault has the one error type that crosses package borders: what was tried, what kind of
// failure it was, on what, and why. Kinds map to SIP status codes here and to gRPC codes in faultgrpc.
package fault

import (
	"errors"
	"strings"
)

// Kind tells failures apart for those who must act on them.
type Kind uint8

// The kinds. Zero is Internal, so that an unclassified error is never mistaken for the caller's fault.
const (
	Internal Kind = iota
	Invalid
	NotFound
	Exists
	Denied
	Unauthenticated
	Conflict
	Exhausted
	Unavailable
	Timeout
)

var kinds = [...]struct {
	text string
	sip  int
}{
	Internal:        {"internal error", 500},
	Invalid:         {"invalid", 400},
	NotFound:        {"not found", 404},
	Exists:          {"already exists", 409},
	Denied:          {"denied", 403},
	Unauthenticated: {"not authenticated", 401},
	Conflict:        {"conflict", 491},
	Exhausted:       {"limit reached", 503},
	Unavailable:     {"unavailable", 503},
	Timeout:         {"timed out", 504},
}

// String is the kind in an operator's words.
func (k Kind) String() string {
	if int(k) < len(kinds) {
		return kinds[k].text
	}
	return kinds[Internal].text
}

// SIPStatus is the response code that this kind means to a SIP peer.
func (k Kind) SIPStatus() int {
	if int(k) < len(kinds) {
		return kinds[k].sip
	}
	return kinds[Internal].sip
}

// Error is a failure. Err may be nil. Text reads "op: subject: kind: cause".
type Error struct {
	Op      string // what was tried, such as "open store"
	Kind    Kind
	Subject string // on what, such as a path, user or address; may be empty
	Err     error
}

// Error joins what is known.
func (e *Error) Error() string {
	parts := make([]string, 0, 4)
	for _, p := range []string{e.Op, e.Subject, e.Kind.String()} {
		if p != "" {
			parts = append(parts, p)
		}
	}
	if e.Err != nil {
		parts = append(parts, e.Err.Error())
	}
	return strings.Join(parts, ": ")
}

// Unwrap gives the cause to errors.Is and errors.As.
func (e *Error) Unwrap() error { return e.Err }

// New makes an Error whose cause is a plain sentence that says what to do next.
func New(op string, kind Kind, subject, cause string) *Error {
	e := &Error{Op: op, Kind: kind, Subject: subject}
	if cause != "" {
		e.Err = errors.New(cause)
	}
	return e
}

// KindOf finds the kind of the first Error in err's chain; Internal if there is none.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return Internal
}
