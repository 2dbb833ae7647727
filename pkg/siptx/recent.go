package siptx

import (
	"bytes"
	"hash/maphash"
	"sync"
	"time"
)

// recent remembers which INVITEs were taken, so that the repetition of one that still waits in a long queue
// is not refused like a new one: its caller would be told 503 while the callee rings. It holds hashes of
// whole messages, since a repetition is the same bytes (RFC 3261 §17.1.1.2), in two generations.
type recent struct {
	seed maphash.Seed
	mu   struct {
		sync.Mutex
		young, old map[uint64]struct{}
		turned     time.Time
	}
}

const (
	// recentLife is how long a generation grows: an INVITE is repeated for 64*T1, in gaps below 16 s.
	recentLife = 16 * time.Second
	// recentSize bounds a generation.
	recentSize = 1 << 15
)

var inviteStart = []byte("INVITE ")

func isInvite(msg []byte) bool { return bytes.HasPrefix(msg, inviteStart) }

// hash is the name of a message here, never zero.
func (r *recent) hash(msg []byte) uint64 { return max(maphash.Bytes(r.seed, msg), 1) }

// add remembers an INVITE that was taken.
func (r *recent) add(hash uint64, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.mu.young == nil || len(r.mu.young) >= recentSize || now.Sub(r.mu.turned) > recentLife {
		r.mu.old, r.mu.young, r.mu.turned = r.mu.young, map[uint64]struct{}{}, now
	}
	r.mu.young[hash] = struct{}{}
}

// has says whether an INVITE is the repetition of one that was taken.
func (r *recent) has(hash uint64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, young := r.mu.young[hash]
	_, old := r.mu.old[hash]
	return young || old
}
