package siptransport

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
)

const options = "OPTIONS sip:example.org SIP/2.0\r\nVia: SIP/2.0/TCP 192.0.2.1\r\n"

// cut feeds a stream in pieces of the given size and collects what comes out.
func cut(stream []byte, piece int) (messages []string, blanks int, err error) {
	f := framer{maxHead: maxMessage, maxBody: maxMessage}
	for len(stream) > 0 {
		n := copy(f.space(), stream[:min(piece, len(stream))])
		f.advance(n)
		stream = stream[n:]
		for {
			msg, p, err := f.next()
			blanks += p
			if err != nil {
				return messages, blanks, err
			}
			if msg == nil {
				break
			}
			messages = append(messages, string(msg))
		}
	}
	return messages, blanks, nil
}

func TestStreamIsCutIntoMessages(t *testing.T) {
	t.Parallel()
	plain := options + "Content-Length: 0\r\n\r\n"
	compact := options + "l:5\r\n\r\nhello"
	folded := options + "CONTENT-LENGTH \t:\r\n\t 3 \r\nSubject: Content-Length: 9\r\n\r\na\r\n"
	large := options + "Subject: " + strings.Repeat("x", 20_000) + "\r\nContent-Length: 40000\r\n\r\n" + strings.Repeat("y", 40_000)
	for name, tc := range map[string]struct {
		stream string
		want   []string
		blanks int
	}{
		"one":                       {plain, []string{plain}, 0},
		"three in a row":            {plain + compact + folded, []string{plain, compact, folded}, 0},
		"line ends between":         {"\r\n" + plain + "\r\n" + compact + "\r\n", []string{plain, compact}, 3},
		"ping":                      {"\r\n\r\n", nil, 2},
		"pings around a message":    {"\r\n\r\n\r\n\r\n" + plain + "\r\n\r\n", []string{plain}, 6},
		"line end and then a ping":  {"\r\n" + plain + "\r\n\r\n", []string{plain}, 3},
		"large, then small":         {large + plain, []string{large, plain}, 0},
		"many":                      {strings.Repeat(plain, 200), slices.Repeat([]string{plain}, 200), 0},
		"not whole":                 {compact[:len(compact)-1], nil, 0},
		"head not whole":            {plain[:len(plain)-1], nil, 0},
		"body that looks like more": {options + "l: 4\r\n\r\n\r\n\r\n" + plain, []string{options + "l: 4\r\n\r\n\r\n\r\n", plain}, 0},
	} {
		for _, piece := range []int{1, 2, 3, 7, 1000, 1 << 20} {
			got, blanks, err := cut([]byte(tc.stream), piece)
			if err != nil || !slices.Equal(got, tc.want) || blanks != tc.blanks {
				t.Errorf("%s by %d: %d messages, %d line ends, %v; want %d, %d", name, piece, len(got), blanks, err, len(tc.want), tc.blanks)
			}
		}
	}
}

func TestStreamIsRefused(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		stream string
		want   error
	}{
		"no length":            {options + "\r\n", errNoLength},
		"two equal lengths":    {options + "Content-Length: 0\r\nContent-Length: 0\r\n\r\n", errTwoLengths},
		"long and compact":     {options + "Content-Length: 0\r\nl: 5\r\n\r\nhello", errTwoLengths},
		"empty":                {options + "l:\r\n\r\n", errBadLength},
		"negative":             {options + "l: -1\r\n\r\n", errBadLength},
		"signed":               {options + "l: +1\r\n\r\nx", errBadLength},
		"list":                 {options + "l: 1, 1\r\n\r\nx", errBadLength},
		"two numbers folded":   {options + "l: 1\r\n 1\r\n\r\nx", errBadLength},
		"past int":             {options + "l: 18446744073709551617\r\n\r\nx", errBadLength},
		"hexadecimal":          {options + "l: 0x1\r\n\r\nx", errBadLength},
		"body too large":       {options + "l: 65537\r\n\r\n", errBodyTooLarge},
		"together too large":   {options + "l: 65500\r\n\r\n", errBodyTooLarge},
		"head too large":       {options + "Subject: " + strings.Repeat("x", maxMessage), errHeadTooLarge},
		"bare line feed":       {options + "Subject: x\nContent-Length: 5\r\nl: 0\r\n\r\n", errLineEnd},
		"bare carriage return": {options + "Subject: x\rContent-Length: 5\r\nl: 0\r\n\r\n", errLineEnd},
		"carriage return twice": {
			options + "l: 0\r\r\n\r\n", errLineEnd,
		},
		"line feed first":    {"\n" + options + "l: 0\r\n\r\n", errLineEnd},
		"length only at top": {"l: 0 SIP/2.0\r\nVia: x\r\n\r\n", errNoLength},
		"a web browser":      {"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n", errNoLength},
	} {
		for _, piece := range []int{1, 5, 1 << 20} {
			if got, _, err := cut([]byte(tc.stream), piece); !errors.Is(err, tc.want) || len(got) != 0 {
				t.Errorf("%s by %d: %d messages, %v; want %v", name, piece, len(got), err, tc.want)
			}
		}
	}
}

func TestLimitsAreTheConfigured(t *testing.T) {
	t.Parallel()
	head := options + "l: 10\r\n\r\n"
	for _, tc := range []struct {
		name          string
		maxHead, body int
		want          error
	}{
		{"fits", len(head), 10, nil},
		{"head", len(head) - 1, 10, errHeadTooLarge},
		{"body", len(head), 9, errBodyTooLarge},
	} {
		f := framer{maxHead: tc.maxHead, maxBody: tc.body}
		f.advance(copy(f.space(), head+"0123456789"))
		if msg, _, err := f.next(); !errors.Is(err, tc.want) || err == nil && len(msg) != len(head)+10 {
			t.Errorf("%s: %d bytes, %v; want %v", tc.name, len(msg), err, tc.want)
		}
	}
}

func TestIdleFramerIsSmall(t *testing.T) {
	t.Parallel()
	f := framer{maxHead: maxMessage, maxBody: maxMessage}
	stream := []byte(options + "l: 60000\r\n\r\n" + strings.Repeat("y", 60_000))
	for len(stream) > 0 {
		n := copy(f.space(), stream)
		f.advance(n)
		stream = stream[n:]
		if _, _, err := f.next(); err != nil {
			t.Fatal(err)
		}
	}
	if got := len(f.space()); f.partial() || got != smallBuffer {
		t.Errorf("after a large message the buffer has %d bytes, want %d", got, smallBuffer)
	}
}

// FuzzFramer: how a stream is cut into packets never changes what is read from it, and messages and
// line ends are all that it is made of.
func FuzzFramer(f *testing.F) {
	f.Add([]byte("\r\n\r\n"+options+"l: 2\r\n\r\nhi"+options+"l: 0\r\n\r\n"), 3)
	f.Add([]byte(options+"l: 1\r\n 1\r\n\r\nx"), 1)
	f.Add([]byte("\r"+options), 1)
	f.Add([]byte(options+"l : 0\r\nl: 0\r\n\r\n"), 7)
	f.Fuzz(func(t *testing.T, stream []byte, piece int) {
		whole, blanks, err := cut(stream, 1<<20)
		pieces, blanks2, err2 := cut(stream, max(1, piece))
		if !slices.Equal(whole, pieces) || blanks != blanks2 || (err == nil) != (err2 == nil) {
			t.Errorf("whole: %d messages, %d line ends, %v; pieces: %d, %d, %v", len(whole), blanks, err, len(pieces), blanks2, err2)
		}
		rest := stream
		for _, msg := range whole {
			rest = bytes.TrimLeft(rest, "\r\n")
			if !bytes.HasPrefix(rest, []byte(strings.TrimLeft(msg, "\r\n"))) {
				t.Fatalf("%q is not in the stream", msg)
			}
			rest = rest[len(strings.TrimLeft(msg, "\r\n")):]
		}
	})
}
