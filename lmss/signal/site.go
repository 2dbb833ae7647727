package signal

import (
	"context"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/mss-federation/mss/lmss/call"
	"github.com/mss-federation/mss/lmss/cdr"
	"github.com/mss-federation/mss/lmss/dialplan"
	"github.com/mss-federation/mss/lmss/ingress"
	"github.com/mss-federation/mss/lmss/registrar"
	"github.com/mss-federation/mss/lmss/uplink"
	"github.com/mss-federation/mss/lmss/user"
	"github.com/mss-federation/mss/pkg/digest"
	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/network"
	"github.com/mss-federation/mss/pkg/nodelink"
	"github.com/mss-federation/mss/pkg/siptarget"
	"github.com/mss-federation/mss/pkg/siptransport"
	"github.com/mss-federation/mss/pkg/siptx"
	"github.com/mss-federation/mss/pkg/tracering"
)

// parts is what a site is assembled from: everything that tests replace or leave out.
type parts struct {
	call      call.Config
	realm     string
	algorithm string
	nonceLife time.Duration
	users     *user.Directory
	plan      dialplan.Options
	registrar registrar.Options
	timers    siptx.Timers
	workers   int
	trace     int // bytes of the ring; zero is none
	network   network.Network
	logger    *slog.Logger
	media     call.Media // nil: not anchored
	store     call.Store // nil: off
	notes     call.Notes
	persist   func(changes []registrar.Change, done func())
	dns       *siptarget.DNS // nil: no name is known
	uplink    *uplink.Uplink // nil: none
	alarm     string         // why there is no uplink although there should be one
	// told gives the address that a peer is told for a local one; nil is the same. voice gives the one for RTP. The zero
	// peer is another site, wherever that is.
	told  func(local, peer netip.Addr) netip.Addr
	voice func(local, peer netip.Addr) (bind, shown netip.Addr)
	// voiceOther is voice for a peer whose voice has another IP version than its signalling; nil, and a zero address:
	// there is none.
	voiceOther func(version, peer netip.Addr) (bind, shown netip.Addr)
}

// site is the assembled signalling of one office.
type site struct {
	parts
	endpoint  *siptransport.Endpoint
	wire      siptx.Sender // the endpoint, or what knows the hubs behind it
	stack     *siptx.Stack
	bindings  *registrar.Registrar
	ring      *tracering.Ring
	dialplan  atomic.Pointer[dialplan.Plan]
	runners   []*call.Runner
	counters  ingress.Counters
	terminate terminations
	keeper    keeper
	alarms    []string // what is wrong for as long as the process runs
}

// assemble wires a site; nothing runs yet.
func assemble(p parts) (*site, error) {
	s := &site{parts: p}
	s.call.EnsureDefaults()
	authority, err := digest.New(digest.Options{Realm: p.realm, Algorithm: p.algorithm, NonceLife: p.nonceLife})
	if err != nil {
		return nil, err
	}
	if s.bindings, err = registrar.New(p.registrar); err != nil {
		return nil, err
	}
	s.plan.Users, s.plan.Uplink = s.presence, p.uplink != nil
	plan, err := dialplan.New(s.plan)
	if err != nil {
		return nil, err
	}
	s.dialplan.Store(plan)
	door := &ingress.Deps{
		Users: p.users, Plan: s.dialplan.Load, Registrar: s.bindings, Authority: authority, Persist: p.persist, PersistWait: s.call.PersistWait,
		Keep:     s.keeper.register,
		LocalFor: func(t siptransport.Transport, a netip.Addr) (netip.AddrPort, bool) { return s.endpoint.LocalFor(t, a) },
		Logger:   p.logger, Counters: &s.counters, Domain: s.call.Federation,
	}
	deps := &call.Deps{
		Config: &s.call, Media: p.media, Store: p.store, Notes: p.notes, Logger: p.logger,
		SentBy: s.sentBy, VoiceAddr: s.voiceAddr, Find: s.find, Hold: s.keeper.hold, Ended: s.ended,
	}
	if p.dns != nil {
		deps.Names = &names{dns: p.dns, local: func(t siptransport.Transport, a netip.Addr) (netip.AddrPort, bool) { return s.endpoint.LocalFor(t, a) }}
	}
	if p.uplink != nil {
		door.Uplink, deps.Uplink = p.uplink, p.uplink
	}
	s.stack, err = siptx.New(siptx.Options{
		Workers: p.workers, Timers: p.timers, Sender: lateSender{s}, Logger: p.logger, Tap: s.tap(), Unparsed: true,
		NewHandler: func(w *siptx.Worker) siptx.Handler {
			runner := call.NewRunner(deps, w)
			s.runners = append(s.runners, runner)
			return ingress.New(door, w, runner)
		},
	})
	if err != nil {
		return nil, err
	}
	if p.trace > 0 {
		s.ring = tracering.New(s.stack.Workers(), p.trace)
	}
	s.keeper.keep = func(f siptransport.Flow, on bool) { s.endpoint.Keep(f, on) }
	options := siptransport.Options{Network: p.network, Logger: p.logger, Receiver: s.stack}
	if p.uplink != nil {
		options.Watcher = p.uplink.Links()
	}
	s.endpoint = siptransport.New(options)
	s.wire = s.endpoint
	if p.uplink != nil {
		p.uplink.Links().Attach(s.endpoint)
		p.uplink.Watch(s.hubChanged)
		s.wire = p.uplink.Links() // an answer takes another way to its hub when its own is gone
	}
	return s, nil
}

// lateSender lets the stack be made before the endpoint that receives for it.
type lateSender struct{ site *site }

// Send passes on.
func (l lateSender) Send(flow siptransport.Flow, msg []byte, failed func(error)) error {
	return l.site.wire.Send(flow, msg, failed)
}

// tap feeds the trace ring.
func (s *site) tap() func(int, bool, siptransport.Flow, []byte) {
	if s.trace == 0 {
		return nil
	}
	return func(w int, out bool, flow siptransport.Flow, msg []byte) {
		s.ring.Add(w, out, flow, s.stack.Worker(w).Now(), msg)
	}
}

func (s *site) presence(name federation.User) dialplan.Presence {
	u, ok := s.users.Table().Lookup(name)
	switch {
	case !ok:
		return dialplan.Unknown
	case u.Disabled:
		return dialplan.Disabled
	}
	return dialplan.Known
}

// find looks for a phone that lost its connection: by instance, by the Contact it had, else the one phone
// of that user at the same address. What is behind a hub is found by that hub's link.
func (s *site) find(phone call.Phone) (siptransport.Flow, bool) {
	if phone.Node != "" {
		return s.hubFlow(phone.Node)
	}
	var same []siptransport.Flow
	for _, b := range s.bindings.Bindings(time.Now(), phone.User) {
		if phone.Instance != "" && b.Instance == phone.Instance || b.RequestURI == phone.Contact {
			return b.Target, true
		}
		if b.Target.Transport.Stream() && b.Target.Remote.Addr() == phone.Flow.Remote.Addr() {
			same = append(same, b.Target)
		}
	}
	if len(same) == 1 {
		return same[0], true
	}
	return siptransport.Flow{}, false
}

func (s *site) hubFlow(hub federation.NodeID) (siptransport.Flow, bool) {
	if s.uplink == nil {
		return siptransport.Flow{}, false
	}
	link, ok := s.uplink.Links().Best(hub)
	return link.Flow, ok
}

// hubChanged tells the calls what became of a hub.
func (s *site) hubChanged(hub federation.NodeID, state nodelink.State) {
	for _, r := range s.runners {
		r.HubChanged(hub, state)
	}
}

// ended counts and logs a call's one termination.
func (s *site) ended(r cdr.Record) {
	s.terminate.count(&r)
	if !s.logger.Enabled(context.Background(), slog.LevelDebug) {
		return // boxing the arguments costs more than asking
	}
	s.logger.Debug("call ended", "call", string(r.ID), "caller", r.Caller, "called", r.Called,
		"class", string(r.Termination.Class), "reason", r.Termination.Reason, "by", string(r.Termination.By))
}

// housekeeping expires bindings and pings phones behind NAT, each second.
func (s *site) housekeeping(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			if gone := s.bindings.Expire(now); len(gone) > 0 && s.persist != nil {
				s.persist(gone, nil)
			}
			for flow := range s.bindings.NATFlows(now) {
				if err := s.endpoint.Send(flow, []byte("\r\n\r\n"), nil); err != nil {
					s.logger.Debug("ping not sent", "flow", flow.String(), "err", err)
				}
			}
		}
	}
}

// alive asks every worker to answer: a heartbeat means that calls are being handled.
func (s *site) alive(ctx context.Context) bool {
	answered := make(chan struct{}, s.stack.Workers())
	for i := range s.stack.Workers() {
		if s.stack.Worker(i).Post(func() { answered <- struct{}{} }) != nil {
			return false
		}
	}
	for range s.stack.Workers() {
		select {
		case <-answered:
		case <-ctx.Done():
			return false
		}
	}
	return true
}
