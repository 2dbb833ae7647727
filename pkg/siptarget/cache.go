package siptarget

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/mss-federation/mss/pkg/fault"
)

// cache remembers names, and lets callers who ask for the same name at once share one lookup.
type cache struct {
	opts Options

	mu      sync.Mutex // guards what follows
	names   map[string]entry
	flights map[string]*flight
}

// entry is what is known of a name: addresses, or that there are none (err).
type entry struct {
	addrs   []netip.Addr // shared with callers, who do not change them
	err     error
	expires time.Time // when to ask again
	stale   time.Time // until when the addresses serve if nobody answers
}

// flight is a lookup under way. Its result may be read once done is closed.
type flight struct {
	done  chan struct{}
	addrs []netip.Addr
	err   error
	left  bool // the caller who ran it gave up: the result says nothing about the name
}

func newCache(opts Options) *cache {
	return &cache{opts: opts, names: make(map[string]entry), flights: make(map[string]*flight)}
}

func (c *cache) addresses(ctx context.Context, host string) ([]netip.Addr, error) {
	for {
		known, f, mine := c.board(host)
		switch {
		case f == nil:
			return known.addrs, known.err
		case mine:
			c.fly(ctx, host, f)
			return f.addrs, f.err
		}
		select {
		case <-f.done:
			if !f.left {
				return f.addrs, f.err
			}
		case <-ctx.Done():
			return nil, lookupFault(host, ctx.Err())
		}
	}
}

// board finds the answer, or the lookup under way, or opens one that is the caller's to run.
func (c *cache) board(host string) (known entry, f *flight, mine bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if known, ok := c.names[host]; ok && time.Now().Before(known.expires) {
		return known, nil, false
	}
	if f = c.flights[host]; f != nil {
		return entry{}, f, false
	}
	f = &flight{done: make(chan struct{})}
	c.flights[host] = f
	return entry{}, f, true
}

// fly asks, remembers and tells.
func (c *cache) fly(ctx context.Context, host string, f *flight) {
	limited, cancel := context.WithTimeout(ctx, c.opts.Timeout)
	defer cancel()
	addrs, ttl, err := c.opts.Lookup.Addresses(limited, host)
	if err == nil && len(addrs) == 0 {
		err = fault.New("resolve", fault.NotFound, host, "the name has no address")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	f.addrs, f.err = c.settleLocked(host, addrs, ttl, err)
	f.left = f.err != nil && ctx.Err() != nil
	delete(c.flights, host)
	close(f.done)
}

// settleLocked remembers an answer. When nobody answered, an old answer is better than none.
func (c *cache) settleLocked(host string, addrs []netip.Addr, ttl time.Duration, err error) ([]netip.Addr, error) {
	now := time.Now()
	switch {
	case err == nil:
		expires := now.Add(min(ttl, c.opts.MaxTTL))
		c.storeLocked(host, entry{addrs: addrs, expires: expires, stale: expires.Add(c.opts.Stale)})
		return addrs, nil
	case fault.KindOf(err) == fault.NotFound:
		c.storeLocked(host, entry{err: err, expires: now.Add(c.opts.NegativeTTL)})
		return nil, err
	}
	if old := c.names[host]; now.Before(old.stale) {
		old.expires = now.Add(c.opts.NegativeTTL) // the next calls do not wait for a dead server again
		c.storeLocked(host, old)
		return old.addrs, nil
	}
	return nil, lookupFault(host, err)
}

// storeLocked makes room by dropping whatever the map offers first, expired or not: a full cache is
// a flood of names, and the names in use come back.
func (c *cache) storeLocked(host string, e entry) {
	if _, ok := c.names[host]; !ok && len(c.names) >= c.opts.MaxNames {
		for victim := range c.names {
			delete(c.names, victim)
			break
		}
	}
	c.names[host] = e
}
