// Package peering is a hub's neighbours: it serves their exchange sessions, puts what they announce into the
// route table through import policy, offers them what export policy lets out, tells sites which hubs there are,
// and decides what becomes of the routes of a neighbour whose session or trunk is gone.
//
// The protocol is pkg/exchange's, the routes are tmss/routetable's, and what may pass is tmss/policy's. Sites dial
// their hubs; of two hubs the one with the lower id dials the other. Start at [New], [Peering.Service] and
// [Peering.Run].
package peering

import (
	"context"
	"crypto/tls"
	"log/slog"
	"reflect"
	"sync"
	"time"

	"github.com/mss-federation/mss/pkg/exchange"
	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/tmss/policy"
	"github.com/mss-federation/mss/tmss/routetable"
)

// Options say whose neighbours these are. Self, Domain, Epoch, Table and Policy are required.
type Options struct {
	Self   federation.NodeID
	Domain federation.Domain
	// Epoch is this start of the hub, the same as the table's.
	Epoch uint64
	Table *routetable.Table
	// Policy is the one that is in force.
	Policy func() *policy.Policy
	// Admit says whether a neighbour may have a session; nil refuses nobody.
	Admit func(federation.NodeID) error
	// Believed says whether the certificate of a connection is still good; nil believes everybody.
	Believed func(tls.ConnectionState) error
	// SIP is where this hub listens; told to neighbours.
	SIP []exchange.Address
	// Software is the build, for people.
	Software string
	// Dial opens streams to other hubs; nil dials nobody.
	Dial Dial
	// Keepalive and Hold are those towards sites. Zero means 5s and 20s.
	Keepalive, Hold time.Duration
	// StaleMax is how long the routes of a neighbour that is gone are kept while its trunk stands. Zero means 24h.
	StaleMax time.Duration
	// Logger is the owner's. Nil means silence.
	Logger *slog.Logger
}

// Peering is the neighbours of one hub. It is safe for concurrent use.
type Peering struct {
	options Options
	wake    chan struct{} // holds a token when a fate may have changed
	listed  chan struct{} // holds a token when the list of hubs has
	// life ends with Run, and sessions with it.
	life context.Context
	end  context.CancelFunc

	mu struct {
		sync.Mutex
		neighbours map[federation.NodeID]*neighbour
		hubs       []exchange.Hub
		mesh       mesh
		told       []federation.HubID // the sessions with hubs that this one reports
		changed    chan struct{}      // closed at the next change of the table
	}
}

// New makes peering without neighbours.
func New(o Options) *Peering {
	if o.StaleMax == 0 {
		o.StaleMax = 24 * time.Hour
	}
	if o.Admit == nil {
		o.Admit = func(federation.NodeID) error { return nil }
	}
	if o.Believed == nil {
		o.Believed = func(tls.ConnectionState) error { return nil }
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	p := &Peering{options: o, wake: make(chan struct{}, 1), listed: make(chan struct{}, 1)}
	p.mu.neighbours = make(map[federation.NodeID]*neighbour)
	p.mu.changed = make(chan struct{})
	p.life, p.end = context.WithCancel(context.Background())
	return p
}

// neighbour is who was ever heard of, made when it is first asked for.
func (p *Peering) neighbour(id federation.NodeID) *neighbour {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.mu.neighbours[id]
	if n == nil {
		n = newNeighbour(p, id)
		p.mu.neighbours[id] = n
	}
	return n
}

func (p *Peering) all() []*neighbour {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := make([]*neighbour, 0, len(p.mu.neighbours))
	for _, n := range p.mu.neighbours {
		list = append(list, n)
	}
	return list
}

// TableChanged is closed when Changed is called next.
func (p *Peering) TableChanged() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.changed
}

// Changed says that the table has changed: sessions look what their neighbours must learn. It does not block.
func (p *Peering) Changed() {
	p.mu.Lock()
	close(p.mu.changed)
	p.mu.changed = make(chan struct{})
	p.mu.Unlock()
	for _, n := range p.all() {
		n.notify()
	}
}

// SetHubs is the list of hubs that sites are told, and among them those that this hub dials.
func (p *Peering) SetHubs(hubs []exchange.Hub) {
	p.mu.Lock()
	same := reflect.DeepEqual(p.mu.hubs, hubs)
	p.mu.hubs = hubs
	p.mu.Unlock()
	if same {
		return
	}
	for _, n := range p.all() {
		n.post(exchange.DirectoryChanged{Hubs: hubs})
	}
	select {
	case p.listed <- struct{}{}:
	default:
	}
}

func (p *Peering) hubs() []exchange.Hub {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.hubs
}

// TrunkChanged says whether calls reach a neighbour. It does not block.
func (p *Peering) TrunkChanged(id federation.NodeID, up bool) {
	p.neighbour(id).setTrunk(up)
	p.nudge()
}

// TrunkSilent says that nothing was heard over a neighbour's trunk for two seconds. It does not block.
func (p *Peering) TrunkSilent(id federation.NodeID) {
	p.neighbour(id).setSilent()
	p.nudge()
}

// Readmit asks Admit and Believed about everybody again, after the domain's configuration or its revocations have
// changed: the session of one that may have none any more ends, and its routes go.
func (p *Peering) Readmit() {
	for _, n := range p.all() {
		if err := n.admitted(); err != nil {
			n.dismiss(err)
		}
	}
	p.nudge()
}

func (p *Peering) nudge() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// Run dials other hubs and decides about the routes of neighbours that are gone, until ctx ends; then it ends all
// sessions in good order and waits for them.
func (p *Peering) Run(ctx context.Context) error {
	defer p.drain()
	var dialling sync.WaitGroup
	defer dialling.Wait()
	defer p.end()
	dialling.Go(func() { p.keepDialled(ctx) })
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		timer.Reset(p.settle(time.Now()))
		select {
		case <-ctx.Done():
			return nil
		case <-p.wake:
		case <-timer.C:
		}
	}
}

// idle is how long Run waits when nothing is to be expected. Paths expire by the minute at the latest.
const idle = time.Minute

// settle carries out what is due and says how long nothing will be.
func (p *Peering) settle(now time.Time) time.Duration {
	wait := idle
	changed := len(p.report(policy.Conflicts(p.options.Table.Expire(now)))) > 0
	for _, n := range p.all() {
		did, next := n.tick(now)
		changed = changed || did
		if !next.IsZero() {
			wait = min(wait, next.Sub(now))
		}
	}
	if changed {
		p.Changed()
	}
	if next := p.bridge(now); !next.IsZero() {
		wait = min(wait, next.Sub(now))
	}
	return max(wait, 0)
}

// report logs what an operator should know.
func (p *Peering) report(events []policy.Event) []policy.Event {
	for _, e := range events {
		p.options.Logger.Warn("route policy", slog.String("what", e.Text), slog.String("prefix", e.NLRI.Pattern()), slog.String("peer", string(e.Neighbour)))
	}
	return events
}

func opName(op routetable.Op) string {
	switch op {
	case routetable.MarkStale:
		return "stale"
	case routetable.PublishStale:
		return "known to be stale"
	case routetable.HopDown:
		return "next hop down"
	case routetable.HopUp:
		return "next hop up"
	case routetable.Forget:
		return "forgotten"
	default:
		return "other"
	}
}

// drain waits for the sessions that Run's end has ended.
func (p *Peering) drain() {
	for _, n := range p.all() {
		n.gone()
	}
}
