package sipgate

import "slices"

// field takes one header: counts it, keeps its position, checks its value.
func (s *scanner) field(f Field, v Span) {
	bit := uint64(1) << f
	if s.seen&bit != 0 && repeats&bit == 0 {
		s.bad("header repeated")
		return
	}
	s.seen |= bit
	value := v.Of(s.msg)
	switch f {
	case fieldVia:
		s.via(v)
	case fieldFrom:
		s.h.From = v
		s.h.FromTag = s.tag(v, "malformed From")
	case fieldTo:
		s.h.To = v
		s.h.ToTag = s.tag(v, "malformed To")
	case fieldCallID:
		s.h.CallID = v
		if !validCallID(value) {
			s.bad("malformed Call-ID")
		}
	case fieldCSeq:
		s.cseq(v)
	case fieldContentLength:
		s.contentLength(value)
	case fieldContentType:
		s.h.ContentType = v
		if !validMediaType(value) {
			s.bad("malformed Content-Type")
		}
	case fieldMaxForwards:
		s.maxForwards(value)
	case fieldContact:
		if !validList(value) {
			s.bad("malformed Contact")
		}
	case fieldRoute, fieldRecordRoute:
		if !validList(value) {
			s.bad("malformed Route")
		}
	case fieldReferTo, fieldReferredBy:
		if !validList(value) {
			s.bad("malformed Refer-To or Referred-By")
		}
	default:
	}
}

func (s *scanner) via(v Span) {
	h := s.h
	top := len(h.Vias) == 0
	h.Vias = append(h.Vias, v)
	b := v.Of(s.msg)
	for i := 0; ; i++ {
		value, next := readVia(b, i)
		if top {
			s.sentBy = value.sentBy
			s.topBranch(v.From, value.branch)
			top = false
		}
		if next < 0 {
			s.bad("malformed Via")
			return
		}
		if i = next; i == len(b) {
			return
		}
	}
}

// topBranch keeps the branch that names the transaction. The magic cookie alone names none; without the
// cookie the peer is an RFC 2543 one.
func (s *scanner) topBranch(base int, branch Span) {
	if !branch.Present() {
		return
	}
	s.h.Branch = Span{base + branch.From, base + branch.To}
	if string(s.h.Branch.Of(s.msg)) == magic {
		s.bad("empty Via branch")
	}
}

func (s *scanner) tag(v Span, reason string) Span {
	tag, ok := tagOf(v.Of(s.msg))
	if !ok {
		s.bad(reason)
	}
	if !tag.Present() {
		return Span{}
	}
	return Span{v.From + tag.From, v.From + tag.To}
}

// cseq reads "number LWS method" (RFC 3261 §20.16).
func (s *scanner) cseq(v Span) {
	h := s.h
	h.CSeqValue = v
	b := v.Of(s.msg)
	digits := span(b, 0, classDigit)
	method := span(b, digits, classSpace)
	if digits == 0 || method == digits || !all(b[method:], classToken) {
		s.bad("malformed CSeq")
		return
	}
	s.number = true
	n, ok := number(b[:digits], maxCSeq)
	if !ok {
		s.bad("CSeq out of range")
	}
	h.CSeq = uint32(n) //nolint:gosec // at most maxCSeq
	if !h.Request {
		h.Method = methodOf(b[method:])
	} else if string(b[method:]) != h.Method {
		s.otherMethod()
	}
}

// otherMethod refuses a CSeq that names another method than the request line. Where that method is unknown,
// the sender is told this rather than that the two differ (RFC 4475 §3.1.2.18).
func (s *scanner) otherMethod() {
	if slices.Contains(methods[:], s.h.Method) {
		s.bad("CSeq of another method")
	} else {
		s.refuse(501, "unknown method, and CSeq of another")
	}
}

func (s *scanner) contentLength(b []byte) {
	n, ok := number(b, MaxMessage)
	if !ok {
		s.bad("Content-Length out of range")
		return
	}
	s.length = n
}

func (s *scanner) maxForwards(b []byte) {
	n, ok := number(b, 1<<32-1)
	if !ok {
		s.bad("malformed Max-Forwards")
		return
	}
	s.h.MaxForwards = min(n, MaxForwardsLimit)
}

// validCallID accepts what RFC 3261 §25.1 calls a word, with any number of at signs: no white space and
// no control characters.
func validCallID(b []byte) bool {
	for _, c := range b {
		if c <= ' ' || c == 0x7f {
			return false
		}
	}
	return len(b) > 0
}

// validMediaType wants a type, a slash and a subtype; parameters are the reader's business.
func validMediaType(b []byte) bool {
	end := span(b, 0, classToken)
	slash := span(b, end, classSpace)
	if end == 0 || slash == len(b) || b[slash] != '/' {
		return false
	}
	sub := span(b, slash+1, classSpace)
	return span(b, sub, classToken) > sub
}
