package sipmsg

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

const (
	maxHead = 64 << 10
	maxBody = 64 << 10
)

// ErrPing is what ReadFrom gives for the double CRLF of RFC 5626 §4.4.1; the reader answers it with one CRLF.
var ErrPing = errors.New("keep-alive ping")

// ErrPong is what ReadFrom gives for the single CRLF that answers a ping.
var ErrPong = errors.New("keep-alive pong")

// ReadFrom reads the next whole message from a stream, framed by its Content-Length (RFC 3261 §18.3).
func ReadFrom(r *bufio.Reader) ([]byte, error) {
	if err := readKeepAlive(r); err != nil {
		return nil, err
	}
	var head bytes.Buffer
	length := -1
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return nil, fmt.Errorf("read header line: %w", err)
		}
		head.WriteString(line)
		if head.Len() > maxHead {
			return nil, fmt.Errorf("headers above %d bytes", maxHead)
		}
		if line == "\r\n" {
			break
		}
		if name, value, ok := strings.Cut(line, ":"); ok && long(strings.TrimSpace(name)) == "content-length" {
			if length, err = strconv.Atoi(strings.TrimSpace(value)); err != nil || length < 0 || length > maxBody {
				return nil, fmt.Errorf("bad Content-Length %q in a stream", value)
			}
		}
	}
	if length < 0 {
		return nil, fmt.Errorf("no Content-Length in a stream")
	}
	body := make([]byte, length)
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, fmt.Errorf("read body: %w", err)
	}
	return append(head.Bytes(), body...), nil
}

// readKeepAlive takes CRLFs from before a start line. A ping is two CRLFs that came together; a lone one is a
// pong.
func readKeepAlive(r *bufio.Reader) error {
	first, err := r.Peek(2)
	if err != nil {
		return fmt.Errorf("read: %w", err)
	}
	if string(first) != "\r\n" {
		return nil
	}
	if r.Buffered() >= 4 {
		if four, err := r.Peek(4); err == nil && string(four) == "\r\n\r\n" {
			_, err := r.Discard(4)
			return errors.Join(ErrPing, err)
		}
	}
	_, err = r.Discard(2)
	return errors.Join(ErrPong, err)
}
