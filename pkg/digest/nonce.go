package digest

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"sync"
	"sync/atomic"
	"time"
)

// A nonce is a stamp and its MAC, in base64: nothing is kept of a nonce until it was used with the right
// password, so that challenges cost no memory.
const (
	stampSize = 12 // nanoseconds since 1970 and a count that keeps two of one instant apart
	macSize   = 12
)

// stamp names a nonce.
type stamp [stampSize]byte

func (s stamp) issued() int64 {
	return int64(binary.BigEndian.Uint64(s[:8])) //nolint:gosec // written from an int64
}

// mint makes and recognises nonces. It is safe for concurrent use.
type mint struct {
	key   [32]byte
	count atomic.Uint32
}

func newMint() *mint {
	m := &mint{}
	_, _ = rand.Read(m.key[:]) // never fails: crypto/rand.Read
	return m
}

func (m *mint) issue(now time.Time) string {
	var s stamp
	binary.BigEndian.PutUint64(s[:8], uint64(now.UnixNano())) //nolint:gosec // after 1970
	binary.BigEndian.PutUint32(s[8:], m.count.Add(1))
	return base64.RawURLEncoding.EncodeToString(append(s[:], m.mac(s)...))
}

// open returns the stamp of a nonce of ours.
func (m *mint) open(nonce string) (s stamp, ok bool) {
	var b [stampSize + macSize]byte
	if len(nonce) != base64.RawURLEncoding.EncodedLen(len(b)) {
		return s, false
	}
	if _, err := base64.RawURLEncoding.Decode(b[:], []byte(nonce)); err != nil {
		return s, false
	}
	copy(s[:], b[:])
	return s, hmac.Equal(b[stampSize:], m.mac(s))
}

func (m *mint) mac(s stamp) []byte {
	h := hmac.New(sha256.New, m.key[:])
	_, _ = h.Write(s[:]) // hash.Hash never fails
	return h.Sum(nil)[:macSize]
}

// ledger remembers the highest nonce count of each nonce that was used, so that nothing is accepted
// twice (RFC 7616 §3.4.5). It keeps two generations and forgets the older one when the younger is as
// old as a nonce can be, or full. What a full ledger forgets too early is not accepted again: floor
// makes it stale, and the phone asks for a new nonce.
type ledger struct {
	life  time.Duration
	limit int // entries a generation

	mu struct {
		sync.Mutex
		young, old map[stamp]uint32
		turned     time.Time
		floor      int64 // nonces issued up to here count only if they are found
	}
}

func newLedger(life time.Duration, limit int) *ledger {
	l := &ledger{life: life, limit: limit}
	l.mu.young, l.mu.old = map[stamp]uint32{}, map[stamp]uint32{}
	return l
}

// use records a use of a nonce that is in its lifetime.
func (l *ledger) use(now time.Time, s stamp, count uint32) Verdict {
	l.mu.Lock()
	defer l.mu.Unlock()
	last, found := l.mu.young[s]
	if !found {
		last, found = l.mu.old[s]
	}
	switch {
	case found && count <= last:
		return Replayed
	case !found && s.issued() <= l.mu.floor:
		return Stale
	}
	if now.Sub(l.mu.turned) >= l.life || len(l.mu.young) >= l.limit {
		l.turnLocked(now)
	}
	l.mu.young[s] = count
	return OK
}

// turnLocked forgets the old generation. Its nonces may still be young only if the ledger was full.
func (l *ledger) turnLocked(now time.Time) {
	for s := range l.mu.old {
		if now.Sub(time.Unix(0, s.issued())) <= l.life {
			l.mu.floor = max(l.mu.floor, s.issued())
		}
	}
	clear(l.mu.old)
	l.mu.young, l.mu.old = l.mu.old, l.mu.young
	l.mu.turned = now
}
