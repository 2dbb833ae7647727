package peering

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/mss-federation/mss/pkg/exchange"
	"github.com/mss-federation/mss/pkg/federation"
	exchangev1 "github.com/mss-federation/mss/proto/mss/exchange/v1"
	"github.com/mss-federation/mss/tmss/policy"
	"github.com/mss-federation/mss/tmss/routetable"
)

// neighbour is one node that has, had or may have a session. It outlives its sessions.
type neighbour struct {
	p   *Peering
	id  federation.NodeID
	out *policy.Outbound
	log *slog.Logger
	// turn is held by the session that is carried: there is one at a time.
	turn chan struct{}
	// resume is what the next session takes up from; it belongs to who holds turn.
	resume exchange.Resume

	mu struct {
		sync.Mutex
		fate   fate
		shown  Peer
		runner *exchange.Runner
		alive  context.Context // of the session that is carried; both nil without one
		source source
		// reached is what a new start may take up from: the table has everything up to there.
		reached exchange.Resume
	}
}

func newNeighbour(p *Peering, id federation.NodeID) *neighbour {
	n := &neighbour{
		p: p, id: id, out: policy.NewOutbound(p.options.Table, id, linkCost), turn: make(chan struct{}, 1),
		log: p.options.Logger.With(slog.String("peer", string(id))),
	}
	n.mu.shown = Peer{Node: id, Since: time.Now()}
	return n
}

// linkCost is that of every link, until operators can say something else.
const linkCost = 1

func (n *neighbour) notify() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.mu.runner != nil {
		n.mu.runner.Notify()
	}
}

// post hands an event to the session, if there is one. It waits while the session is busy.
func (n *neighbour) post(e exchange.Event) {
	n.mu.Lock()
	runner, alive := n.mu.runner, n.mu.alive
	n.mu.Unlock()
	if runner != nil {
		runner.Post(alive, e)
	}
}

// admitted says whether the neighbour may have a session, over the connection that it has one on.
func (n *neighbour) admitted() error {
	n.mu.Lock()
	carried, state := n.mu.runner != nil, n.mu.source.state
	n.mu.Unlock()
	if err := n.p.options.Admit(n.id); err != nil || !carried {
		return err
	}
	return n.p.options.Believed(state)
}

func (n *neighbour) setTrunk(up bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.mu.fate.setTrunk(up, time.Now())
}

func (n *neighbour) setSilent() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.mu.fate.setSilent(time.Now())
}

// tick carries out what is due. It does so under the lock, so that a session which begins at the same moment comes
// before all of it or after.
func (n *neighbour) tick(now time.Time) (did bool, next time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	due, next := n.mu.fate.tick(now, n.p.options.StaleMax)
	for _, op := range due {
		n.log.Info("routes of a neighbour change", slog.String("change", opName(op)))
		n.p.report(policy.Conflicts(n.p.options.Table.Apply(now, routetable.Change{Op: op, Neighbour: n.id})))
	}
	return len(due) > 0, next
}

// dismiss ends the session and lets the routes go.
func (n *neighbour) dismiss(why error) {
	n.post(exchange.Stop{Code: exchangev1.CeaseCode_CEASE_CODE_NOT_PERMITTED, Text: why.Error()})
	n.mu.Lock()
	held := n.mu.fate.holds
	n.mu.fate.holds = false
	n.mu.Unlock()
	if held {
		n.log.Info("neighbour dismissed", slog.Any("why", why))
		n.forget()
	}
}

func (n *neighbour) forget() {
	n.p.options.Table.Apply(time.Now(), routetable.Change{Op: routetable.Forget, Neighbour: n.id})
	n.p.Changed()
}

// gone waits until no session is carried.
func (n *neighbour) gone() {
	n.turn <- struct{}{}
	<-n.turn
}

// enter notes how far the session has come.
func (n *neighbour) enter(phase Phase, change func(*Peer)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.mu.shown.Phase != phase {
		n.mu.shown.Phase, n.mu.shown.Since = phase, time.Now()
	}
	change(&n.mu.shown)
}

func (n *neighbour) show() Peer {
	n.mu.Lock()
	defer n.mu.Unlock()
	shown := n.mu.shown
	if n.mu.runner != nil {
		shown.Stats = n.mu.runner.Stats()
	}
	return shown
}
