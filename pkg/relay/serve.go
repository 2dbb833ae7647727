package relay

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// stale bounds how many packets of an earlier call may wait in a socket: more than its buffer holds.
	stale = 1024
	// relief is how many kept pairs each loop closes when files are short.
	relief = 64
)

// serve begins to serve an endpoint. What an earlier one was sent is not for it.
func (l *loop) serve(now time.Time, ep *endpoint) {
	l.byID[ep.id] = ep
	ep.pair.endpoint = ep
	if ep.slot != unwatched {
		l.drain(ep.rtp)
		l.drain(ep.rtcp)
		return
	}
	if err := l.watch(ep.pair); err != nil {
		l.log.Error("endpoint closed, its socket cannot be watched", "endpoint", ep.id, "error", err)
		l.forget(ep)
		l.discard(now, ep.pair)
		l.events.add(Event{Kind: EventBroken, Endpoint: ep.id})
	}
}

// drain throws away what waits in a socket.
func (l *loop) drain(fd int) {
	for range stale {
		if _, errno := l.from.receive(fd, l.buf[:]); errno != 0 {
			return
		}
	}
}

// watch gives sockets a slot.
func (l *loop) watch(p *pair) error {
	if n := len(l.vacant); n > 0 {
		p.slot, l.vacant = l.vacant[n-1], l.vacant[:n-1]
	} else {
		p.slot = int32(len(l.slots))
		l.slots = append(l.slots, nil)
	}
	l.slots[p.slot] = p
	return errors.Join(l.poll.watch(p.rtp, p.slot<<1), l.poll.watch(p.rtcp, p.slot<<1|1))
}

// vacate takes the slot back.
func (l *loop) vacate(p *pair) {
	l.slots[p.slot] = nil
	l.vacant = append(l.vacant, p.slot)
	p.slot = unwatched
}

// detach stops serving an endpoint whose sockets stay open, for another loop. Nil: it is not here.
func (l *loop) detach(id uint64) *endpoint {
	ep := l.byID[id]
	if ep == nil {
		return nil
	}
	if err := errors.Join(l.poll.forget(ep.rtp), l.poll.forget(ep.rtcp)); err != nil {
		l.log.Error("socket cannot be given to another relay loop", "endpoint", id, "error", err)
	}
	l.forget(ep)
	l.vacate(ep.pair)
	return ep
}

func (l *loop) forget(ep *endpoint) {
	join(ep, nil)
	delete(l.byID, ep.id)
	ep.pair.endpoint = nil
}

// close ends an endpoint. Its sockets are on the shelf, or closed, before the port can be given out again.
func (l *loop) close(now time.Time, ep *endpoint) {
	l.forget(ep)
	p := ep.pair
	p.since = now
	if !l.wanted(now, p) || !l.shelf.put(p) {
		l.discard(now, p)
		return
	}
	l.ports.release(p.local.Addr(), p.port(), now)
}

// wanted says whether sockets at rest will soon be used again, and here: another loop may have handed them on.
func (l *loop) wanted(now time.Time, p *pair) bool {
	return l.ports.loop(p.port()) == l.number && l.ports.short(p.local.Addr(), p.port(), now)
}

// discard closes sockets and frees their port.
func (l *loop) discard(now time.Time, p *pair) {
	l.vacate(p)
	l.closed(p, p.close())
	l.ports.release(p.local.Addr(), p.port(), now)
}

// clear closes the sockets of a pair if they are on the shelf.
func (l *loop) clear(p *pair) (gone bool) {
	gone, err := l.shelf.discard(p)
	if gone {
		l.vacate(p)
		l.closed(p, err)
	}
	return gone
}

// relieve closes some of the sockets that are on the shelf.
func (l *loop) relieve() {
	left := relief
	for _, p := range l.slots {
		if p != nil && p.endpoint == nil && l.clear(p) {
			if left--; left == 0 {
				return
			}
		}
	}
}

// closeAll closes every socket, those on the shelf too: nobody can be served any more.
func (l *loop) closeAll() {
	l.shelf.empty()
	for _, p := range l.slots {
		if p != nil {
			l.closed(p, p.close())
		}
	}
	l.slots, l.vacant = nil, nil
	clear(l.byID)
}

// closed says what went wrong. Closing a socket takes it out of epoll.
func (l *loop) closed(p *pair, err error) {
	if err != nil && !errors.Is(err, unix.EINTR) {
		l.log.Error("voice socket not closed", "port", p.port(), "error", err)
	}
}
