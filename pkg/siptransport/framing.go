package siptransport

import "bytes"

// framingError is why a stream cannot be cut into messages any more. Where two readers could disagree
// about a message's end, an attacker can smuggle a second message inside the first: nothing is repaired
// here.
type framingError string

func (e framingError) Error() string { return string(e) }

const (
	errHeadTooLarge framingError = "headers too large"
	errBodyTooLarge framingError = "body too large"
	errLineEnd      framingError = "line not ended by CRLF"
	errNoLength     framingError = "no Content-Length"
	errTwoLengths   framingError = "more than one Content-Length"
	errBadLength    framingError = "Content-Length is not a number"
)

const (
	smallBuffer = 2 << 10
	// maxLengthDigits keeps the number far from overflow; the limit proper is maxBody.
	maxLengthDigits = 9
)

var blankLine = []byte("\r\n\r\n")

// framer cuts a stream into messages (RFC 3261 §18.3). It has no I/O: read into space, tell advance,
// call next until it has nothing.
type framer struct {
	maxHead, maxBody int

	small   []byte // what an idle connection keeps
	buf     []byte // small, or a larger one while a large message is under way
	r, w    int    // buf[r:w] is not yet consumed
	scanned int    // how much of buf[r:w] is known to have no blank line
	size    int    // of the message at r once its head is complete, else 0
}

// space is where to read to. It is never empty.
func (f *framer) space() []byte {
	switch {
	case f.small == nil:
		f.small = make([]byte, smallBuffer)
		f.buf = f.small
	case f.r == f.w:
		f.r, f.w = 0, 0
		f.buf = f.small
	case f.w == len(f.buf):
		f.makeRoom()
	}
	return f.buf[f.w:]
}

// makeRoom moves the unfinished message to the front, of a larger buffer if it fills this one. It
// cannot outgrow maxMessage, since next refuses such a message.
func (f *framer) makeRoom() {
	pending := f.buf[f.r:f.w]
	if f.size > len(f.buf) || f.size == 0 && len(pending) > len(f.buf)/2 {
		f.buf = make([]byte, max(f.size, min(2*len(f.buf), maxMessage)))
	}
	f.r, f.w = 0, copy(f.buf, pending)
}

// advance says that n bytes were read into space.
func (f *framer) advance(n int) { f.w += n }

// partial says whether a message has begun and is not whole. It holds after next found nothing.
func (f *framer) partial() bool { return f.r < f.w }

// next consumes one message, and tells how many line ends came before it (RFC 5626 §4.4.1: two are a
// ping, one a pong). A nil message means that more must be read. The message is valid until space is called. After an
// error, message is what there is of the broken one, and the stream is of no more use.
func (f *framer) next() (message []byte, blanks int, err error) {
	blanks = f.skipBlanks()
	pending := f.buf[f.r:f.w]
	if f.size == 0 && len(pending) > 0 {
		if f.size, err = f.measure(pending); err != nil {
			return pending, blanks, err
		}
	}
	if f.size == 0 || len(pending) < f.size {
		return nil, blanks, nil
	}
	message = pending[:f.size]
	f.r += f.size
	f.scanned, f.size = 0, 0
	return message, blanks, nil
}

// skipBlanks drops line ends between messages (RFC 3261 §7.5). A message that has begun starts with none.
func (f *framer) skipBlanks() (count int) {
	for f.w-f.r >= 2 && f.buf[f.r] == '\r' && f.buf[f.r+1] == '\n' {
		f.r += 2
		count++
	}
	return count
}

// measure finds the message's size. Zero means that the head is not complete.
func (f *framer) measure(pending []byte) (int, error) {
	if len(pending) == 1 && pending[0] == '\r' {
		return 0, nil // perhaps half a line end between messages
	}
	from := max(0, f.scanned-len(blankLine)+1)
	i := bytes.Index(pending[from:], blankLine)
	head := from + i + len(blankLine)
	switch {
	case i < 0 && len(pending) >= f.maxHead, i >= 0 && head > f.maxHead:
		return 0, errHeadTooLarge
	case i < 0:
		f.scanned = len(pending)
		return 0, nil
	}
	body, err := contentLength(pending[:head-2])
	switch {
	case err != nil:
		return 0, err
	case body > f.maxBody, head+body > maxMessage:
		return 0, errBodyTooLarge
	}
	return head + body, nil
}

// contentLength reads the one Content-Length of a head that ends with its last header's CRLF.
func contentLength(head []byte) (int, error) {
	length := -1
	for first := true; len(head) > 0; first = false {
		line, rest, err := cutHeader(head)
		if err != nil {
			return 0, err
		}
		head = rest
		name, value, found := bytes.Cut(line, []byte{':'})
		if first || !found || !isContentLength(name) {
			continue
		}
		if length >= 0 {
			return 0, errTwoLengths
		}
		if length = number(bytes.Trim(value, " \t\r\n")); length < 0 {
			return 0, errBadLength
		}
	}
	if length < 0 {
		return 0, errNoLength
	}
	return length, nil
}

// cutHeader takes one header with its folded lines (RFC 3261 §7.3.1) off the front.
func cutHeader(head []byte) (header, rest []byte, err error) {
	end := 0
	for {
		i := bytes.IndexByte(head[end:], '\n')
		if i < 1 || head[end+i-1] != '\r' || bytes.IndexByte(head[end:end+i-1], '\r') >= 0 {
			return nil, nil, errLineEnd
		}
		end += i + 1
		if end == len(head) || head[end] != ' ' && head[end] != '\t' {
			return head[:end], head[end:], nil
		}
	}
}

func isContentLength(name []byte) bool {
	name = bytes.TrimRight(name, " \t")
	return len(name) == 1 && name[0]|0x20 == 'l' || bytes.EqualFold(name, []byte("Content-Length"))
}

// number is a decimal number, or -1.
func number(digits []byte) int {
	if len(digits) == 0 || len(digits) > maxLengthDigits {
		return -1
	}
	n := 0
	for _, c := range digits {
		if c < '0' || c > '9' {
			return -1
		}
		n = n*10 + int(c-'0')
	}
	return n
}
