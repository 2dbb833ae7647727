package hub

import (
	"maps"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"

	"github.com/mss-federation/mss/pkg/adminapi"
	"github.com/mss-federation/mss/pkg/exchange"
	"github.com/mss-federation/mss/pkg/identity"
	"github.com/mss-federation/mss/pkg/siptransport"
	exchangev1 "github.com/mss-federation/mss/proto/mss/exchange/v1"
	tmssv1 "github.com/mss-federation/mss/proto/mss/tmss/v1"
	"github.com/mss-federation/mss/tmss/admin"
	"github.com/mss-federation/mss/tmss/enrol"
)

// idleConnection is how long a gRPC connection without a request may stay. An exchange session is a request.
const idleConnection = 2 * time.Minute

// servers are the API on the Unix socket, and on each gRPC address together with exchange and enrolment.
func (h *hub) servers() (local *adminapi.Server, remotes []*adminapi.Server) {
	log := h.options.Logger
	api := admin.New(admin.Options{
		Logger: log, Level: h.options.Level, Hub: h.options.Config.Hub, Domain: h.domain, Directory: h.directory, Table: h.table, Peers: h.peering,
		Links: h.links, Audit: h.audit, Configured: h.configured, Token: h.token, Trace: h.ring, Status: h.status,
		Breaker: func(flow siptransport.Flow) string { return h.forwarder.Breaker(flow).String() },
	})
	joining := enrol.NewService(enrol.Options{
		Authorities: h.authorities, Trust: h.trust, Invitations: h.directory, Auditor: h.audit, Directory: h.directoryTold(), Logger: log,
	})
	local = adminapi.New(adminapi.Options{Logger: log, Rules: admin.Rules, Register: api.Register})
	remote := adminapi.Options{
		Logger: log, Rules: admin.Rules, TLS: credentials.NewTLS(identity.HubTLS(h.source, h.trust)),
		Extra: []grpc.ServerOption{
			// Both windows are what one session may have in flight, so that Keepalive and Cease always fit.
			grpc.InitialWindowSize(exchange.StreamWindow), grpc.InitialConnWindowSize(exchange.StreamWindow),
			// Who came to join, or to ask something, and stays without a word holds nothing.
			grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionIdle: idleConnection}),
		},
		Register: func(r grpc.ServiceRegistrar) {
			api.Register(r)
			exchangev1.RegisterExchangeServer(r, h.peering.Service())
			tmssv1.RegisterEnrolmentServer(r, joining)
		},
	}
	for range h.options.GRPC {
		remotes = append(remotes, adminapi.New(remote))
	}
	return local, remotes
}

// status is what the process knows of itself.
func (h *hub) status() admin.Status {
	s := admin.Status{
		Process: h.options.Process(), Listeners: h.listeners(), Certificate: h.source.Current().Leaf().NotAfter,
	}
	f := h.forwarder.Stats()
	s.Counters = map[string]uint64{
		"requests_forwarded": f.Requests, "responses_forwarded": f.Responses, "acks_forwarded": f.Acks,
		"requests_refused": f.Refused, "requests_of_strangers": f.Strangers, "loops": f.Loops, "failovers": f.Failovers,
		"searches_exhausted": f.Exhausted, "cookies_unfit": f.Misfits, "acks_dropped": f.DroppedAcks,
		"responses_stray": f.Strays, "breakers_opened": f.BreakersOpened,
	}
	maps.Copy(s.Counters, h.stack.Stats().Counters())
	if !h.ready.Load() {
		s.Alarms = append(s.Alarms, "new calls are refused for a moment: routes of offices and other hubs are not all back yet")
	}
	if h.keys.Empty() {
		s.Alarms = append(s.Alarms, "new calls are refused: the domain's directory has not given this hub a key for them yet")
	}
	return s
}
