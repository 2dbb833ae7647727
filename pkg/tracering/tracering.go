// Package tracering keeps the newest SIP messages of a node in memory, so that an operator can look at a
// call that is up or has just ended. It holds whole messages in a few bounded byte rings, one a worker;
// the oldest fall out. It does not decide what belongs to a call (the reader names the Call-IDs) and it
// never gives out a secret: [Ring.Find] removes them on the way out. Start at [Ring.Add].
package tracering

import (
	"slices"
	"sync"
	"time"

	"github.com/mss-federation/mss/pkg/siptransport"
)

// DefaultBytes is what a node keeps when nothing else is configured: some 9000 messages.
const DefaultBytes = 8 << 20

// Ring is the rings of one node. A nil *Ring keeps nothing and finds nothing. All methods may be called
// from several goroutines at once.
type Ring struct {
	shards []shard
}

// shard is one worker's ring. Records lie one after the other from tail to head, which are byte counts
// since the start; a byte count modulo len(buf) is its place.
type shard struct {
	mu struct {
		sync.Mutex
		buf        []byte
		head, tail uint64
		dropped    uint64 // messages that did not fit in the whole ring
	}
	_ [64]byte // neighbours must not share a cache line
}

// Entry is one message that was read or sent, without its secrets.
type Entry struct {
	At      time.Time
	Out     bool              // sent by this node; else read
	Flow    siptransport.Flow // Local is this node's side
	CallID  string
	Message []byte
}

// New makes rings for that many workers that hold bytes in all. Zero bytes means [DefaultBytes];
// negative keeps nothing.
func New(workers, bytes int) *Ring {
	if bytes == 0 {
		bytes = DefaultBytes
	}
	workers = max(workers, 1)
	r := &Ring{shards: make([]shard, workers)}
	for i := range r.shards {
		r.shards[i].mu.buf = make([]byte, max(bytes, 0)/workers)
	}
	return r
}

// Add keeps a copy of msg. It is for the hot path: one lock that only readers of traces contend for, one
// copy, no allocation. A worker outside the range counts modulo the number of workers.
func (r *Ring) Add(worker int, out bool, flow siptransport.Flow, at time.Time, msg []byte) {
	if r == nil {
		return
	}
	var h [headSize]byte
	encodeHead(&h, out, flow, at, len(msg))
	size := uint64(headSize + len(msg))

	s := &r.shards[uint(worker)%uint(len(r.shards))]
	s.mu.Lock()
	defer s.mu.Unlock()
	if size > uint64(len(s.mu.buf)) {
		s.mu.dropped++
		return
	}
	for s.mu.head+size-s.mu.tail > uint64(len(s.mu.buf)) {
		s.dropOldestLocked()
	}
	s.writeLocked(h[:])
	s.writeLocked(msg)
}

// Find gives the messages whose Call-ID matches, oldest first, without their secrets. Messages of one
// worker with equal times stay in the order in which they were added. It copies each ring under its lock
// (about a millisecond for a full one) and looks at the copy.
func (r *Ring) Find(match func(callID string) bool) []Entry {
	if r == nil {
		return nil
	}
	var found []Entry
	for i := range r.shards {
		found = appendMatches(found, r.shards[i].snapshot(), match)
	}
	slices.SortStableFunc(found, func(a, b Entry) int { return a.At.Compare(b.At) })
	return found
}

// Usage says how full the rings are, in bytes, and how many messages were larger than a whole ring.
func (r *Ring) Usage() (used, size int, dropped uint64) {
	if r == nil {
		return 0, 0, 0
	}
	for i := range r.shards {
		s := &r.shards[i]
		s.mu.Lock()
		used += int(s.mu.head - s.mu.tail)
		size += len(s.mu.buf)
		dropped += s.mu.dropped
		s.mu.Unlock()
	}
	return used, size, dropped
}

func (s *shard) dropOldestLocked() {
	var h [headSize]byte
	s.readLocked(h[:], s.mu.tail)
	s.mu.tail += headSize + uint64(messageLen(&h))
}

// writeLocked appends b at head; the caller has made room.
func (s *shard) writeLocked(b []byte) {
	at := int(s.mu.head % uint64(len(s.mu.buf)))
	n := copy(s.mu.buf[at:], b)
	copy(s.mu.buf, b[n:])
	s.mu.head += uint64(len(b))
}

// readLocked fills b with the bytes from the byte count from on.
func (s *shard) readLocked(b []byte, from uint64) {
	at := int(from % uint64(len(s.mu.buf)))
	n := copy(b, s.mu.buf[at:])
	copy(b[n:], s.mu.buf)
}

// snapshot is a copy of all records, oldest first.
func (s *shard) snapshot() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.head == s.mu.tail {
		return nil
	}
	b := make([]byte, s.mu.head-s.mu.tail)
	s.readLocked(b, s.mu.tail)
	return b
}

// appendMatches walks the records of one snapshot.
func appendMatches(found []Entry, records []byte, match func(callID string) bool) []Entry {
	for len(records) > 0 {
		h := (*[headSize]byte)(records)
		n := messageLen(h)
		msg := records[headSize : headSize+n]
		records = records[headSize+n:]
		id := callID(msg)
		if id == "" || !match(id) {
			continue
		}
		e := decodeHead(h)
		e.CallID, e.Message = id, Redact(msg)
		found = append(found, e)
	}
	return found
}
