package relay

import (
	"context"
	"errors"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mss-federation/mss/pkg/fault"
)

// aliveTicks is how many ticks a loop may miss before it counts as stuck.
const aliveTicks = 16

// Engine relays voice between the endpoints that it is told to open. Its methods may be called from any
// goroutine; they take effect in the order of the calls, at the latest at the next tick, at once with
// [Engine.Flush].
type Engine struct {
	options Options
	ports   *ports
	shelf   *shelf
	events  *events
	loops   []*loop
	ended   chan struct{}

	mu struct {
		sync.Mutex
		endpoints map[uint64]*placed
		byLocal   map[netip.AddrPort]uint64 // RTP sockets
	}
}

// placed is where an endpoint is served.
type placed struct {
	loop  *loop
	local netip.AddrPort
}

// New makes an engine that serves from [Engine.Run] on.
func New(o Options) (*Engine, error) {
	o.EnsureDefaults()
	if err := o.Validate(); err != nil {
		return nil, err
	}
	e := &Engine{
		options: o,
		ports:   newPorts(o.PortLow, o.PortHigh, o.Loops, o.Rest, o.MinRest),
		shelf:   newShelf(o.MaxKept),
		events:  newEvents(),
		ended:   make(chan struct{}),
	}
	e.mu.endpoints = make(map[uint64]*placed)
	e.mu.byLocal = make(map[netip.AddrPort]uint64)
	for range o.Loops {
		l, err := newLoop(o, e)
		if err != nil {
			for _, made := range e.loops {
				made.closeFDs()
			}
			return nil, &fault.Error{Op: "start relay", Kind: fault.Exhausted, Err: err}
		}
		e.loops = append(e.loops, l)
	}
	return e, nil
}

// Run serves until ctx ends, then closes every endpoint. It may be called once.
func (e *Engine) Run(ctx context.Context) error {
	var running sync.WaitGroup
	for _, l := range e.loops {
		running.Go(l.run)
	}
	<-ctx.Done()
	for _, l := range e.loops {
		l.post(func(time.Time) { l.stopped = true })
		l.wake()
	}
	running.Wait()
	close(e.ended)
	return nil
}

// Ready has a value when there may be events to take.
func (e *Engine) Ready() <-chan struct{} { return e.events.ready }

// Listen starts (or ends) the keeping of events. While nobody listens they are lost.
func (e *Engine) Listen(yes bool) { e.events.want(yes) }

// Take gives the events since the last call, and how many were lost because nobody took them in time.
// spare is room to be used again; it may be nil.
func (e *Engine) Take(spare []Event) (list []Event, lost uint64) {
	list, lost = e.events.take(spare)
	for i := range list {
		if list[i].Kind == EventBroken {
			e.mu.Lock()
			e.forgetLocked(list[i].Endpoint)
			e.mu.Unlock()
		}
	}
	return list, lost
}

// Flush makes the loops look at what they were told.
func (e *Engine) Flush() {
	for _, l := range e.loops {
		l.wake()
	}
}

// Open binds an endpoint's sockets and returns the RTP port.
func (e *Engine) Open(s Spec) (int, error) {
	const op = "open endpoint"
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, exists := e.mu.endpoints[s.ID]; exists || s.ID == 0 {
		return 0, fault.New(op, fault.Exists, name(s.ID), "use a number that was never used before, and not 0")
	}
	if err := e.checkSpecLocked(&s); err != nil {
		return 0, err
	}
	sockets, kept, err := e.bind(s)
	if err != nil {
		return 0, err
	}
	p := &placed{loop: e.loops[e.ports.loop(sockets.port())], local: sockets.local}
	ep := &endpoint{pair: sockets, id: s.ID, timeout: s.Timeout}
	if !p.loop.post(func(now time.Time) { begin(now, p.loop, ep, &s) }) {
		err := fault.New(op, fault.Unavailable, name(s.ID), "the relay is stopping")
		if kept {
			return 0, err // its loop has closed it
		}
		return 0, errors.Join(err, sockets.close())
	}
	e.mu.endpoints[s.ID] = p
	e.mu.byLocal[p.local] = s.ID
	return sockets.port(), nil
}

func begin(now time.Time, l *loop, ep *endpoint, s *Spec) {
	if s.Aim.set() {
		ep.flow.Aim(now, s.Aim)
		ep.flow.Restore(s.Learned)
	}
	l.serve(now, ep)
}

// set reports whether an aim says anything at all.
func (a *Aim) set() bool {
	return a.RTP.IsValid() || a.Learn != LearnNone || a.Send || a.Receive || a.Keepalive
}

func (e *Engine) checkSpecLocked(s *Spec) error {
	const op = "open endpoint"
	s.Local = s.Local.Unmap().WithZone("")
	switch {
	case !s.Local.IsValid() || s.Local.IsUnspecified() || s.Local.IsMulticast():
		return fault.New(op, fault.Invalid, name(s.ID), "name one local address, not a wildcard: voice must leave from the address that the SDP names")
	case s.Port != 0 && (s.Port&1 != 0 || s.Port < 1024 || s.Port > 65534):
		return fault.New(op, fault.Invalid, name(s.ID), "an RTP port is even and lies within 1024-65534 (RFC 3550 §11)")
	}
	return e.checkAimLocked(s.ID, s.Local, &s.Aim)
}

// bind takes a port pair: the one that is asked for, or random ones until one is free in the kernel too.
func (e *Engine) bind(s Spec) (sockets *pair, kept bool, err error) {
	if s.Port != 0 {
		e.ports.claim(s.Local, s.Port)
		return e.bindPort(s.Local, s.Port)
	}
	for range bindTries {
		port, ok := e.ports.take(s.Local, int(s.Group%uint64(len(e.loops))), time.Now())
		if !ok {
			break
		}
		sockets, kept, err = e.bindPort(s.Local, port)
		if !errors.Is(err, unix.EADDRINUSE) {
			return sockets, kept, err
		}
	}
	return nil, false, fault.New("open voice port", fault.Exhausted, s.Local.String(), "no free pair of ports; widen media.ports or add a media address")
}

// bindPort takes a port's sockets from the shelf, or opens them.
func (e *Engine) bindPort(addr netip.Addr, port int) (sockets *pair, kept bool, err error) {
	local := netip.AddrPortFrom(addr, uint16(port))
	if sockets = e.shelf.take(local); sockets != nil {
		return sockets, true, nil
	}
	sockets, err = openPair(local)
	if filesShort(err) && e.relieve() {
		sockets, err = openPair(local)
	}
	if err != nil {
		e.ports.release(addr, port, time.Now())
		return nil, false, bindFault(local, err)
	}
	return sockets, false, nil
}

// relieve closes kept sockets of other ports, where there are any. It waits for the loops, which own them; loops never
// wait for the engine's lock.
func (e *Engine) relieve() bool {
	before := e.shelf.len()
	if before == 0 {
		return false
	}
	var closed sync.WaitGroup
	for _, l := range e.loops {
		closed.Add(1)
		if !l.post(func(time.Time) { defer closed.Done(); l.relieve() }) {
			closed.Done()
		}
		l.wake()
	}
	closed.Wait()
	return e.shelf.len() < before
}

// Aim tells an endpoint of its far end's SDP.
func (e *Engine) Aim(id uint64, a Aim) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	p, err := e.findLocked("aim endpoint", id)
	if err != nil {
		return err
	}
	if err := e.checkAimLocked(id, p.local.Addr(), &a); err != nil {
		return err
	}
	p.loop.post(func(now time.Time) {
		if ep := p.loop.byID[id]; ep != nil {
			ep.flow.Aim(now, a)
		}
	})
	return nil
}

// checkAimLocked refuses aims that cannot work or would feed voice back into the relay.
func (e *Engine) checkAimLocked(id uint64, local netip.Addr, a *Aim) error {
	const op = "aim endpoint"
	for _, to := range []netip.AddrPort{usable(a.RTP), usable(a.RTCP)} {
		if !to.IsValid() {
			continue
		}
		if to.Addr().Is4() != local.Is4() {
			return fault.New(op, fault.Invalid, name(id), "the far end's address "+to.String()+" is of another IP version than "+local.String())
		}
		even := netip.AddrPortFrom(to.Addr(), to.Port()&^1)
		if _, own := e.mu.byLocal[even]; own {
			return fault.New(op, fault.Denied, name(id), "the SDP names "+to.String()+", which is this relay's own socket")
		}
	}
	return nil
}

// Join forwards between two endpoints; earlier joins of both end. With b = 0, a is left alone.
func (e *Engine) Join(a, b uint64) error {
	const op = "join endpoints"
	e.mu.Lock()
	defer e.mu.Unlock()
	pa, err := e.findLocked(op, a)
	if err != nil {
		return err
	}
	if b == 0 {
		pa.loop.post(func(time.Time) { pa.loop.join(a, 0) })
		return nil
	}
	pb, err := e.findLocked(op, b)
	if err != nil {
		return err
	}
	if pa.loop != pb.loop && !e.moveLocked(b, pb, pa.loop) {
		return fault.New(op, fault.Unavailable, name(b), "the relay is stopping")
	}
	pa.loop.post(func(time.Time) { pa.loop.join(a, b) })
	return nil
}

// join looks its endpoints up at the time it runs: either may have broken meanwhile.
func (l *loop) join(a, b uint64) {
	if ea, eb := l.byID[a], l.byID[b]; ea != nil && (eb != nil || b == 0) {
		join(ea, eb)
	}
}

// moveLocked gives an endpoint to another loop, when a transfer joins two calls. It waits for the old loop, so
// that no later command comes before the endpoint; loops never wait for the engine's lock.
func (e *Engine) moveLocked(id uint64, p *placed, to *loop) bool {
	moved := make(chan *endpoint, 1)
	from := p.loop
	if !from.post(func(time.Time) { moved <- from.detach(id) }) {
		return false
	}
	from.wake()
	select {
	case ep := <-moved:
		p.loop = to
		if ep == nil {
			return true
		}
		return to.post(func(now time.Time) { to.serve(now, ep) })
	case <-e.ended:
		return false
	}
}

// Close ends an endpoint; its last counts come as an EventReport with tag. Of an endpoint that does not
// exist the report says so.
func (e *Engine) Close(id, tag uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	p := e.forgetLocked(id)
	if p == nil {
		e.events.add(Event{Kind: EventReport, Endpoint: id, Tag: tag, Report: Report{Endpoint: id, Final: true}})
		return
	}
	p.loop.post(func(now time.Time) {
		last := p.loop.count(id)
		last.Final = true
		if ep := p.loop.byID[id]; ep != nil {
			p.loop.close(now, ep)
		}
		e.events.add(Event{Kind: EventReport, Endpoint: id, Tag: tag, Report: last})
	})
}

func (e *Engine) forgetLocked(id uint64) *placed {
	p := e.mu.endpoints[id]
	if p != nil {
		delete(e.mu.endpoints, id)
		delete(e.mu.byLocal, p.local)
	}
	return p
}

// Report asks for an endpoint's counts, which come as an EventReport with tag.
func (e *Engine) Report(id, tag uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	p := e.mu.endpoints[id]
	if p == nil {
		e.events.add(Event{Kind: EventReport, Endpoint: id, Tag: tag, Report: Report{Endpoint: id}})
		return
	}
	p.loop.post(func(time.Time) {
		e.events.add(Event{Kind: EventReport, Endpoint: id, Tag: tag, Report: p.loop.count(id)})
	})
}

// Len is the number of endpoints.
func (e *Engine) Len() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.mu.endpoints)
}

// Alive reports whether every loop looked at its sockets of late: within sixteen ticks, that is 2s by default.
// It is true before they run.
func (e *Engine) Alive() bool {
	for _, l := range e.loops {
		turned := l.turned.Load()
		if turned != 0 && time.Since(time.Unix(0, turned)) > aliveTicks*e.options.Tick {
			return false
		}
	}
	return true
}

func (e *Engine) findLocked(op string, id uint64) (*placed, error) {
	if p := e.mu.endpoints[id]; p != nil {
		return p, nil
	}
	return nil, fault.New(op, fault.NotFound, name(id), "open it first")
}

func name(id uint64) string { return "endpoint " + strconv.FormatUint(id, 10) }
