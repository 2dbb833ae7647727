// Package mediatest has a media client without a media process, for tests of call control in synctest, and
// the contract that it and the real client keep. Nothing is relayed: tests say what voice would have done.
// Start at [New].
package mediatest

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/media"
)

// firstPort is the port of the first endpoint; the next ones follow two apart.
const firstPort = 16384

// Endpoint is what the fake was told of one endpoint.
type Endpoint struct {
	// Spec has the port that the endpoint got and the last Aim.
	Spec media.EndpointSpec
	// Peer is the endpoint that it is joined with, 0 for none.
	Peer uint64
}

// Fake has the methods of [media.Client]. Its callbacks come from the goroutine of Run, as there.
type Fake struct {
	options media.ClientOptions
	kick    chan struct{}

	mu struct {
		sync.Mutex
		endpoints map[uint64]*Endpoint
		reports   map[uint64]media.Report
		nextID    uint64
		nextPort  int
		refusal   error
		down      bool
		ended     bool
		pending   []*pending
		calls     []func()
	}
}

// pending is an Open without a media process to answer it.
type pending struct {
	spec media.EndpointSpec
	done func(int, error)
	at   time.Time
}

// New makes a fake. Of the options it uses AnswerTime and the callbacks.
func New(o media.ClientOptions) *Fake {
	o.EnsureDefaults()
	f := &Fake{options: o, kick: make(chan struct{}, 1)}
	f.mu.endpoints = make(map[uint64]*Endpoint)
	f.mu.reports = make(map[uint64]media.Report)
	f.mu.nextID = uint64(time.Now().UnixNano())
	f.mu.nextPort = firstPort
	return f
}

// Run calls back until ctx ends; then whoever waits is answered with an error.
func (f *Fake) Run(ctx context.Context) error {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		timer.Reset(f.untilDue())
		select {
		case <-ctx.Done():
			f.mu.Lock()
			f.mu.ended = true
			f.giveUpLocked(len(f.mu.pending))
			f.mu.Unlock()
			f.callBack()
			return nil
		case <-timer.C:
			f.expire(time.Now())
		case <-f.kick:
		}
		f.callBack()
	}
}

func (f *Fake) untilDue() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.mu.pending) == 0 {
		return time.Hour
	}
	return time.Until(f.mu.pending[0].at)
}

func (f *Fake) expire(now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for n < len(f.mu.pending) && !now.Before(f.mu.pending[n].at) {
		n++
	}
	f.giveUpLocked(n)
}

func (f *Fake) giveUpLocked(n int) {
	for _, p := range f.mu.pending[:n] {
		f.failLocked(p.done, fault.Unavailable, "the media process does not answer")
	}
	f.mu.pending = f.mu.pending[n:]
}

func (f *Fake) callBack() {
	f.mu.Lock()
	calls := f.mu.calls
	f.mu.calls = nil
	f.mu.Unlock()
	for _, call := range calls {
		call()
	}
}

func (f *Fake) callLocked(call func()) {
	f.mu.calls = append(f.mu.calls, call)
	f.poke()
}

func (f *Fake) poke() {
	select {
	case f.kick <- struct{}{}:
	default:
	}
}

func (f *Fake) failLocked(done func(int, error), kind fault.Kind, why string) {
	f.callLocked(func() { done(0, fault.New("open endpoint", kind, "", why)) })
}

// NewID gives a number that was never given before.
func (f *Fake) NewID() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.nextID++
	return f.mu.nextID
}

// Restore puts an endpoint of a stored call into the desired state.
func (f *Fake) Restore(spec media.EndpointSpec, peer uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.endpoints[spec.ID] = &Endpoint{Spec: spec, Peer: peer}
	f.mu.nextID = max(f.mu.nextID, spec.ID)
}

// Open makes an endpoint on the port that it names, else on the next one of a counter.
func (f *Fake) Open(spec media.EndpointSpec, done func(port int, err error)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, exists := f.mu.endpoints[spec.ID]
	exists = exists || slices.ContainsFunc(f.mu.pending, func(p *pending) bool { return p.spec.ID == spec.ID })
	switch {
	case exists || spec.ID == 0:
		f.failLocked(done, fault.Exists, "take a number from NewID")
	case f.mu.ended:
		f.failLocked(done, fault.Unavailable, "the media process is not connected")
	case f.mu.down:
		f.mu.pending = append(f.mu.pending, &pending{spec, done, time.Now().Add(f.options.AnswerTime)})
		f.poke()
	default:
		f.openLocked(spec, done)
	}
}

func (f *Fake) openLocked(spec media.EndpointSpec, done func(int, error)) {
	switch {
	case f.mu.refusal != nil:
		err := f.mu.refusal
		f.callLocked(func() { done(0, err) })
		return
	case !spec.Local.IsValid() || spec.Local.IsUnspecified() || spec.Port&1 != 0:
		f.failLocked(done, fault.Invalid, "name one local address and an even port")
		return
	}
	if spec.Port == 0 {
		spec.Port = f.mu.nextPort
		f.mu.nextPort += 2
	}
	f.mu.endpoints[spec.ID] = &Endpoint{Spec: spec}
	f.callLocked(func() { done(spec.Port, nil) })
}

// Aim notes new SDP of the far end.
func (f *Fake) Aim(id uint64, aim media.Aim) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if e := f.mu.endpoints[id]; e != nil {
		e.Spec.Aim = aim
	}
}

// Join notes that two endpoints exchange voice. With b = 0, a is left alone.
func (f *Fake) Join(a, b uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	ea, eb := f.mu.endpoints[a], f.mu.endpoints[b]
	if ea == nil || (b != 0 && eb == nil) || a == b {
		return
	}
	f.leaveLocked(a)
	ea.Peer = b
	if eb != nil {
		f.leaveLocked(b)
		eb.Peer = a
	}
}

func (f *Fake) leaveLocked(id uint64) {
	e := f.mu.endpoints[id]
	if other := f.mu.endpoints[e.Peer]; other != nil && other.Peer == id {
		other.Peer = 0
	}
	e.Peer = 0
}

// Close ends an endpoint; done, which may be nil, gets what SetReport said.
func (f *Fake) Close(id uint64, done func(media.Report)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.reportLocked(id)
	r.Final = true
	if i := slices.IndexFunc(f.mu.pending, func(p *pending) bool { return p.spec.ID == id }); i >= 0 {
		f.failLocked(f.mu.pending[i].done, fault.Conflict, "it was closed before it was open")
		f.mu.pending = slices.Delete(f.mu.pending, i, i+1)
	}
	if f.mu.endpoints[id] != nil {
		f.leaveLocked(id)
		delete(f.mu.endpoints, id)
	}
	if done != nil {
		f.callLocked(func() { done(r) })
	}
}

func (f *Fake) reportLocked(id uint64) media.Report {
	if f.mu.endpoints[id] == nil || f.mu.down {
		return media.Report{Endpoint: id}
	}
	r := f.mu.reports[id]
	r.Endpoint, r.Found = id, true
	return r
}

// Reports gives what SetReport said.
func (f *Fake) Reports(_ context.Context, ids ...uint64) ([]media.Report, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.mu.down || f.mu.ended {
		return nil, fault.New("media", fault.Unavailable, "", "the media process is not connected")
	}
	reports := make([]media.Report, len(ids))
	for i, id := range ids {
		reports[i] = f.reportLocked(id)
	}
	return reports, nil
}

// Endpoint tells what an open endpoint was told.
func (f *Fake) Endpoint(id uint64) (Endpoint, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if e := f.mu.endpoints[id]; e != nil {
		return *e, true
	}
	return Endpoint{}, false
}

// Endpoints are the numbers of the open endpoints, in ascending order.
func (f *Fake) Endpoints() []uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	ids := make([]uint64, 0, len(f.mu.endpoints))
	for id := range f.mu.endpoints {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// Refuse makes every later Open fail with err; nil ends that.
func (f *Fake) Refuse(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.refusal = err
}

// SetDown takes the media process away or brings it back. Endpoints outlive that, as they do in truth.
func (f *Fake) SetDown(down bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.down = down
	if down {
		return
	}
	for _, p := range f.mu.pending {
		f.openLocked(p.spec, p.done)
	}
	f.mu.pending = nil
}

// SetReport sets the counts that the endpoint r.Endpoint will report.
func (f *Fake) SetReport(r media.Report) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.reports[r.Endpoint] = r
}

// Silence tells that an endpoint hears nothing.
func (f *Fake) Silence(id uint64) { f.tell(id, func() { f.options.OnSilent(id) }) }

// Learn tells that an endpoint's voice was learned to come from remote.
func (f *Fake) Learn(id uint64, remote netip.AddrPort) {
	f.tell(id, func() { f.options.OnLearned(id, remote) })
}

// Lose tells that an endpoint is closed though nobody asked.
func (f *Fake) Lose(id uint64, err error) { f.tell(id, func() { f.options.OnLost(id, err) }) }

func (f *Fake) tell(id uint64, call func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.mu.endpoints[id] != nil {
		f.callLocked(call)
	}
}
