package siptarget

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/mss-federation/mss/pkg/fault"
)

// errClosed is the end of the resolver.
var errClosed = fault.New(op, fault.Unavailable, "", "the resolver has stopped")

// cache remembers answers, and lets callers who ask the same at once share one question. Questions run on
// goroutines of the cache's own: who gives up waiting takes no answer from the others.
type cache struct {
	opts Options
	ctx  context.Context // ends the questions under way
	stop context.CancelFunc
	wg   sync.WaitGroup

	mu      sync.Mutex // guards what follows
	closed  bool
	entries map[Question]entry
	flights map[Question]*flight
}

// entry is what is known: records, that there are none, or that nobody could say (err).
type entry struct {
	result
	expires time.Time // when to ask again
	stale   time.Time // until when the records serve if nobody answers
}

// flight is a question under way. Its result may be read once done is closed.
type flight struct {
	done chan struct{}
	result
}

func newCache(opts Options) *cache {
	c := &cache{opts: opts, entries: make(map[Question]entry), flights: make(map[Question]*flight)}
	c.ctx, c.stop = context.WithCancel(context.Background())
	return c
}

func (c *cache) close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.stop()
	c.wg.Wait()
}

// start runs fn on a goroutine that close waits for; false after that.
func (c *cache) start(fn func(context.Context)) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.startLocked(fn)
}

func (c *cache) startLocked(fn func(context.Context)) bool {
	if c.closed {
		return false
	}
	c.wg.Go(func() { fn(c.ctx) })
	return true
}

// fresh answers from memory and says whether it could answer all.
func (c *cache) fresh(questions []Question) (results []result, all bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	results, all = make([]result, len(questions)), true
	for i, q := range questions {
		known, ok := c.entries[q]
		if !ok || !now.Before(known.expires) {
			all = false
			continue
		}
		results[i] = known.result
	}
	return results, all
}

// ask answers from memory, or asks, all questions at once.
func (c *cache) ask(ctx context.Context, questions []Question) []result {
	results := make([]result, len(questions))
	flights := make([]*flight, len(questions))
	for i, q := range questions {
		results[i], flights[i] = c.board(q)
	}
	patience := time.NewTimer(c.opts.Patience)
	defer patience.Stop()
	late := patience.C
	for i := 0; i < len(questions); i++ {
		if flights[i] == nil {
			continue
		}
		select {
		case <-flights[i].done:
			results[i] = flights[i].result
			continue
		default:
		}
		select {
		case <-flights[i].done:
			results[i] = flights[i].result
		case <-ctx.Done():
			results[i] = c.instead(questions[i], result{err: lookupFault(questions[i], ctx.Err())})
		case <-late:
			late = nil
			c.serveStale(questions[i:], results[i:], flights[i:])
			i-- // again: this one may have no old answer
		}
	}
	return results
}

// serveStale takes old answers for what takes too long (RFC 8767 §5); the questions go on for the next caller.
func (c *cache) serveStale(questions []Question, results []result, flights []*flight) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	for i, q := range questions {
		if old, ok := c.entries[q]; ok && flights[i] != nil && now.Before(old.stale) {
			results[i], flights[i] = old.result, nil
		}
	}
}

// instead is an old answer if there is one, else failed.
func (c *cache) instead(q Question, failed result) result {
	c.mu.Lock()
	defer c.mu.Unlock()
	if old, ok := c.entries[q]; ok && time.Now().Before(old.stale) {
		return old.result
	}
	return failed
}

// board finds the answer, or else the question under way or begins it.
func (c *cache) board(q Question) (result, *flight) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if known, ok := c.entries[q]; ok && time.Now().Before(known.expires) {
		return known.result, nil
	}
	f := c.flights[q]
	if f == nil {
		f = &flight{done: make(chan struct{})}
		if !c.startLocked(func(ctx context.Context) { c.fly(ctx, q, f) }) {
			return result{err: errClosed}, nil
		}
		c.flights[q] = f
	}
	return result{}, f
}

// fly asks, remembers and tells.
func (c *cache) fly(ctx context.Context, q Question, f *flight) {
	limited, cancel := context.WithTimeout(ctx, c.opts.Timeout)
	defer cancel()
	answer, err := c.opts.Lookup.Ask(limited, q)
	answer.trim()
	c.mu.Lock()
	defer c.mu.Unlock()
	f.result = c.settleLocked(q, answer, err)
	delete(c.flights, q)
	close(f.done)
}

// settleLocked remembers an answer. When nobody answered, an old answer is better than none, and nobody waits
// for the same dead server at once again.
func (c *cache) settleLocked(q Question, a Answer, err error) result {
	now := time.Now()
	switch {
	case err != nil:
		if errors.Is(err, context.Canceled) {
			return result{err: errClosed} // the resolver ends: it says nothing about the name
		}
		e := c.entries[q]
		if !now.Before(e.stale) {
			e = entry{result: result{err: lookupFault(q, err)}}
		}
		e.expires = now.Add(c.opts.NegativeTTL)
		c.storeLocked(q, e)
		return e.result
	case a.empty():
		ttl := min(a.TTL, c.opts.MaxNegativeTTL)
		if ttl <= 0 {
			ttl = c.opts.NegativeTTL
		}
		e := entry{expires: now.Add(ttl)}
		e.stale = e.expires.Add(c.opts.Stale)
		c.storeLocked(q, e)
		return e.result
	}
	expires := now.Add(min(a.TTL, c.opts.MaxTTL))
	e := entry{result: result{Answer: a}, expires: expires, stale: expires.Add(c.opts.Stale)}
	c.storeLocked(q, e)
	return e.result
}

// storeLocked makes room by dropping whatever the map offers first, expired or not: a full cache is
// a flood of names, and the names in use come back.
func (c *cache) storeLocked(q Question, e entry) {
	if _, ok := c.entries[q]; !ok && len(c.entries) >= c.opts.MaxEntries {
		for victim := range c.entries {
			delete(c.entries, victim)
			break
		}
	}
	c.entries[q] = e
}
