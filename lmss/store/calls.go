package store

import (
	"context"
	"fmt"

	"github.com/mss-federation/mss/lmss/cdr"
	"github.com/mss-federation/mss/pkg/fault"
)

// StoredCall is a call that was up when it was last written. Data is what SaveCall got.
type StoredCall struct {
	ID   string
	Data []byte
	CDR  cdr.Record
}

// SaveCall writes the record of a call that is up, in the place of an earlier one of its id, and returns at
// once. done is called once, from Run's goroutine, when the record is safe (nil), or when it is not: the
// record then stays queued, and the call is unprotected until the disk takes it. done may be nil and must
// not block. An error here means that nothing was queued and done is not called: the queue is full
// (fault.Exhausted) or the store has stopped. data belongs to the store from now on.
func (s *Store) SaveCall(id string, data []byte, open cdr.Record, done func(error)) error {
	return s.enqueue(func(b *batch) error {
		if _, ok := b.calls[id]; !ok && !b.hasRoom(s.options.QueueLimit) {
			return s.full(id)
		}
		b.calls[id] = callWrite{data: data, open: open}
		b.note(done)
		return nil
	})
}

// CloseCall deletes the record of a call and writes its call record, in one transaction; a call that was
// never saved may be closed too. Closing twice with one closed.ID is closing once. done and the error are
// as in SaveCall; when the queue is full there is still room for as many call records again.
func (s *Store) CloseCall(id string, closed cdr.Record, done func(error)) error {
	return s.enqueue(func(b *batch) error {
		if _, ok := b.closed[closed.ID]; !ok && len(b.closed) >= 2*s.options.QueueLimit {
			return s.full(id)
		}
		b.calls[id] = callWrite{over: true}
		b.closed[closed.ID] = closed
		b.note(done)
		return nil
	})
}

func (s *Store) full(id string) error {
	s.counters.refused.Add(1)
	return fault.New("queue call record", fault.Exhausted, id, "too many wait for the disk: free space in the state directory")
}

func errLeft(n int) error {
	return fault.New("stop store", fault.Exhausted, "", fmt.Sprintf("%d call records were not written", n))
}

func writeCall(tx *transaction, id string, c callWrite) error {
	if c.over {
		return tx.exec(deleteCall, id)
	}
	tx.w.mu.scratch = c.open.Append(tx.w.mu.scratch[:0])
	return tx.exec(putCall, id, c.data, tx.w.mu.scratch)
}

// LoadCalls reads the calls that were up, as they were last written.
func (s *Store) LoadCalls() ([]StoredCall, error) {
	return load(s, "load calls", "SELECT id, data, cdr FROM calls", func(scan func(...any) error) (StoredCall, error) {
		var c StoredCall
		var open []byte
		if err := scan(&c.ID, &c.Data, &open); err != nil {
			return c, err
		}
		return c, c.CDR.Read(open)
	})
}

// load reads all rows of a query.
func load[T any](s *Store, op, query string, read func(scan func(...any) error) (T, error), args ...any) (all []T, err error) {
	rows, err := s.reader.QueryContext(context.Background(), query, args...)
	if err != nil {
		return nil, &fault.Error{Op: op, Kind: fault.KindOf(err), Subject: s.dir, Err: err}
	}
	defer func() {
		if closing := rows.Close(); err == nil && closing != nil {
			err = closing
		}
	}()
	for rows.Next() {
		one, err := read(rows.Scan)
		if err != nil {
			return nil, &fault.Error{Op: op, Kind: fault.KindOf(err), Subject: s.dir, Err: err}
		}
		all = append(all, one)
	}
	return all, rows.Err()
}
