package relay

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// ports hands out even RTP ports, per local address, at random (a guessable port invites injection), and
// lets them rest after use. Its methods may be called from any goroutine.
type ports struct {
	low, high     int // even, inclusive
	rest, minRest time.Duration

	mu struct {
		sync.Mutex
		pools map[netip.Addr]*pool
	}
}

// pool has the ports of one address that are not in use. Those at rest stand in the order of their release.
type pool struct {
	low     int
	free    []uint16
	index   []int32 // where in free the port low+2*i stands; -1: not there
	resting []rested
}

type rested struct {
	port uint16
	at   time.Time
}

func newPorts(low, high int, rest, minRest time.Duration) *ports {
	p := &ports{low: low + low&1, high: (high - 1) &^ 1, rest: rest, minRest: minRest}
	p.mu.pools = make(map[netip.Addr]*pool)
	return p
}

func (p *ports) poolLocked(addr netip.Addr) *pool {
	if found := p.mu.pools[addr]; found != nil {
		return found
	}
	made := &pool{low: p.low}
	for port := p.low; port <= p.high; port += 2 {
		made.index = append(made.index, -1)
		made.add(uint16(port))
	}
	p.mu.pools[addr] = made
	return made
}

// take picks a port. When none has rested long enough it takes the one that rested longest, if that is at
// least minRest: a strict source keeps an old call's late packets out meanwhile.
func (p *ports) take(addr netip.Addr, now time.Time) (int, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	pool := p.poolLocked(addr)
	for len(pool.resting) > 0 && now.Sub(pool.resting[0].at) >= p.rest {
		pool.add(pool.wake())
	}
	if n := len(pool.free); n > 0 {
		port := pool.free[rand.IntN(n)]
		pool.remove(port)
		return int(port), true
	}
	if len(pool.resting) > 0 && now.Sub(pool.resting[0].at) >= p.minRest {
		return int(pool.wake()), true
	}
	return 0, false
}

func (p *pool) at(port uint16) *int32 { return &p.index[(int(port)-p.low)/2] }

func (p *pool) add(port uint16) {
	*p.at(port) = int32(len(p.free))
	p.free = append(p.free, port)
}

// remove takes port out of the free ones if it is there.
func (p *pool) remove(port uint16) {
	i := *p.at(port)
	if i < 0 {
		return
	}
	last := p.free[len(p.free)-1]
	p.free[i] = last
	*p.at(last) = i
	*p.at(port) = -1
	p.free = p.free[:len(p.free)-1]
}

func (p *pool) wake() uint16 {
	port := p.resting[0].port
	p.resting = p.resting[1:]
	return port
}

// claim takes a port that is known by its number, at rest or not: the call that had it comes back.
func (p *ports) claim(addr netip.Addr, port int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if port < p.low || port > p.high {
		return
	}
	pool := p.poolLocked(addr)
	pool.remove(uint16(port))
	for i, r := range pool.resting {
		if int(r.port) == port {
			pool.resting = slices.Delete(pool.resting, i, i+1)
			return
		}
	}
}

// release puts a port to rest.
func (p *ports) release(addr netip.Addr, port int, now time.Time) {
	if port < p.low || port > p.high || port&1 != 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	pool := p.poolLocked(addr)
	pool.resting = append(pool.resting, rested{uint16(port), now})
}
