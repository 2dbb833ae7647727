package relay

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"net/netip"
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
	*pair
	id      uint64
	timeout time.Duration
	flow    Flow
	peer    *endpoint // nil: not joined
}

// loop serves its endpoints from one goroutine. Everything but the queue belongs to that goroutine.
type loop struct {
	number int
	poll   *poll
	wakeFD int
	ports  *ports
	shelf  *shelf
	events *events
	log    *slog.Logger
	tick   time.Duration
	rest   time.Duration
	turned atomic.Int64 // when it last looked, in Unix nanoseconds; 0 before it runs

	byID    map[uint64]*endpoint
	slots   []*pair // nil: vacant
	vacant  []int32
	share   int
	next    time.Time // of the next tick
	current *endpoint // whose packet is being handled
	stopped bool

	buf      [packetRoom]byte
	from, to sockaddr

	mu struct {
		sync.Mutex
		queue []func(now time.Time)
		awake bool
		ended bool
	}
}

func newLoop(o Options, e *Engine) (*loop, error) {
	poll, err := newPoll()
	if err != nil {
		return nil, err
	}
	wake, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		_ = poll.close() // the first error tells
		return nil, fmt.Errorf("create eventfd: %w", err)
	}
	l := &loop{
		number: len(e.loops), poll: poll, wakeFD: wake, ports: e.ports, shelf: e.shelf, events: e.events,
		log: o.Logger, tick: o.Tick, rest: o.Rest, byID: make(map[uint64]*endpoint),
	}
	if err := poll.watch(wake, wakeSlot); err != nil {
		l.closeFDs()
		return nil, err
	}
	return l, nil
}

func (l *loop) closeFDs() {
	_ = unix.Close(l.wakeFD) // neither holds data
	_ = l.poll.close()
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

// run serves until stop was posted.
func (l *loop) run() {
	defer l.end()
	l.schedule(time.Now())
	for !l.stopped {
		l.once()
	}
}

// once waits until the next tick at most and handles what has come.
func (l *loop) once() {
	ready := l.poll.wait()
	now := time.Now()
	l.turned.Store(now.UnixNano())
	for len(ready) > 0 {
		ready = ready[l.packets(now, ready):]
	}
	l.commands(now)
	if !now.Before(l.next) {
		l.schedule(now)
		l.look(now)
	}
}

func (l *loop) schedule(now time.Time) {
	l.next = now.Add(l.tick)
	if err := l.poll.until(l.next); err != nil {
		l.log.Error("relay loop has no tick, silence is not noticed", "error", err)
	}
}

// end closes what is left; posts fail from here on.
func (l *loop) end() {
	l.mu.Lock()
	l.mu.ended = true
	l.mu.Unlock()
	now := time.Now()
	l.commands(now) // what was posted last may hold sockets, or somebody may wait for it
	l.closeAll()
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
		} else if p := l.slots[data>>1]; p != nil {
			l.current = p.endpoint
			l.packet(now, p, data&1 != 0)
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

// packet moves one packet: it waits in the kernel that more come, so that no endpoint starves another. What comes
// after an endpoint's end goes nowhere.
func (l *loop) packet(now time.Time, p *pair, rtcp bool) {
	fd := p.rtp
	if rtcp {
		fd = p.rtcp
	}
	n, errno := l.from.receive(fd, l.buf[:])
	if errno != 0 || p.endpoint == nil {
		return
	}
	pkt := l.buf[:min(n, packetRoom)]
	if n > packetRoom {
		pkt = nil
	}
	if rtcp {
		l.rtcp(now, p.endpoint, pkt)
		return
	}
	l.rtp(now, p.endpoint, pkt)
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
	if l.to.send(ep.peer.rtcp, withoutNames(pkt)) != 0 {
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

// look finds silent endpoints and sockets that nobody wanted for long, an eighth of all at each tick, so that voice
// never waits for it.
func (l *loop) look(now time.Time) {
	l.share = (l.share + 1) % shares
	for i := l.share; i < len(l.slots); i += shares {
		switch p := l.slots[i]; {
		case p == nil:
		case p.endpoint == nil:
			if now.Sub(p.since) >= l.rest {
				l.clear(p)
			}
		default:
			l.lookAt(now, p.endpoint)
		}
	}
}

func (l *loop) lookAt(now time.Time, ep *endpoint) {
	if ep.flow.Silent(now, ep.timeout) {
		l.events.add(Event{Kind: EventSilent, Endpoint: ep.id})
	}
	l.keep(now, ep)
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
	for id, ep := range l.byID {
		if remote := ep.flow.Learned(); remote.IsValid() {
			l.events.add(Event{Kind: EventLearned, Endpoint: id, Remote: remote})
		}
	}
}
