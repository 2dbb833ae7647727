package forwarder

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mss-federation/mss/pkg/siptransport"
)

const (
	// shortestOpen is how long a breaker stays open after its first failure; it doubles up to longestOpen.
	shortestOpen = time.Second
	longestOpen  = 30 * time.Second
	// probeFor is how long the one request that looks whether a peer is back keeps others away.
	probeFor = 3 * time.Second
	// maxBreakers bounds those that are remembered; connections of sites come and go on ever new ports.
	maxBreakers = 4096
)

// breaker remembers that a peer failed. It is pure: now comes from outside. The zero breaker is closed.
type breaker struct {
	probing  bool // one request is on its way
	failures int
	until    time.Time
}

// fail opens it.
func (b *breaker) fail(now time.Time) {
	b.until = now.Add(min(shortestOpen<<min(b.failures, 10), longestOpen))
	b.failures++
	b.probing = false
}

// allow says whether a request may go there. When it has been open for long enough, one may, and its outcome
// decides.
func (b *breaker) allow(now time.Time) bool {
	if b.failures == 0 {
		return true
	}
	if now.Before(b.until) {
		return false
	}
	b.until = now.Add(probeFor)
	b.probing = true
	return true
}

// state is what operators see.
func (b *breaker) state(now time.Time) BreakerState {
	switch {
	case b.failures == 0:
		return Closed
	case b.probing || !now.Before(b.until):
		return Probing
	}
	return Open
}

// BreakerState says what becomes of a request to a peer.
type BreakerState uint8

// The states. The zero state is Closed.
const (
	Closed  BreakerState = iota // it goes there
	Open                        // it takes another path
	Probing                     // one is on its way, or the next one will be, to see whether the peer is back
)

// String is the state in an operator's words.
func (s BreakerState) String() string { return [...]string{"closed", "open", "probing"}[s] }

// Breaker is the state of the breaker before a peer.
func (f *Forwarder) Breaker(flow siptransport.Flow) BreakerState {
	return f.breakers.state(peerOf(flow), time.Now())
}

// peer is what a breaker stands before: one address over one transport.
type peer struct {
	transport siptransport.Transport
	remote    netip.AddrPort
}

func peerOf(flow siptransport.Flow) peer { return peer{flow.Transport, flow.Remote} }

// breakers are those that are not closed, for all workers. While none is, nobody takes the lock.
type breakers struct {
	count atomic.Int64
	mu    struct {
		sync.Mutex
		open map[peer]*breaker
	}
}

func (b *breakers) init() { b.mu.open = make(map[peer]*breaker) }

func (b *breakers) allow(p peer, now time.Time) bool {
	if b.count.Load() == 0 {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	one := b.mu.open[p]
	return one == nil || one.allow(now)
}

func (b *breakers) state(p peer, now time.Time) BreakerState {
	if b.count.Load() == 0 {
		return Closed
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if one := b.mu.open[p]; one != nil {
		return one.state(now)
	}
	return Closed
}

// fail says whether the breaker was closed before.
func (b *breakers) fail(p peer, now time.Time) (opened bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	one := b.mu.open[p]
	if one == nil {
		b.pruneLocked(now)
		one = new(breaker)
		b.mu.open[p] = one
		opened = true
	}
	one.fail(now)
	b.count.Store(int64(len(b.mu.open)))
	return opened
}

func (b *breakers) pruneLocked(now time.Time) {
	if len(b.mu.open) < maxBreakers {
		return
	}
	for p, one := range b.mu.open {
		if now.Sub(one.until) > longestOpen {
			delete(b.mu.open, p)
		}
	}
	if len(b.mu.open) >= maxBreakers {
		clear(b.mu.open)
	}
}

func (b *breakers) ok(p peer) {
	if b.count.Load() == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.mu.open, p)
	b.count.Store(int64(len(b.mu.open)))
}
