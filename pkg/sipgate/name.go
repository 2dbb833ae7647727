package sipgate

import "strings"

// Field is a header field that the gate knows by name; compact and long names are one field.
type Field uint8

const (
	fieldOther Field = iota
	fieldVia
	fieldFrom
	fieldTo
	fieldCallID
	fieldCSeq
	fieldContentLength
	fieldContentType
	fieldMaxForwards
	fieldContact
	fieldRoute
	fieldRecordRoute
	fieldReferTo
	// What follows is only counted.
	fieldEvent
	fieldExpires
	fieldMinExpires
	fieldReferredBy
	fieldReplaces
	fieldJoin
	fieldTargetDialog
	fieldSessionExpires
	fieldMinSE
	fieldSessionID
	fieldRSeq
	fieldRAck
	fieldSubscriptionState
	fieldETag
	fieldIfMatch
	fieldContentDisposition
)

// repeats are the known fields that may stand in a message more than once.
const repeats = 1<<fieldOther | 1<<fieldVia | 1<<fieldContact | 1<<fieldRoute | 1<<fieldRecordRoute

type fieldName struct {
	lower string
	field Field
}

// fieldNames has the known names by length, since most names of a message are of no known length or
// differ in their first letter.
var fieldNames = [...][]fieldName{
	1: {
		{"v", fieldVia},
		{"f", fieldFrom},
		{"t", fieldTo},
		{"i", fieldCallID},
		{"l", fieldContentLength},
		{"c", fieldContentType},
		{"m", fieldContact},
		{"r", fieldReferTo},
		{"o", fieldEvent},
		{"b", fieldReferredBy},
		{"x", fieldSessionExpires},
	},
	2:  {{"to", fieldTo}},
	3:  {{"via", fieldVia}},
	4:  {{"from", fieldFrom}, {"cseq", fieldCSeq}, {"rseq", fieldRSeq}, {"rack", fieldRAck}, {"join", fieldJoin}},
	5:  {{"route", fieldRoute}, {"event", fieldEvent}},
	6:  {{"min-se", fieldMinSE}},
	7:  {{"call-id", fieldCallID}, {"contact", fieldContact}, {"expires", fieldExpires}},
	8:  {{"refer-to", fieldReferTo}, {"replaces", fieldReplaces}, {"sip-etag", fieldETag}},
	10: {{"session-id", fieldSessionID}},
	11: {{"referred-by", fieldReferredBy}, {"min-expires", fieldMinExpires}},
	12: {
		{"max-forwards", fieldMaxForwards},
		{"content-type", fieldContentType},
		{"record-route", fieldRecordRoute},
		{"sip-if-match", fieldIfMatch},
	},
	13: {{"target-dialog", fieldTargetDialog}},
	14: {{"content-length", fieldContentLength}},
	15: {{"session-expires", fieldSessionExpires}},
	18: {{"subscription-state", fieldSubscriptionState}},
	19: {{"content-disposition", fieldContentDisposition}},
}

// fieldOf knows a header by its name, without white space round it.
func fieldOf(name []byte) Field {
	if len(name) >= len(fieldNames) {
		return fieldOther
	}
	for _, n := range fieldNames[len(name)] {
		if foldEqual(name, n.lower) {
			return n.field
		}
	}
	return fieldOther
}

// foldEqual compares ASCII without case; lower is in lower case.
func foldEqual(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// methods are the known ones, the frequent ones first.
var methods = [...]string{
	"INVITE", "ACK", "BYE", "REGISTER", "OPTIONS", "CANCEL", "PRACK", "UPDATE", "INFO", "REFER", "NOTIFY",
	"SUBSCRIBE", "MESSAGE", "PUBLISH",
}

// methodOf is the method's text; a known one costs no allocation.
func methodOf(b []byte) string {
	for _, m := range methods {
		if string(b) == m {
			return m
		}
	}
	return string(b)
}

// miscased says whether b is a known method in other case. Methods are case-sensitive (RFC 3261 §7.1),
// so this is another method; but the parser behind us writes methods in capitals, and what one reader
// takes for an unknown method must not be an INVITE to the next.
func miscased(b []byte) bool {
	for _, m := range methods {
		if len(b) == len(m) && string(b) != m && strings.EqualFold(string(b), m) {
			return true
		}
	}
	return false
}
