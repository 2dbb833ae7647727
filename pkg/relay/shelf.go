package relay

import (
	"net/netip"
	"sync"
)

// shelf keeps the sockets of closed endpoints open where many calls a second use few ports, since to open and close
// them is most of what the voice of a short call costs. They stay bound and watched: their loop reads what comes and
// throws it away, so that nothing waits in them for the next endpoint. Its methods may be called from any goroutine.
type shelf struct {
	most int

	mu struct {
		sync.Mutex
		pairs map[netip.AddrPort]*pair
	}
}

func newShelf(most int) *shelf {
	s := &shelf{most: most}
	s.mu.pairs = make(map[netip.AddrPort]*pair)
	return s
}

// put keeps a pair; false: there is no room for it.
func (s *shelf) put(p *pair) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.mu.pairs) >= s.most {
		return false
	}
	s.mu.pairs[p.local] = p
	return true
}

// take gives the pair that is bound to local to the caller alone; nil: it is not here.
func (s *shelf) take(local netip.AddrPort) *pair {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.mu.pairs[local]
	delete(s.mu.pairs, local)
	return p
}

// discard closes a pair if it is here. It does so under the lock: whoever does not find a pair here can bind its port.
func (s *shelf) discard(p *pair) (gone bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.pairs[p.local] != p {
		return false, nil
	}
	delete(s.mu.pairs, p.local)
	return true, p.close()
}

// empty forgets all pairs; their loops close them.
func (s *shelf) empty() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.mu.pairs)
}

func (s *shelf) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.mu.pairs)
}
