// Package sipgate looks at the raw bytes of a SIP message before any parser does. It refuses what two
// parsers could read in two ways, or what nobody should have to read: wrong versions, second copies of
// single-instance headers, lengths that do not fit the message, numbers out of range, oversize. What
// passes is described by a [Head], positions in the message from which responses are written without
// parsing.
//
// It owns no socket and no parser. A worker calls [Normalise], then [Scan], then the library's parser;
// a reader that only needs to know whose message it is calls [CallID]. RFC 4475 and RFC 5118 are the
// test table.
package sipgate

// The limits on a message. What is larger is refused: no phone or trunk comes near them, and every
// table behind the gate is sized by them.
const (
	MaxMessage    = 64 << 10 // bytes, start line to end of body
	MaxHeaders    = 128      // header lines
	MaxHeaderLine = 8 << 10  // bytes of one header, folds included
	MaxURI        = 1 << 10  // bytes of one URI
	// MaxParams bounds the parameters of one address or Via: the parser compares each with all before it,
	// so that 8 KB of them would take it 10 ms.
	MaxParams = 64
	// MaxForwardsLimit is what a larger Max-Forwards is clamped to: RFC 3261 §8.1.1.6 recommends 70 as
	// the start, so nobody needs more, and 255 would let a loop live almost four times as long.
	MaxForwardsLimit = 70

	maxCSeq   = 1<<31 - 1 // RFC 3261 §8.1.1.5
	maxPort   = 1<<16 - 1
	magic     = "z9hG4bK" // RFC 3261 §8.1.1.7
	version   = "SIP/2.0"
	noForward = -1
)

// Refusal says why a message must not be parsed.
type Refusal struct {
	// Status is the response code that fits: 400, 414, 501, 505 or 513.
	Status int
	// Reason is a short stable sentence for the reason phrase, the log and the metric.
	Reason string
	// Usable says that the message is a request that may be answered: Via and CSeq, by which its sender
	// knows the answer, can be read. From, To and Call-ID may be missing, and then are in the response too
	// (RFC 4475 §3.3.1). False means silence: responses, ACKs, and what has no return address.
	Usable bool
}

// Error makes a Refusal an error; its text is the reason.
func (r *Refusal) Error() string { return r.Reason }
