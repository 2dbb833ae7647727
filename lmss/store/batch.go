package store

import (
	"time"

	"github.com/mss-federation/mss/lmss/cdr"
	"github.com/mss-federation/mss/lmss/registrar"
)

// batch is what waits for one commit: of each call and binding only the newest state, so that it grows
// with what is alive, not with what happens.
type batch struct {
	calls    map[string]callWrite
	closed   map[cdr.ID]cdr.Record
	bindings map[registrar.BindingID]registrar.Change
	waiting  []func(error)
	since    time.Time // when the oldest of it came; zero when empty
}

// callWrite is the state wanted of a call's record; over means none.
type callWrite struct {
	data []byte
	open cdr.Record
	over bool
}

func newBatch() *batch {
	return &batch{
		calls:    map[string]callWrite{},
		closed:   map[cdr.ID]cdr.Record{},
		bindings: map[registrar.BindingID]registrar.Change{},
	}
}

func (b *batch) empty() bool { return b.since.IsZero() }

// hasRoom says whether another call that is up may wait with limit call records. Calls that are over are
// among calls too, with next to nothing.
func (b *batch) hasRoom(limit int) bool { return len(b.closed) < limit && len(b.calls) < 4*limit }

func (b *batch) note(done func(error)) {
	if b.since.IsZero() {
		b.since = time.Now()
	}
	if done != nil {
		b.waiting = append(b.waiting, done)
	}
}

// clear empties the batch and keeps its room.
func (b *batch) clear() {
	clear(b.calls)
	clear(b.closed)
	clear(b.bindings)
	clear(b.waiting)
	b.waiting, b.since = b.waiting[:0], time.Time{}
}

// putUnder takes in an older batch that could not be written: where both have something, the newer stays.
// Those who waited for the older one have had their answer.
func (b *batch) putUnder(older *batch) {
	under(b.calls, older.calls)
	under(b.closed, older.closed)
	under(b.bindings, older.bindings)
	if !older.since.IsZero() {
		b.since = older.since
	}
}

func under[K comparable, V any](newer, older map[K]V) {
	for k, v := range older {
		if _, ok := newer[k]; !ok {
			newer[k] = v
		}
	}
}

// size is about how many bytes the batch adds to the write-ahead log.
func (b *batch) size() int64 {
	const row, page = 1024, 4096
	n := int64(4*page + row*(len(b.closed)+len(b.bindings)))
	for _, c := range b.calls {
		n += int64(row + len(c.data))
	}
	return n
}

// write is the body of the commit.
func (b *batch) write(tx *transaction) error {
	for id := range b.calls {
		if err := writeCall(tx, id, b.calls[id]); err != nil {
			return err
		}
	}
	for id := range b.closed {
		if err := writeRecord(tx, b.closed[id]); err != nil {
			return err
		}
	}
	for id := range b.bindings {
		if err := writeBinding(tx, id, b.bindings[id]); err != nil {
			return err
		}
	}
	return nil
}
