package peering

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net/netip"
	"time"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	"github.com/mss-federation/mss/pkg/adminapi"
	"github.com/mss-federation/mss/pkg/exchange"
	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/identity"
	exchangev1 "github.com/mss-federation/mss/proto/mss/exchange/v1"
	"github.com/mss-federation/mss/tmss/policy"
)

const opSession = "serve exchange session"

// Service is mss.exchange.v1.Exchange.
func (p *Peering) Service() exchangev1.ExchangeServer { return &service{peering: p} }

type service struct {
	exchangev1.UnimplementedExchangeServer
	peering *Peering
}

// Session serves one neighbour, who is what its certificate says.
func (s *service) Session(stream exchangev1.Exchange_SessionServer) error {
	caller, err := adminapi.CallerOf(stream.Context())
	if err != nil {
		return err
	}
	role, ok := roles[caller.Node.Role]
	if !ok {
		return fault.New(opSession, fault.Denied, caller.String(), "only hubs and sites exchange routes")
	}
	return s.peering.carry(stream.Context(), caller.Node, role, sourceOf(stream.Context()), stream)
}

// source is the connection that a session came on.
type source struct {
	address string
	state   tls.ConnectionState
}

func sourceOf(ctx context.Context) (s source) {
	if remote, ok := peer.FromContext(ctx); ok {
		s.address = remote.Addr.String()
		if info, ok := remote.AuthInfo.(credentials.TLSInfo); ok {
			s.state = info.State
		}
	}
	return s
}

// roles is what this hub is to nodes of a role.
var roles = map[identity.Role]exchange.Role{identity.Site: exchange.RoleHub, identity.Hub: exchange.RoleCore}

// carry runs one session over a stream that either side has opened, and returns why it is over. A session that
// the neighbour opens while another one of it is carried takes its place: the neighbour knows better which is good.
func (p *Peering) carry(ctx context.Context, node identity.Node, role exchange.Role, from source, stream exchange.Stream) error {
	id := node.NodeID()
	if err := p.options.Admit(id); err != nil {
		return err
	}
	n := p.neighbour(id)
	if err := n.takeTurn(ctx); err != nil {
		return err
	}
	defer func() { <-n.turn }()
	config := exchange.Config{
		Self: p.options.Self, Domain: p.options.Domain, Epoch: p.options.Epoch, Role: role, Peer: id,
		SIP: p.options.SIP, Software: p.options.Software, Resume: n.resumable(),
	}
	if role == exchange.RoleHub {
		config.Keepalive, config.Hold = p.options.Keepalive, p.options.Hold
		config.Observed, _ = netip.ParseAddrPort(from.address) // it learns of a NAT on its way
	}
	config.EnsureDefaults()
	if err := config.Validate(); err != nil {
		return err
	}
	return n.run(ctx, exchange.New(config, n.out), from, stream)
}

// resumable is what the table still has of the last session. The caller holds the turn.
func (n *neighbour) resumable() exchange.Resume {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.mu.fate.holds {
		return exchange.Resume{}
	}
	return n.resume
}

// takeTurn waits until the session that is carried has ended, after asking it to.
func (n *neighbour) takeTurn(ctx context.Context) error {
	for {
		n.post(exchange.Stop{Code: exchangev1.CeaseCode_CEASE_CODE_DUPLICATE, Text: "a newer session takes its place"})
		again := time.NewTimer(turnAgain)
		select {
		case n.turn <- struct{}{}:
			again.Stop()
			return nil
		case <-ctx.Done():
			again.Stop()
			return ctx.Err()
		case <-again.C: // it may have begun only after it was asked
		}
	}
}

// turnAgain is how long a session that was asked to end may take before it is asked again.
const turnAgain = time.Second

// run carries the session while the stream, the hub and its right to be there last.
func (n *neighbour) run(ctx context.Context, core *exchange.Session, from source, stream exchange.Stream) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(n.p.life, cancel)()
	host := &host{neighbour: n, core: core, inbound: policy.NewInbound(n.p.options.Table, n.id, n.p.options.Policy, policy.Limit{})}
	runner := exchange.NewRunner(core, host)
	n.begin(ctx, runner, from)
	if err := n.admitted(); err != nil { // it changed before the session could be told
		n.dismiss(err)
	}
	err := runner.Run(ctx, stream)
	n.end(core, err)
	return err
}

func (n *neighbour) begin(ctx context.Context, runner *exchange.Runner, from source) {
	// Nothing runs yet, and there is room: this does not wait.
	runner.Post(ctx, exchange.DirectoryChanged{Hubs: n.p.hubs()})
	runner.Post(ctx, exchange.Status{CoreSessions: n.p.reported()})
	n.mu.Lock()
	n.mu.runner, n.mu.alive, n.mu.source = runner, ctx, from
	n.mu.Unlock()
	n.enter(Opening, func(p *Peer) { p.Address, p.Reason = from.address, "" })
}

func (n *neighbour) end(core *exchange.Session, err error) {
	n.resume = core.Resume()
	n.enter(Down, func(p *Peer) { p.Reason, p.Stats = err.Error(), core.Stats() })
	n.mu.Lock()
	n.mu.runner, n.mu.alive = nil, nil
	n.mu.fate.setSession(false, time.Now())
	dismissed := !n.mu.fate.holds
	n.mu.Unlock()
	n.p.fallen(n.id)
	if dismissed { // what came meanwhile goes too, and nothing is left to resume from
		n.resume = exchange.Resume{}
		n.forget()
	}
	n.reach(n.resume)
	n.log.Info("session ended", slog.Any("why", err))
	n.p.nudge()
}

// host takes what a session brings. Its methods are called on the session's goroutine.
type host struct {
	*neighbour
	core    *exchange.Session
	inbound *policy.Inbound
}

// Deliver puts what the neighbour told into the table.
func (h *host) Deliver(deltas []exchange.Delta) {
	h.p.report(h.inbound.Apply(time.Now(), deltas))
	h.reach(h.core.Resume())
	h.p.Changed()
}

// Tell takes the rest.
func (h *host) Tell(action exchange.Action) {
	switch a := action.(type) {
	case exchange.Established:
		h.mu.Lock()
		h.mu.fate.setSession(true, time.Now())
		h.mu.Unlock()
		h.p.risen(h.id)
		h.enter(Synchronising, func(p *Peer) { p.Software, p.Sessions = a.Peer.Software, p.Sessions+1 })
		h.log.Info("session established", slog.String("software", a.Peer.Software), slog.Bool("resumed", a.Peer.Resumed))
		h.p.nudge()
	case exchange.Synchronised:
		h.enter(Up, func(*Peer) {})
		h.reach(h.core.Resume())
		h.p.Changed() // who waits for the whole table sees that this part is here
	case exchange.Heard:
		h.p.heard(h.id, a.CoreSessions)
	}
}
