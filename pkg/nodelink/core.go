package nodelink

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/siptransport"
)

// core decides about links: (event, now) → actions. It has no goroutine, I/O or clock.
type core struct {
	clocks  Clocks
	dice    func() float64
	targets map[federation.NodeID]*target
	links   map[siptransport.FlowID]*link
	gone    []gone // closed connections, oldest first
}

// target is a node that is to have a connection of ours.
type target struct {
	Target
	remote   netip.AddrPort      // of its addresses the one that is dialled, or is next
	failed   int                 // addresses in a row that did not lead there
	flow     siptransport.FlowID // of the attempt or the connection; 0 between
	attempts int                 // rounds through all addresses
	due      time.Time           // of the next attempt, while flow is 0
	tried    time.Time           // when the last attempt began
}

func (t *Target) remotes() []netip.AddrPort {
	return append([]netip.AddrPort{t.Flow.Remote}, t.Also...)
}

// continues says whether a connection, or an attempt, towards old is one towards t too.
func (t *Target) continues(old *target) bool {
	return old != nil && old.Node == t.Node && old.TLS == t.TLS && old.Flow.Transport == t.Flow.Transport &&
		old.Flow.Local == t.Flow.Local && slices.Contains(t.remotes(), old.remote)
}

// turn makes the address behind the one that failed the next, and says whether all have failed by now.
func (t *target) turn() (all bool) {
	remotes := t.remotes()
	t.remote = remotes[(slices.Index(remotes, t.remote)+1)%len(remotes)]
	t.failed++
	if t.failed < len(remotes) {
		return false
	}
	t.failed = 0
	return true
}

type link struct {
	flow    siptransport.Flow
	node    federation.NodeID
	dialled bool
	since   time.Time
	heard   time.Time
	pinged  time.Time
	state   State
}

type gone struct {
	flow siptransport.FlowID
	at   time.Time
}

type eventKind uint8

const (
	opened eventKind = iota + 1
	closed
)

// event is what the endpoint told of a connection that is known.
type event struct {
	kind    eventKind
	flow    siptransport.Flow
	node    federation.NodeID
	dialled bool
	cause   error
	at      time.Time
}

type actionKind uint8

const (
	dial   actionKind = iota + 1 // target; the answer is dialling or undialled
	ping                         // flow
	hangUp                       // flow
	forget                       // flow: nothing asks for its node any more
)

type action struct {
	kind   actionKind
	flow   siptransport.Flow
	target Target
}

func newCore(clocks Clocks, dice func() float64) *core {
	return &core{
		clocks: clocks, dice: dice,
		targets: make(map[federation.NodeID]*target),
		links:   make(map[siptransport.FlowID]*link),
	}
}

// setTargets keeps what stays the same and hangs up what is gone or changed.
func (c *core) setTargets(targets []Target, now time.Time) (actions []action) {
	wanted := make(map[federation.NodeID]*target, len(targets))
	for _, t := range targets {
		wanted[t.Node] = &target{Target: t, remote: t.Flow.Remote, due: now}
		if old := c.targets[t.Node]; t.continues(old) {
			old.Target = t
			wanted[t.Node] = old
		}
	}
	for node, old := range c.targets {
		if wanted[node] != old && old.flow != 0 {
			actions = append(actions, action{kind: hangUp, flow: siptransport.Flow{Transport: old.Flow.Transport, ID: old.flow}})
		}
	}
	c.targets = wanted
	return actions
}

// dialling says that an attempt is under way as flow.
func (c *core) dialling(node federation.NodeID, flow siptransport.FlowID) {
	if t := c.targets[node]; t != nil {
		t.flow = flow
		if t.failed == 0 {
			t.attempts++
		}
	}
}

// undialled says that an attempt could not even begin.
func (c *core) undialled(node federation.NodeID, now time.Time) {
	if t := c.targets[node]; t != nil {
		t.attempts++
		c.postpone(t, now)
	}
}

func (c *core) postpone(t *target, now time.Time) {
	t.flow = 0
	t.due = now.Add(c.clocks.wait(t.attempts, c.dice()))
}

// handle takes an event.
func (c *core) handle(e event) {
	switch e.kind {
	case opened:
		c.links[e.flow.ID] = &link{
			flow: e.flow, node: e.node, dialled: e.dialled,
			since: e.at, heard: e.at, pinged: e.at, state: Alive,
		}
	case closed:
		c.lost(e)
	}
}

func (c *core) lost(e event) {
	l := c.links[e.flow.ID]
	delete(c.links, e.flow.ID)
	c.gone = append(c.gone, gone{e.flow.ID, e.at})
	t := c.targets[e.node]
	if t == nil || t.flow != e.flow.ID {
		return
	}
	if l != nil { // the address is good, whatever ended the connection
		t.failed = 0
		if e.at.Sub(l.since) >= c.clocks.Settled {
			t.attempts = 0
		}
		c.postpone(t, e.at)
		return
	}
	if t.turn() {
		c.postpone(t, e.at)
		return
	}
	t.flow, t.due = 0, e.at // another address may lead there at once
}

// tick does what is due. heard says when a connection was last heard.
func (c *core) tick(now time.Time, heard func(siptransport.FlowID) time.Time) (actions []action) {
	for _, t := range c.targets {
		if t.flow == 0 && !now.Before(t.due) {
			t.due, t.tried = now.Add(time.Minute), now // until the attempt's answer
			to := t.Target
			to.Flow.Remote = t.remote
			actions = append(actions, action{kind: dial, target: to})
		}
		if late := c.late(t); !late.IsZero() && !now.Before(late) {
			t.tried = now
			actions = append(actions, action{kind: hangUp, flow: siptransport.Flow{Transport: t.Flow.Transport, ID: t.flow}})
		}
	}
	for _, l := range c.links {
		actions = append(actions, c.judge(l, now, heard(l.flow.ID))...)
	}
	for len(c.gone) > 0 && now.Sub(c.gone[0].at) >= c.clocks.Remember {
		actions = append(actions, action{kind: forget, flow: siptransport.Flow{ID: c.gone[0].flow}})
		c.gone = c.gone[1:]
	}
	return actions
}

// late is when an attempt is given up because there are other addresses; zero while there is none to give up.
func (c *core) late(t *target) time.Time {
	if t.flow == 0 || len(t.Also) == 0 || c.links[t.flow] != nil {
		return time.Time{}
	}
	return t.tried.Add(c.clocks.Suspect)
}

// judge looks at one link's silence. Who dialled pings; the other side hears those pings.
func (c *core) judge(l *link, now, heard time.Time) (actions []action) {
	if heard.After(l.heard) {
		l.heard = heard
	}
	if l.state == Down {
		return nil // its end is under way: closed comes
	}
	if l.state = c.clocks.judge(now.Sub(l.heard)); l.state == Down {
		return []action{{kind: hangUp, flow: l.flow}}
	}
	if l.dialled && now.Sub(l.pinged) >= c.clocks.Ping {
		l.pinged = now
		actions = append(actions, action{kind: ping, flow: l.flow})
	}
	return actions
}

// next is when tick should run at the latest: the step while links stand or others are watched, and when an attempt
// is due.
func (c *core) next(now time.Time, watching bool) time.Time {
	const step = 250 * time.Millisecond
	at := now.Add(time.Minute)
	if watching || len(c.links) > 0 || len(c.gone) > 0 {
		at = now.Add(step)
	}
	for _, t := range c.targets {
		if t.flow == 0 && t.due.Before(at) {
			at = t.due
		}
		if late := c.late(t); !late.IsZero() && late.Before(at) {
			at = late
		}
	}
	return at
}

// nodes is the view: links of every node, best first.
func (c *core) nodes() map[federation.NodeID][]Link {
	all := make(map[federation.NodeID][]Link)
	for _, l := range c.links {
		if l.state != Down {
			all[l.node] = append(all[l.node], Link{Flow: l.flow, State: l.state, Since: l.since})
		}
	}
	for _, links := range all {
		slices.SortFunc(links, func(a, b Link) int {
			return cmp.Or(cmp.Compare(b.State, a.State), cmp.Compare(b.Flow.ID, a.Flow.ID))
		})
	}
	return all
}
