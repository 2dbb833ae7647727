package store

import (
	"sync/atomic"
	"time"
)

// Stats are the store's counters since it was opened, and how it is now.
type Stats struct {
	Commits  int64 // group commits that are safe on the disk
	Failures int64 // group commits that the disk did not take
	Records  int64 // calls, call records and bindings written
	Refused  int64 // calls and call records refused because too many waited for the disk
	Busy     time.Duration
	Queued   int           // call records that wait for the disk
	Pending  time.Duration // how long the oldest write that is not safe has waited
	State    State
}

// counters are written without a lock.
type counters struct {
	commits, failures, records, refused, busy atomic.Int64
}

func (c *counters) commit(b *batch, took time.Duration, err error) {
	c.busy.Add(int64(took))
	if err != nil {
		c.failures.Add(1)
		return
	}
	c.commits.Add(1)
	c.records.Add(int64(len(b.calls) + len(b.closed) + len(b.bindings)))
}

// Stats reads the counters.
func (s *Store) Stats() Stats {
	s.mu.Lock()
	state, queued := s.mu.state, len(s.mu.queue.closed)
	s.mu.Unlock()
	c := &s.counters
	return Stats{
		Commits: c.commits.Load(), Failures: c.failures.Load(), Records: c.records.Load(), Refused: c.refused.Load(),
		Busy: time.Duration(c.busy.Load()), Queued: queued, Pending: s.PendingFor(), State: state,
	}
}
