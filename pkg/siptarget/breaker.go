package siptarget

import (
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mss-federation/mss/pkg/siptransport"
)

const (
	// shortestOpen is how long an address is tried last after its first failure; it doubles up to longestOpen. To
	// try costs a caller a second and a half of silence, not to try costs nothing while others answer.
	shortestOpen = 10 * time.Second
	longestOpen  = time.Minute
	// probeFor is how long the one request that looks whether a place is back keeps others away.
	probeFor = 2 * time.Second
	// noTCPLife is how long it is remembered that an address takes no TCP.
	noTCPLife = time.Hour
	// maxBreakers bounds each of the memories; a full one begins again.
	maxBreakers = 4096
)

// Place is what can fail: one address over one transport.
type Place struct {
	Transport siptransport.Transport
	Addr      netip.AddrPort
}

// Breakers remember places that failed: connect errors, silence, and a 503 of the peer's own. They only change
// the order of what is tried, so that the last way is never closed. The zero Breakers know of no failure. Safe
// for concurrent use; while nothing has failed nobody takes the lock.
type Breakers struct {
	known atomic.Bool

	mu    sync.Mutex // guards what follows
	open  map[Place]breaker
	noTCP map[netip.AddrPort]time.Time
}

type breaker struct {
	failures int
	until    time.Time
}

// Failed opens the breaker of a place.
func (b *Breakers) Failed(p Place, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.open == nil || len(b.open) >= maxBreakers {
		b.open = make(map[Place]breaker)
	}
	one := b.open[p]
	one.until = now.Add(min(shortestOpen<<min(one.failures, 10), longestOpen))
	one.failures++
	b.open[p] = one
	b.known.Store(true)
}

// Answered closes it: anything that came from there does.
func (b *Breakers) Answered(p Place) {
	if !b.known.Load() {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.open, p)
}

// Order puts targets whose breaker is open behind the others, and keeps the order otherwise. One whose time
// is over is tried in its place, which keeps others away for a moment: its outcome decides.
func (b *Breakers) Order(targets []Target, now time.Time) []Target {
	if !b.known.Load() {
		return targets
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	good, bad := make([]Target, 0, len(targets)), []Target(nil)
	for _, t := range targets {
		p := Place{t.Transport, t.Addr}
		one, failed := b.open[p]
		switch {
		case failed && now.Before(one.until):
			bad = append(bad, t)
			continue
		case failed && len(good) == 0: // the one that is tried
			one.until = now.Add(probeFor)
			b.open[p] = one
		}
		good = append(good, t)
	}
	return slices.Concat(good, bad)
}

// RefusedTCP remembers that an address takes UDP alone, whatever RFC 3261 §18 asks of it.
func (b *Breakers) RefusedTCP(addr netip.AddrPort, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.noTCP == nil || len(b.noTCP) >= maxBreakers {
		b.noTCP = make(map[netip.AddrPort]time.Time)
	}
	b.noTCP[addr] = now.Add(noTCPLife)
	b.known.Store(true)
}

// TakesTCP says whether a large request may be tried there over TCP.
func (b *Breakers) TakesTCP(addr netip.AddrPort, now time.Time) bool {
	if !b.known.Load() {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return !now.Before(b.noTCP[addr])
}
