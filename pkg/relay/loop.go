package relay

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"net/netip"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// packetRoom holds any packet of an Ethernet path; a longer one is dropped, never cut.
	packetRoom = 4096
	// batch bounds the packets between two looks at the clock and the command queue.
	batch = 256
	// shares is over how many ticks a look at all endpoints is spread.
	shares = 8
	// wakeSlot marks the event of the eventfd.
	wakeSlot = -1
)

// endpoint is one leg's sockets and flow. It belongs to the loop that serves it.
type endpoint struct {
	pair
	id      uint64
	local   netip.Addr
	timeout time.Duration
	flow    Flow
	peer    *endpoint // nil: not joined
	slot    int32
}

// loop serves its endpoints on one locked thread. Everything but the queue belongs to that thread.
type loop struct {
	epoll, wakeFD int
	ports         *ports
	events        *events
	log           *slog.Logger
	tick          time.Duration
	turned        atomic.Int64 // when it last looked, in Unix nanoseconds; 0 before it runs

	byID    map[uint64]*endpoint
	slots   []*endpoint // nil: vacant
	vacant  []int32
	share   int
	next    time.Time // of the next tick
	current *endpoint // whose packet is being handled
	stopped bool

	buf      [packetRoom]byte
	from, to sockaddr
	ready    [batch]unix.EpollEvent

	mu struct {
		sync.Mutex
		queue []func(now time.Time)
		awake bool
		ended bool
	}
}

func newLoop(o Options, p *ports, ev *events) (*loop, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("create epoll: %w", err)
	}
	wake, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		_ = unix.Close(epoll) // the first error tells
		return nil, fmt.Errorf("create eventfd: %w", err)
	}
	l := &loop{
		epoll: epoll, wakeFD: wake, ports: p, events: ev, log: o.Logger, tick: o.Tick,
		byID: make(map[uint64]*endpoint),
	}
	if err := l.watch(wake, wakeSlot); err != nil {
		l.closeFDs()
		return nil, err
	}
	return l, nil
}

func (l *loop) closeFDs() {
	_ = unix.Close(l.wakeFD) // neither holds data
	_ = unix.Close(l.epoll)
}

func (l *loop) watch(fd int, data int32) error {
	err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: data})
	if err != nil {
		return fmt.Errorf("watch socket: %w", err)
	}
	return nil
}

// post queues work for the loop's thread; false: the loop has ended. Work starts at the next wake or tick.
func (l *loop) post(work func(now time.Time)) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.ended {
		return false
	}
	l.mu.queue = append(l.mu.queue, work)
	return true
}

// wake makes the loop look at its queue if there is something in it.
func (l *loop) wake() {
	l.mu.Lock()
	needed := len(l.mu.queue) > 0 && !l.mu.awake && !l.mu.ended
	l.mu.awake = l.mu.awake || needed
	l.mu.Unlock()
	if !needed {
		return
	}
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	if _, err := unix.Write(l.wakeFD, one[:]); err != nil {
		l.mu.Lock()
		l.mu.awake = false
		l.mu.Unlock()
		l.log.Error("relay loop cannot be woken, commands wait for its tick", "error", err)
	}
}

// run serves until stop was posted. The thread is the loop's own, so that a packet never waits for another
// goroutine, and is given back to the system at the end.
func (l *loop) run() {
	runtime.LockOSThread()
	defer l.end()
	l.next = time.Now().Add(l.tick)
	for !l.stopped {
		l.once(l.untilTick(time.Now()))
	}
}

// once waits for at most so many milliseconds and handles what has come.
func (l *loop) once(wait int) {
	n, err := unix.EpollWait(l.epoll, l.ready[:], wait)
	if err != nil {
		n = 0 // EINTR; the descriptor and the room are ours and valid
	}
	now := time.Now()
	l.turned.Store(now.UnixNano())
	for done := 0; done < n; {
		done += l.packets(now, l.ready[done:n])
	}
	l.commands(now)
	l.look(now)
}

func (l *loop) untilTick(now time.Time) int {
	wait := l.next.Sub(now) + time.Millisecond - 1
	return int(max(wait, 0) / time.Millisecond)
}

// end closes what is left; posts fail from here on.
func (l *loop) end() {
	l.mu.Lock()
	l.mu.ended = true
	l.mu.Unlock()
	now := time.Now()
	l.commands(now) // what was posted last may hold sockets, or somebody may wait for it
	for _, ep := range l.byID {
		l.close(now, ep)
	}
	l.closeFDs()
}

// packets handles what is ready and returns how many it is done with. It is the recover boundary: the
// endpoint whose packet breaks the code is closed, the others go on.
func (l *loop) packets(now time.Time, ready []unix.EpollEvent) (done int) {
	defer func() {
		if cause := recover(); cause != nil {
			l.broken(now, cause)
			done++
		}
	}()
	for i := range ready {
		done = i
		if data := ready[i].Fd; data == wakeSlot {
			l.drainWake()
		} else if ep := l.slots[data>>1]; ep != nil {
			l.current = ep
			l.packet(now, ep, data&1 != 0)
		}
	}
	return len(ready)
}

func (l *loop) drainWake() {
	var count [8]byte
	_, _ = unix.Read(l.wakeFD, count[:]) // EAGAIN: another wake was read with it
	l.mu.Lock()
	l.mu.awake = false
	l.mu.Unlock()
}

func (l *loop) broken(now time.Time, cause any) {
	ep := l.current
	l.current = nil
	if ep == nil {
		l.log.Error("relay command failed", "panic", cause, "stack", string(debug.Stack()))
		return
	}
	l.log.Error("endpoint closed after a failure", "endpoint", ep.id, "panic", cause, "stack", string(debug.Stack()))
	l.close(now, ep)
	l.events.add(Event{Kind: EventBroken, Endpoint: ep.id})
}

// packet moves one packet: it waits in the kernel that more come, so that no endpoint starves another.
func (l *loop) packet(now time.Time, ep *endpoint, rtcp bool) {
	fd := ep.rtp
	if rtcp {
		fd = ep.rtcp
	}
	n, errno := l.from.receive(fd, l.buf[:])
	if errno != 0 {
		return
	}
	pkt := l.buf[:min(n, packetRoom)]
	if n > packetRoom {
		pkt = nil
	}
	if rtcp {
		l.rtcp(now, ep, pkt)
		return
	}
	l.rtp(now, ep, pkt)
}

func (l *loop) rtp(now time.Time, ep *endpoint, pkt []byte) {
	v := ep.flow.RTP(now, l.from.get(), pkt)
	if v.Learned {
		l.events.add(Event{Kind: EventLearned, Endpoint: ep.id, Remote: ep.flow.Source()})
	}
	if v.Drop != Passed {
		return
	}
	if ep.peer == nil {
		ep.flow.Unjoined()
		return
	}
	to, drop := ep.peer.flow.SendRTP(pkt)
	if drop != Passed {
		return
	}
	l.to.set(to)
	if l.to.send(ep.peer.rtp, pkt) != 0 {
		ep.peer.flow.Unsent(len(pkt))
	}
}

func (l *loop) rtcp(now time.Time, ep *endpoint, pkt []byte) {
	if ep.flow.RTCP(now, l.from.get(), pkt).Drop != Passed {
		return
	}
	if ep.peer == nil {
		ep.flow.Unjoined()
		return
	}
	to, drop := ep.peer.flow.SendRTCP()
	if drop != Passed {
		return
	}
	l.to.set(to)
	if l.to.send(ep.peer.rtcp, pkt) != 0 {
		ep.peer.flow.Unsent(0)
	}
}

// commands runs what was queued. No packet is in hand meanwhile, so endpoints may go.
func (l *loop) commands(now time.Time) {
	l.mu.Lock()
	queue := l.mu.queue
	l.mu.queue = nil
	l.mu.Unlock()
	for _, work := range queue {
		l.command(now, work)
	}
}

func (l *loop) command(now time.Time, work func(time.Time)) {
	defer func() {
		if cause := recover(); cause != nil {
			l.current = nil
			l.broken(now, cause)
		}
	}()
	work(now)
}

// look finds silent endpoints, an eighth of all at each tick, so that voice never waits for it.
func (l *loop) look(now time.Time) {
	if now.Before(l.next) {
		return
	}
	l.next = now.Add(l.tick)
	l.share = (l.share + 1) % shares
	for i := l.share; i < len(l.slots); i += shares {
		ep := l.slots[i]
		if ep == nil {
			continue
		}
		if ep.flow.Silent(now, ep.timeout) {
			l.events.add(Event{Kind: EventSilent, Endpoint: ep.id})
		}
		l.keep(now, ep)
	}
}

// keep sends keepalives where they are due. One that the kernel refuses is followed by another.
func (l *loop) keep(now time.Time, ep *endpoint) {
	rtp, rtcp := ep.flow.Keepalive(now)
	l.keepOpen(ep.rtp, rtp)
	l.keepOpen(ep.rtcp, rtcp)
}

func (l *loop) keepOpen(fd int, to netip.AddrPort) {
	if to.IsValid() {
		packet := keepalive()
		l.to.set(to)
		_ = l.to.send(fd, packet[:])
	}
}

// attach begins to serve an endpoint.
func (l *loop) attach(now time.Time, ep *endpoint) {
	if n := len(l.vacant); n > 0 {
		ep.slot, l.vacant = l.vacant[n-1], l.vacant[:n-1]
	} else {
		ep.slot = int32(len(l.slots))
		l.slots = append(l.slots, nil)
	}
	l.slots[ep.slot] = ep
	l.byID[ep.id] = ep
	for rtcp, fd := range []int{ep.rtp, ep.rtcp} {
		if err := l.watch(fd, ep.slot<<1|int32(rtcp)); err != nil {
			l.log.Error("endpoint closed, its socket cannot be watched", "endpoint", ep.id, "error", err)
			l.close(now, ep)
			l.events.add(Event{Kind: EventBroken, Endpoint: ep.id})
			return
		}
	}
}

// detach stops serving an endpoint whose sockets stay open, for another loop. Nil: it is not here.
func (l *loop) detach(id uint64) *endpoint {
	ep := l.byID[id]
	if ep == nil {
		return nil
	}
	for _, fd := range []int{ep.rtp, ep.rtcp} {
		if err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_DEL, fd, nil); err != nil {
			l.log.Error("socket cannot be given to another relay loop", "endpoint", id, "error", err)
		}
	}
	l.forget(ep)
	return ep
}

func (l *loop) forget(ep *endpoint) {
	join(ep, nil)
	delete(l.byID, ep.id)
	l.slots[ep.slot] = nil
	l.vacant = append(l.vacant, ep.slot)
}

// close ends an endpoint. Closing its sockets takes them out of epoll.
func (l *loop) close(now time.Time, ep *endpoint) {
	l.forget(ep)
	if err := ep.pair.close(); err != nil {
		l.log.Error("voice socket not closed", "endpoint", ep.id, "error", err)
	}
	l.ports.release(ep.local, ep.port, now)
}

// join makes two endpoints each other's peers; b may be nil. Earlier joins of both end.
func join(a, b *endpoint) {
	for _, ep := range []*endpoint{a, b} {
		if ep != nil && ep.peer != nil {
			ep.peer.peer = nil
			ep.peer = nil
		}
	}
	if b != nil && a != b {
		a.peer, b.peer = b, a
	}
}

// count gives an endpoint's counts; of one that is not here, that it was not found.
func (l *loop) count(id uint64) Report {
	r := Report{}
	if ep := l.byID[id]; ep != nil {
		r = ep.flow.Report()
	}
	r.Endpoint = id
	return r
}

// announce tells again what was learned.
func (l *loop) announce() {
	for _, ep := range l.slots {
		if ep == nil {
			continue
		}
		if remote := ep.flow.Learned(); remote.IsValid() {
			l.events.add(Event{Kind: EventLearned, Endpoint: ep.id, Remote: remote})
		}
	}
}
