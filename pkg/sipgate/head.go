package sipgate

// Span is a part of the message: message[From:To]. The zero Span is absent.
type Span struct{ From, To int }

// Of cuts the span out of the message that was scanned.
func (s Span) Of(msg []byte) []byte { return msg[s.From:s.To] }

// Present says whether the span was found.
func (s Span) Present() bool { return s.To > s.From }

// The header fields that others ask a [Line] for.
const (
	FieldOther         = fieldOther
	FieldVia           = fieldVia
	FieldFrom          = fieldFrom
	FieldMaxForwards   = fieldMaxForwards
	FieldContentLength = fieldContentLength
	FieldRoute         = fieldRoute
	FieldRecordRoute   = fieldRecordRoute
)

// Line is one header line with its folds.
type Line struct {
	Span        // from its name to behind its CRLF
	Name  Span  // as written
	Value Span  // without white space around it
	Field Field // of known names, compact ones too
}

// Head is what one scan over a message found, as positions in its bytes, so that a response can be
// written from the request's own lines without parsing them. Spans of headers are values: without
// name, colon, surrounding white space and CRLF; a folded value spans its folds.
// A Head may be reused: Scan resets it and keeps the capacity of its slices.
type Head struct {
	Request bool   // else a response
	Method  string // of the request line, or of CSeq for a response
	Status  int    // of a response, 100–699
	URI     Span   // Request-URI
	CSeq    uint32 // its number
	// Vias holds the value of each Via header line, top first; a line may hold several, comma-separated.
	Vias                        []Span
	From, To, CallID, CSeqValue Span
	FromTag, ToTag              Span // tag parameter values
	Branch                      Span // of the top Via
	ContentType                 Span
	Body                        Span // Content-Length bytes for streams, or to the end of the datagram without one
	MaxForwards                 int  // -1 when absent; already clamped to 70
	// Lines holds every header line, in order.
	Lines []Line
}
