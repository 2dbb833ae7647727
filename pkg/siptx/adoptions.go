package siptx

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
)

const adoptionStripes = 64

// adoptions says which Call-IDs live on a worker that is not their home. Workers look here only when there
// are any.
type adoptions struct {
	seed    maphash.Seed
	count   atomic.Int64
	stripes [adoptionStripes]adoptionStripe
}

type adoptionStripe struct {
	mu struct {
		sync.RWMutex
		workers map[string]int
	}
}

func (a *adoptions) init(seed maphash.Seed) {
	a.seed = seed
	for i := range a.stripes {
		a.stripes[i].mu.workers = make(map[string]int)
	}
}

func (a *adoptions) set(callID string, worker int) {
	s := &a.stripes[maphash.String(a.seed, callID)%adoptionStripes]
	s.mu.Lock()
	defer s.mu.Unlock()
	before := len(s.mu.workers)
	s.mu.workers[callID] = worker
	a.count.Add(int64(len(s.mu.workers) - before))
}

func (a *adoptions) remove(callID string) {
	s := &a.stripes[maphash.String(a.seed, callID)%adoptionStripes]
	s.mu.Lock()
	defer s.mu.Unlock()
	before := len(s.mu.workers)
	delete(s.mu.workers, callID)
	a.count.Add(int64(len(s.mu.workers) - before))
}

func (a *adoptions) find(callID []byte) (worker int, ok bool) {
	if a.count.Load() == 0 {
		return 0, false
	}
	s := &a.stripes[maphash.Bytes(a.seed, callID)%adoptionStripes]
	s.mu.RLock()
	defer s.mu.RUnlock()
	worker, ok = s.mu.workers[string(callID)]
	return worker, ok
}
