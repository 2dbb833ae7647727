package siptransport

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// stream is one connection. Two goroutines live as long as it does: the writer (serve), which owns
// the connection's end, and the reader, which owns the framer.
type stream struct {
	e       *Endpoint
	flow    Flow // its Local may become known when a dial succeeds, before anybody is told of it
	since   time.Time
	dialled bool
	watched bool          // by Dial: the watcher hears of its end even if it never opened
	config  *tls.Config   // of a dialled TLS one
	key     dialKey       // of one that Send dialled
	in, out atomic.Uint64 // bytes
	blanks  int           // the reader's: line ends since the last message that are no ping yet

	mu      sync.Mutex         // guards what follows
	changed sync.Cond          // the writer waits here for work
	conn    net.Conn           // nil while dialling
	cancel  context.CancelFunc // ends the dial; nil before it and for an accepted one
	queue   writeQueue
	ending  error // why nothing more is taken; nil while open
	gone    bool  // no longer counted
	kept    bool
	broken  bool      // no message can be cut from it any more
	pinging bool      // line ends that come are the peer's pongs
	heard   bool      // a byte came
	begun   time.Time // when the unfinished message's first byte came; zero between messages
	active  time.Time // when the last message passed, either way
	armed   time.Time // the deadline that reads have now; zero is none
}

// serve runs a connection to its end.
func (s *stream) serve() {
	if err := s.handshake(); err != nil {
		s.e.stats.handshakeErrors.Add(1)
		s.e.log.Debug("TLS handshake failed", "flow", s.flow.String(), "err", err)
		s.shut(err)
		s.e.closed("connection", s.conn.Close())
		s.neverOpen()
		return
	}
	s.e.stats.open.Add(1)
	s.e.watcher.FlowOpened(s.flow)
	var reader sync.WaitGroup
	reader.Go(func() { s.shut(s.read()) })
	s.write()
	reader.Wait()
	s.hangUp()
	s.end()
	s.e.stats.open.Add(-1)
	s.e.watcher.FlowClosed(s.flow, s.cause())
	s.e.receiver.FlowClosed(s.flow, s.cause())
}

// neverOpen ends a connection that nobody could use.
func (s *stream) neverOpen() {
	s.end()
	if s.watched {
		s.e.watcher.FlowClosed(s.flow, s.cause())
	}
}

// hangUp closes the connection. The kernel answers what arrives at a closed connection with a reset, which
// destroys what the peer has not read yet: an answer that was to be the last word. So where we end it,
// the peer gets time to close first.
func (s *stream) hangUp() {
	cause := s.cause()
	_, broken := errors.AsType[framingError](cause)
	half, can := s.conn.(interface{ CloseWrite() error })
	if can && (broken || errors.Is(cause, ErrClosedHere)) && half.CloseWrite() == nil {
		_ = s.conn.SetReadDeadline(time.Now().Add(s.e.opts.Linger)) // see shut
		_, _ = io.Copy(io.Discard, s.conn)                          // until the peer closes or the time is over
	}
	s.e.closed("connection", s.conn.Close())
}

// shut begins the end: nothing more is queued or read, what is queued may still leave. The first cause
// is the one that counts.
func (s *stream) shut(cause error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ending != nil {
		return
	}
	s.ending = cause
	if s.cancel != nil {
		s.cancel()
	}
	if s.conn != nil {
		now := time.Now()
		// A connection that cannot take a deadline is broken, and its reader and writer know by themselves.
		_ = s.conn.SetReadDeadline(now)
		_ = s.conn.SetWriteDeadline(now.Add(s.e.opts.Linger))
	}
	s.changed.Broadcast()
}

// end takes the connection off the books and fails what never left.
func (s *stream) end() {
	s.e.forget(s)
	cause := s.cause()
	s.mu.Lock()
	s.gone = true
	if !s.dialled && !s.kept {
		s.e.unkept.Add(-1)
	}
	left := s.queue.drain()
	s.mu.Unlock()
	for _, failed := range left {
		failed(cause)
	}
}

// cause is why the connection ends, nil while it does not.
func (s *stream) cause() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ending
}

func (s *stream) keep(keep bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone || s.kept == keep {
		return
	}
	s.kept = keep
	if !s.dialled {
		if keep {
			s.e.unkept.Add(-1)
		} else {
			s.e.unkept.Add(1)
		}
	}
	if !keep {
		// The reader may be in a Read without a deadline. One that has a deadline looks again when it is over.
		s.active = time.Now()
		s.armLocked()
	}
}

// limitLocked says when the reader has waited too long, and what that is called. Zero is never.
func (s *stream) limitLocked() (time.Time, error) {
	switch {
	case !s.begun.IsZero():
		return s.begun.Add(s.e.opts.PerMessage), ErrSlowMessage
	case !s.heard && !s.dialled:
		return s.since.Add(s.e.opts.FirstByte), ErrSilent
	case s.kept:
		return time.Time{}, nil
	case s.dialled:
		return s.active.Add(s.e.opts.IdleDialled), ErrIdle
	}
	return s.active.Add(s.e.opts.IdleUnregistered), ErrIdle
}

// arm prepares a Read, unless the connection ends.
func (s *stream) arm() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.armLocked()
	return s.ending
}

// armLocked sets the deadline of the next or the current Read.
func (s *stream) armLocked() {
	if s.ending != nil || s.conn == nil || s.broken {
		return
	}
	if limit, _ := s.limitLocked(); !limit.Equal(s.armed) {
		s.armed = limit
		_ = s.conn.SetReadDeadline(limit) // see shut
	}
}

// read hands on messages until the connection ends, and says why it did.
func (s *stream) read() error {
	f := framer{maxHead: s.e.opts.MaxHeaders, maxBody: s.e.opts.MaxBody}
	for {
		if err := s.awaitBytes(&f); err != nil {
			return err
		}
		if err := s.deliver(&f); err != nil {
			s.lastAnswers()
			return err
		}
	}
}

// lastAnswers lets the answers to messages leave that came whole just before the broken one: who answers them does so
// on a worker of its own. Until then what comes is thrown away. The reader calls it.
func (s *stream) lastAnswers() {
	s.mu.Lock()
	s.broken = true
	until := s.active.Add(s.e.opts.Linger)
	if s.ending == nil {
		_ = s.conn.SetReadDeadline(until) // see shut
	}
	s.mu.Unlock()
	if time.Now().Before(until) {
		_, _ = io.Copy(io.Discard, s.conn) // until the peer closes, the connection is shut, or the time is over
	}
}

// awaitBytes reads once.
func (s *stream) awaitBytes(f *framer) error {
	space := f.space()
	for {
		if err := s.arm(); err != nil {
			return err
		}
		n, err := s.conn.Read(space)
		if n > 0 {
			f.advance(n)
			s.in.Add(uint64(n))
			s.e.stats.bytesIn.Add(uint64(n))
			return nil // an error will come again
		}
		if err = s.tooLong(err); err != nil {
			return err
		}
	}
}

// tooLong judges a Read's error: a deadline that has moved meanwhile is none.
func (s *stream) tooLong(err error) error {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	limit, cause := s.limitLocked()
	if cause == nil || time.Now().Before(limit) {
		return nil
	}
	s.e.stats.timedOut.Add(1)
	return cause
}

// deliver hands on every whole message that the framer has.
func (s *stream) deliver(f *framer) error {
	for {
		msg, blanks, err := f.next()
		s.lineEnds(blanks)
		if err != nil {
			s.e.stats.framingErrors.Add(1)
			s.e.receiver.Refused(s.flow, msg, err.Error())
			return err
		}
		s.progress(msg != nil, f.partial())
		if msg == nil {
			return nil
		}
		s.blanks = 0
		s.e.stats.messagesIn.Add(1)
		s.e.receiver.Receive(newInbound(s.flow, msg))
	}
}

// progress keeps the clocks that limitLocked reads.
func (s *stream) progress(whole, partial bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heard = true
	if whole {
		s.active = time.Now()
		s.begun = time.Time{}
	}
	if partial && s.begun.IsZero() {
		s.begun = time.Now()
	}
}

// lineEnds takes what came between messages: on a connection that we ping they are pongs, else two of them
// are a ping to answer (RFC 5626 §4.4.1). One that does not fit in the queue is not answered.
func (s *stream) lineEnds(blanks int) {
	if blanks == 0 {
		return
	}
	if s.pings() {
		s.e.watcher.FlowAlive(s.flow)
		return
	}
	s.blanks += blanks
	for ; s.blanks >= 2; s.blanks -= 2 {
		s.e.stats.keepAlives.Add(1)
		s.e.watcher.FlowAlive(s.flow)
		if s.queueLineEnds("\r\n") != nil {
			return
		}
	}
}
