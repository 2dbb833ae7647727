package store

import (
	"context"
	"errors"
	"time"

	"github.com/mss-federation/mss/pkg/fault"
)

// commitPace is the least time between the beginnings of two commits that calls wait for. The first after a pause
// begins at once; under load a commit of ten calls costs little more than one of two, and an answer may wait 250 ms.
const commitPace = 8 * time.Millisecond

// Run writes what is queued until ctx ends, then writes what is left and returns. All callbacks come from
// its goroutine, without a lock held. What is queued after it has returned is refused with ErrStopped.
func (s *Store) Run(ctx context.Context) error {
	planned, _ := s.State()
	retry := time.NewTimer(s.retryIn())
	defer retry.Stop()
	pace := time.NewTimer(0)
	defer pace.Stop()
	for {
		select {
		case <-s.wake:
			select {
			case <-pace.C:
				pace.Reset(commitPace)
				s.flush(false)
			case <-ctx.Done():
				return s.drain()
			}
		case <-retry.C:
			s.flush(true)
			retry.Reset(s.retryIn())
		case <-ctx.Done():
			return s.drain()
		}
		if state, _ := s.State(); state != planned {
			planned = state
			retry.Reset(s.retryIn())
		}
	}
}

// retryIn is how long a disk that took no writes, or the space for a new reserve, is left alone.
func (s *Store) retryIn() time.Duration {
	switch state, _ := s.State(); state {
	case Full:
		return s.options.RetryInterval
	case ReserveUsed:
		return 30 * s.options.RetryInterval
	case Healthy, Broken:
	}
	return time.Hour
}

// flush commits what is queued. While the disk takes no writes it only answers who waits, except on a retry.
func (s *Store) flush(retry bool) {
	switch state, cause := s.State(); {
	case state == Broken, state == Full && !retry:
		answer(s.takeWaiting(), refused("write to store", "", state, cause))
		return
	case retry && state == ReserveUsed:
		s.remakeReserve()
	case retry && state == Full:
		if err := s.probe(); err != nil {
			answer(s.takeWaiting(), refused("write to store", "", stateOf(err), err))
			return
		}
	}
	b := s.take()
	defer s.release(b)
	if b.empty() {
		return
	}
	began := time.Now()
	err := s.write(b.size(), b.write)
	s.counters.commit(b, time.Since(began), err)
	if err != nil {
		s.putBack(b)
		err = refused("write to store", "", stateOf(err), err)
	}
	answer(b.waiting, err)
}

// probe tries the disk with a small write.
func (s *Store) probe() error {
	return s.write(0, func(tx *transaction) error {
		return tx.exec(setSetting, "probe", time.Now().UTC().Format(time.RFC3339))
	})
}

// write runs one transaction and draws the conclusions for the state. A full disk gets the reserve first.
func (s *Store) write(size int64, f func(*transaction) error) error {
	err := s.writer.do(size, f)
	if err != nil && stateOf(err) == Full && s.reserve.giveUp() {
		s.become(ReserveUsed, errors.Join(errors.New("the disk is full and the reserve was given up: free space now"), err))
		err = s.writer.do(size, f)
	}
	if err != nil {
		if !isOwn(err) {
			s.become(stateOf(err), err)
		}
		return err
	}
	if state, _ := s.State(); state == Full {
		s.become(ReserveUsed, errors.New("the disk takes writes again, without a reserve"))
	}
	return nil
}

func (s *Store) remakeReserve() {
	if err := s.reserve.make(); err == nil {
		s.become(Healthy, nil)
	}
}

// transact is a write that an operator waits for.
func (s *Store) transact(op, subject string, f func(*transaction) error) error {
	s.mu.Lock()
	stopped := s.mu.stopped
	s.mu.Unlock()
	if stopped {
		return ErrStopped
	}
	if err := s.refusal(op, subject); err != nil {
		return err
	}
	err := s.write(1<<12, f)
	if err == nil || isOwn(err) {
		return err
	}
	return refused(op, subject, stateOf(err), err)
}

// isOwn says that the function of a transaction refused: that says nothing about the disk.
func isOwn(err error) bool {
	var own *fault.Error
	return errors.As(err, &own)
}

// enqueue adds to the queue under its lock and wakes the writer.
func (s *Store) enqueue(f func(*batch) error) error {
	s.mu.Lock()
	if s.mu.stopped {
		s.mu.Unlock()
		return ErrStopped
	}
	err := f(s.mu.queue)
	s.mu.Unlock()
	s.wakeUp()
	return err
}

func (s *Store) wakeUp() {
	select {
	case s.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// take swaps the queue for an empty one.
func (s *Store) take() *batch {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.mu.queue
	s.mu.queue, s.mu.spare = s.mu.spare, nil
	s.mu.flying = b.since
	return b
}

// release gives an emptied batch back for the next swap.
func (s *Store) release(b *batch) {
	b.clear()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.spare, s.mu.flying = b, time.Time{}
}

func (s *Store) putBack(b *batch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.queue.putUnder(b)
}

// takeWaiting takes those who wait and leaves what they wait for.
func (s *Store) takeWaiting() []func(error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	waiting := s.mu.queue.waiting
	s.mu.queue.waiting = nil
	return waiting
}

func answer(waiting []func(error), err error) {
	for _, done := range waiting {
		done(err)
	}
}

// drain writes what is left. It tries a full disk once more.
func (s *Store) drain() error {
	s.mu.Lock()
	s.mu.stopped = true
	s.mu.Unlock()
	s.flush(true)
	s.mu.Lock()
	left := len(s.mu.queue.closed)
	cause := s.mu.cause
	s.mu.Unlock()
	if left > 0 {
		return errors.Join(errLeft(left), cause)
	}
	return nil
}

// PendingFor is how long the oldest write that is not safe yet has waited; zero when nothing waits.
func (s *Store) PendingFor() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	oldest := s.mu.flying
	if oldest.IsZero() {
		oldest = s.mu.queue.since
	}
	if oldest.IsZero() {
		return 0
	}
	return time.Since(oldest)
}
