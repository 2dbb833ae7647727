package siptransport

import (
	"errors"
	"net"
	"time"

	"github.com/mss-federation/mss/pkg/fault"
)

// maxSpare is the largest buffer that an idle connection keeps for its next batch, in bytes.
const maxSpare = 8 << 10

// writeQueue is what waits to be written: bytes, and who wants to know of which. The stream's mutex
// guards it.
type writeQueue struct {
	bytes  []byte
	marks  []mark
	flying int    // bytes of the batch that is being written
	spare  []byte // the last batch's buffer
}

// mark is the end of a message in a batch whose sender wants to know if it failed.
type mark struct {
	end    int
	failed func(error)
}

// enqueue copies msg behind what waits.
func (s *stream) enqueue(msg []byte, failed func(error)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.pushLocked(msg); err != nil {
		return err
	}
	if failed != nil {
		s.queue.marks = append(s.queue.marks, mark{end: len(s.queue.bytes), failed: failed})
	}
	s.active = time.Now()
	s.e.stats.messagesOut.Add(1)
	return nil
}

// queueLineEnds does not count as a message: a peer cannot keep an unregistered connection by pinging.
func (s *stream) queueLineEnds(text string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pushLocked([]byte(text))
}

func (s *stream) pushLocked(msg []byte) error {
	q := &s.queue
	if s.ending != nil {
		return ErrFlowClosed
	}
	if len(q.bytes)+q.flying+len(msg) > s.e.opts.WriteQueue {
		s.e.stats.queueFull.Add(1)
		return ErrQueueFull
	}
	q.bytes = append(q.bytes, msg...)
	s.changed.Signal()
	return nil
}

// write sends batches until the connection is to end and nothing waits, or a write fails.
func (s *stream) write() {
	for {
		batch, marks := s.nextBatch()
		if batch == nil {
			return
		}
		n, err := s.conn.Write(batch)
		s.out.Add(uint64(n))
		s.e.stats.bytesOut.Add(uint64(n))
		if err != nil {
			err = writeFault(s.flow, err)
			s.shut(err)
			failFrom(marks, n, err)
			return
		}
	}
}

// nextBatch takes all that waits; nil is the end.
func (s *stream) nextBatch() ([]byte, []mark) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := &s.queue
	if cap(q.spare) > maxSpare {
		q.spare = nil
	}
	q.flying = 0
	for len(q.bytes) == 0 {
		if s.ending != nil {
			return nil, nil
		}
		s.changed.Wait()
	}
	batch, marks := q.bytes, q.marks
	q.flying = len(batch)
	q.bytes, q.spare = q.spare[:0], batch
	q.marks = nil
	if s.ending == nil { // else shut has set a nearer deadline
		_ = s.conn.SetWriteDeadline(time.Now().Add(s.e.opts.WriteTimeout)) // see shut
	}
	return batch, marks
}

// failFrom tells those whose message did not leave whole when only n bytes of the batch did.
func failFrom(marks []mark, n int, err error) {
	for _, m := range marks {
		if m.end > n {
			m.failed(err)
		}
	}
}

// drain gives up what waits and says who wants to know.
func (q *writeQueue) drain() []func(error) {
	failed := make([]func(error), 0, len(q.marks))
	for _, m := range q.marks {
		failed = append(failed, m.failed)
	}
	*q = writeQueue{}
	return failed
}

func writeFault(flow Flow, err error) error {
	kind := fault.Unavailable
	if ne := net.Error(nil); errors.As(err, &ne) && ne.Timeout() {
		kind = fault.Timeout
	}
	return &fault.Error{Op: "write", Kind: kind, Subject: flow.String(), Err: err}
}
