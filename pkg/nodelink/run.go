package nodelink

import (
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/mss-federation/mss/pkg/siptransport"
)

// Run keeps the links until ctx ends. Connections are not closed: their endpoint ends after this. Links run
// once.
func (l *Links) Run(ctx context.Context) error {
	c := newCore(l.options.Clocks, rand.Float64)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-l.inbox:
		case <-timer.C:
		}
		l.turn(c)
		timer.Reset(time.Until(c.next(time.Now(), l.statics.Load().probing())))
	}
}

// turn takes in what happened and does what is due.
func (l *Links) turn(c *core) {
	l.mu.Lock()
	events, targets, renewed := l.mu.events, l.mu.targets, l.mu.renewed
	l.mu.events, l.mu.targets, l.mu.renewed = nil, nil, false
	l.mu.Unlock()
	if renewed {
		l.perform(c, c.setTargets(targets, time.Now()))
	}
	for _, e := range events {
		l.report(e)
		c.handle(e)
	}
	l.perform(c, c.tick(time.Now(), l.heard))
	l.publish(c)
	l.probe(time.Now())
}

func (l *Links) heard(id siptransport.FlowID) time.Time {
	if k := l.known(id); k != nil {
		return k.last()
	}
	return time.Time{}
}

func (l *Links) report(e event) {
	switch e.kind {
	case opened:
		l.log.Info("link opened", "node", string(e.node), "flow", e.flow.String(), "dialled", e.dialled)
	case closed:
		l.log.Info("link closed", "node", string(e.node), "flow", e.flow.String(), "err", e.cause)
	}
}

func (l *Links) perform(c *core, actions []action) {
	for _, a := range actions {
		switch a.kind {
		case dial:
			l.dial(c, a.target)
		case ping:
			if err := l.endpoint.Ping(a.flow); err != nil {
				l.log.Debug("ping not sent", "flow", a.flow.String(), "err", err)
			}
		case hangUp:
			l.endpoint.Close(a.flow)
		case forget:
			l.flows.Delete(a.flow.ID)
		}
	}
}

func (l *Links) dial(c *core, t Target) {
	l.dialing.Lock()
	flow, err := l.endpoint.Dial(t.Flow, t.TLS)
	if err == nil {
		l.flows.Store(flow.ID, &known{node: t.Node})
	}
	l.dialing.Unlock()
	if err != nil {
		l.log.Warn("link not dialled", "node", string(t.Node), "err", err)
		c.undialled(t.Node, time.Now())
		return
	}
	c.dialling(t.Node, flow.ID)
}

// publish shows senders the links if they changed, and tells whose state did.
func (l *Links) publish(c *core) {
	before, after := l.view.Load().nodes, c.nodes()
	if maps.EqualFunc(before, after, slices.Equal) {
		return
	}
	l.view.Store(&view{after})
	if l.options.Changed == nil {
		return
	}
	for node := range before {
		if now := stateOf(after[node]); now != stateOf(before[node]) {
			l.options.Changed(node, now)
		}
	}
	for node, links := range after {
		if _, was := before[node]; !was {
			l.options.Changed(node, stateOf(links))
		}
	}
}

func stateOf(links []Link) State {
	if len(links) == 0 {
		return Down
	}
	return links[0].State
}
