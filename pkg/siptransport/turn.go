package siptransport

import "net"

// turn is an accepted connection during its TLS handshake. What a handshake computes is many times the work of a
// message, and after a restart all phones come at once: a few compute at a time, in turn, so that messages are
// handled between them. Nobody has a turn while it waits for the network, so that who connects and says nothing
// keeps nobody waiting. Only the goroutine of the handshake reads and writes until over is called.
type turn struct {
	net.Conn
	slots chan struct{} // holds one token for each handshake that computes
	ended bool
}

func (t *turn) begin() { t.slots <- struct{}{} }

func (t *turn) pause() { <-t.slots }

// over ends the last turn; the connection is a plain one from then on.
func (t *turn) over() {
	t.pause()
	t.ended = true
}

// Read waits for bytes without a turn.
func (t *turn) Read(p []byte) (int, error) {
	if t.ended {
		return t.Conn.Read(p)
	}
	t.pause()
	defer t.begin()
	return t.Conn.Read(p)
}

// Write waits for the peer's window without a turn.
func (t *turn) Write(p []byte) (int, error) {
	if t.ended {
		return t.Conn.Write(p)
	}
	t.pause()
	defer t.begin()
	return t.Conn.Write(p)
}
