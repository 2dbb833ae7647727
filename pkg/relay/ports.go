package relay

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// ports hands out even RTP ports, per local address, at random (a guessable port invites injection), and
// lets them rest after use. Each port is one loop's, whose sockets can so be used again without a move. Its methods
// may be called from any goroutine.
type ports struct {
	low, high     int // even, inclusive
	loops         int
	rest, minRest time.Duration

	mu struct {
		sync.Mutex
		pools map[netip.Addr][]pool // one for each loop
	}
}

// pool has the ports of one address and loop that are not in use. Those at rest stand in the order of their release.
type pool struct {
	free    []uint16
	index   []int32 // where in free the port stands whose place is i; else inUse or atRest
	resting []rested
}

// The states of a port that is not free.
const (
	inUse  = -1
	atRest = -2
)

type rested struct {
	port uint16
	at   time.Time
}

func newPorts(low, high, loops int, rest, minRest time.Duration) *ports {
	p := &ports{low: low + low&1, high: (high - 1) &^ 1, loops: loops, rest: rest, minRest: minRest}
	p.mu.pools = make(map[netip.Addr][]pool)
	return p
}

// loop is the one that a port is served by. A port out of the range has one too: that of a call that was up before
// the range changed.
func (p *ports) loop(port int) int { return port / 2 % p.loops }

// place is where a port of the range stands in the index of its pool.
func (p *ports) place(port int) int { return port/2/p.loops - p.low/2/p.loops }

func (p *ports) poolsLocked(addr netip.Addr) []pool {
	if found := p.mu.pools[addr]; found != nil {
		return found
	}
	made := make([]pool, p.loops)
	for i := range made {
		made[i].index = slices.Repeat([]int32{inUse}, p.place(p.high)+1)
	}
	for port := p.low; port <= p.high; port += 2 {
		p.add(&made[p.loop(port)], uint16(port))
	}
	p.mu.pools[addr] = made
	return made
}

// take picks a port, of the given loop if it has one. When none has rested long enough it takes the one that rested
// longest, if that is at least minRest: a strict source keeps an old call's late packets out meanwhile.
func (p *ports) take(addr netip.Addr, loop int, now time.Time) (int, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	pools := p.poolsLocked(addr)
	for i := range pools {
		own := &pools[(loop+i)%p.loops]
		for own.longest(now) >= p.rest {
			p.add(own, p.wake(own))
		}
		if n := len(own.free); n > 0 {
			port := own.free[rand.IntN(n)]
			p.remove(own, port)
			return int(port), true
		}
	}
	for i := range pools {
		if own := &pools[(loop+i)%p.loops]; own.longest(now) >= p.minRest {
			return int(p.wake(own)), true
		}
	}
	return 0, false
}

// short says that a port's loop has no other one that rested long enough: it will be taken again soon.
func (p *ports) short(addr netip.Addr, port int, now time.Time) bool {
	if port < p.low || port > p.high {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	own := &p.poolsLocked(addr)[p.loop(port)]
	return len(own.free) == 0 && own.longest(now) < p.rest
}

func (p *ports) at(in *pool, port uint16) *int32 { return &in.index[p.place(int(port))] }

func (p *ports) add(to *pool, port uint16) {
	*p.at(to, port) = int32(len(to.free))
	to.free = append(to.free, port)
}

// remove takes port out of the free ones if it is there.
func (p *ports) remove(from *pool, port uint16) {
	i := *p.at(from, port)
	if i < 0 {
		return
	}
	last := from.free[len(from.free)-1]
	from.free[i] = last
	*p.at(from, last) = i
	*p.at(from, port) = inUse
	from.free = from.free[:len(from.free)-1]
}

// longest is how long the port that rested longest has done so; negative without one.
func (p *pool) longest(now time.Time) time.Duration {
	if len(p.resting) == 0 {
		return -1
	}
	return now.Sub(p.resting[0].at)
}

// wake ends the rest of the port that rested longest.
func (p *ports) wake(from *pool) uint16 {
	port := from.resting[0].port
	from.resting = from.resting[1:]
	*p.at(from, port) = inUse
	return port
}

// claim takes a port that is known by its number, at rest or not: the call that had it comes back.
func (p *ports) claim(addr netip.Addr, port int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if port < p.low || port > p.high {
		return
	}
	pool := &p.poolsLocked(addr)[p.loop(port)]
	p.remove(pool, uint16(port))
	for i, r := range pool.resting {
		if int(r.port) == port {
			pool.resting = slices.Delete(pool.resting, i, i+1)
			*p.at(pool, r.port) = inUse
			return
		}
	}
}

// release puts a port to rest. One that rests or is free stays as it is: two may have had it, when a call was to have a
// port again that another one holds.
func (p *ports) release(addr netip.Addr, port int, now time.Time) {
	if port < p.low || port > p.high || port&1 != 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	pool := &p.poolsLocked(addr)[p.loop(port)]
	if state := p.at(pool, uint16(port)); *state == inUse {
		*state = atRest
		pool.resting = append(pool.resting, rested{uint16(port), now})
	}
}
