package peering

import (
	"cmp"
	"context"
	"crypto/tls"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/mss-federation/mss/pkg/exchange"
	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/identity"
)

// Line is a session's stream that this hub has opened to another.
type Line interface {
	exchange.Stream
	// State is that of the connection below, and Remote where it leads; empty when that is not known.
	State() tls.ConnectionState
	Remote() string
	// Close ends the stream, after what was sent has left.
	Close()
}

// Dial opens a stream to a hub. It lasts longer than ctx by the moment in which the last frame leaves.
type Dial func(ctx context.Context, hub exchange.Hub) (Line, error)

// redial is the waits between attempts at a session; further ones are lastRedial, and up to twice that.
var redial = [...]time.Duration{0, 200 * time.Millisecond, 300 * time.Millisecond, 500 * time.Millisecond}

const lastRedial = time.Second

// settled is how long a session must have stood for the waits to begin anew.
const settled = 10 * time.Second

// call is the keeper of a session that this hub opens.
type call struct {
	addresses []string
	end       context.CancelFunc
	done      chan struct{}
}

// keepDialled has a session with every hub that this one is to dial: of two, the one with the lower id does. It ends
// with ctx, and all sessions with it.
func (p *Peering) keepDialled(ctx context.Context) {
	calls := make(map[federation.HubID]*call)
	defer func() {
		for _, c := range calls {
			c.finish()
		}
	}()
	for {
		p.arrange(ctx, calls)
		select {
		case <-ctx.Done():
			return
		case <-p.listed:
		}
	}
}

// arrange begins and ends calls as the list of hubs says.
func (p *Peering) arrange(ctx context.Context, calls map[federation.HubID]*call) {
	wanted := make(map[federation.HubID]exchange.Hub)
	for _, h := range p.hubs() {
		if p.dials(h.ID) {
			wanted[h.ID] = h
		}
	}
	for id, c := range calls {
		if h, ok := wanted[id]; !ok || !slices.Equal(h.GRPCAddresses(), c.addresses) {
			c.finish()
			delete(calls, id)
		}
	}
	for id, h := range wanted {
		if calls[id] == nil {
			calls[id] = p.call(ctx, h)
		}
	}
}

// dials says whether it is this hub that dials another.
func (p *Peering) dials(other federation.HubID) bool {
	self, ok := strings.CutPrefix(string(p.options.Self), "hub/")
	return ok && p.options.Dial != nil && self < string(other)
}

func (p *Peering) call(ctx context.Context, h exchange.Hub) *call {
	ctx, end := context.WithCancel(ctx)
	c := &call{addresses: h.GRPCAddresses(), end: end, done: make(chan struct{})}
	go func() {
		defer close(c.done)
		p.keepCalling(ctx, h)
	}()
	return c
}

func (c *call) finish() {
	c.end()
	<-c.done
}

// keepCalling makes one session after the other until ctx ends.
func (p *Peering) keepCalling(ctx context.Context, h exchange.Hub) {
	node := identity.Node{Domain: string(p.options.Domain), Role: identity.Hub, ID: string(h.ID)}
	n, failure := p.neighbour(node.NodeID()), fault.Kind(0)
	for attempt := 0; ; attempt++ {
		if !pause(ctx, redialWait(attempt, rand.Float64())) {
			return
		}
		began, sessions := time.Now(), n.show().Sessions
		err := p.attempt(ctx, node, h)
		switch kind := fault.KindOf(err); {
		case ctx.Err() != nil:
			return
		case n.show().Sessions == sessions: // not even begun: the end of the others is logged
			n.enter(Down, func(shown *Peer) { shown.Reason = err.Error() })
			if attempt == 0 || kind != failure {
				n.log.Warn("no session with hub", slog.String("address", strings.Join(h.GRPCAddresses(), " ")), slog.Any("err", err))
			}
			failure = kind
		case time.Since(began) >= settled:
			attempt = -1
		}
	}
}

func redialWait(attempt int, dice float64) time.Duration {
	if attempt < len(redial) {
		return redial[attempt]
	}
	return lastRedial + time.Duration(dice*float64(lastRedial))
}

// attempt carries one session from its dialling to its end. The error tells why it is over.
func (p *Peering) attempt(ctx context.Context, node identity.Node, h exchange.Hub) error {
	line, err := p.options.Dial(ctx, h)
	if err != nil {
		return err
	}
	defer line.Close()
	return p.carry(ctx, node, exchange.RoleCore, source{address: cmp.Or(line.Remote(), h.GRPC), state: line.State()}, line)
}

// pause waits and says whether ctx still lives.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return ctx.Err() == nil
	}
}
