package hub

import (
	"errors"

	"github.com/mss-federation/mss/pkg/health"
	"github.com/mss-federation/mss/pkg/telemetry"
	"github.com/mss-federation/mss/tmss/forwarder"
	"github.com/mss-federation/mss/tmss/peering"
)

var errRoutesMissing = errors.New("routes of offices and other hubs, or the key for new calls, are not all there yet: new calls are refused")

// monitor is what machines ask the hub: metrics, and whether it takes calls.
func (h *hub) monitor() *telemetry.Server {
	registry := &health.Registry{}
	registry.Check("calls", func() error {
		if !h.takesCalls() {
			return errRoutesMissing
		}
		return nil
	})
	set := telemetry.New("hub", h.options.Software)
	set.SIP(h.stack, h.endpoint, h.ring)
	set.Trunks(h.links.Nodes)
	h.forwarderMetrics(set)
	h.controlMetrics(set)
	return &telemetry.Server{Health: registry, Metrics: set, Logger: h.options.Logger}
}

func (h *hub) forwarderMetrics(set *telemetry.Set) {
	count := func(name, help string, of func(*forwarder.Stats) uint64) {
		telemetry.Counter(set, "mss_forwarder_"+name+"_total", help, func() uint64 {
			stats := h.forwarder.Stats()
			return of(&stats)
		})
	}
	type stats = forwarder.Stats
	count("requests", "Requests passed on, ACKs not counted; each path of a search counts.", func(s *stats) uint64 { return s.Requests })
	count("responses", "Responses passed on.", func(s *stats) uint64 { return s.Responses })
	count("acks", "ACKs passed on.", func(s *stats) uint64 { return s.Acks })
	count("refused", "Requests answered here.", func(s *stats) uint64 { return s.Refused })
	count("strangers", "Requests refused because nobody knows who sent them.", func(s *stats) uint64 { return s.Strangers })
	count("loops", "Requests refused because they went in a circle.", func(s *stats) uint64 { return s.Loops })
	count("failovers", "Next paths taken.", func(s *stats) uint64 { return s.Failovers })
	count("exhausted", "Searches that ran out of paths.", func(s *stats) uint64 { return s.Exhausted })
	count("cookies_unfit", "Cookies of nodes that did not verify.", func(s *stats) uint64 { return s.Misfits })
	count("acks_dropped", "ACKs that nobody could be found for.", func(s *stats) uint64 { return s.DroppedAcks })
	count("stray", "Final responses that came too late.", func(s *stats) uint64 { return s.Strays })
	count("breakers_opened", "Breakers that opened.", func(s *stats) uint64 { return s.BreakersOpened })
	set.Gauges("mss_forwarder_breaker_open", "Whether the breaker before the best trunk to the node keeps calls away.", []string{"node"}, func(emit telemetry.Emit) {
		for node, links := range h.links.Nodes() {
			open := 0.0
			if len(links) > 0 && h.forwarder.Breaker(links[0].Flow) == forwarder.Open {
				open = 1
			}
			emit(open, string(node))
		}
	})
}

// controlMetrics are of routes, sessions, the directory and the hub's own certificate.
func (h *hub) controlMetrics(set *telemetry.Set) {
	telemetry.Gauge(set, "mss_routetable_routes", "Prefixes in the route table.", func() int { routes, _ := h.table.Snapshot().Routes(); return routes })
	telemetry.Gauge(set, "mss_routetable_paths", "Paths in the route table.", func() int { _, paths := h.table.Snapshot().Routes(); return paths })
	telemetry.Gauge(set, "mss_routetable_revision", "Revision of the route table.", func() uint64 { return h.table.Snapshot().Revision() })
	perPeer := func(value func(*peering.Peer) float64) func(telemetry.Emit) {
		return func(emit telemetry.Emit) {
			peers := h.peering.Peers()
			for i := range peers {
				emit(value(&peers[i]), string(peers[i].Node))
			}
		}
	}
	node := []string{"node"}
	set.Gauges("mss_peering_session_up", "Whether the exchange session with the node is up.", node, perPeer(func(p *peering.Peer) float64 {
		if p.Phase == peering.Up {
			return 1
		}
		return 0
	}))
	set.Gauges("mss_peering_routes", "Prefixes that the node announced.", node, perPeer(func(p *peering.Peer) float64 { return float64(p.Routes) }))
	set.Counters("mss_peering_sessions_total", "Exchange sessions with the node.", node, perPeer(func(p *peering.Peer) float64 { return float64(p.Sessions) }))
	telemetry.Gauge(set, "mss_discovery_directory_live", "Whether the directory can be reached.", func() int {
		if h.directory.Status().Live {
			return 1
		}
		return 0
	})
	telemetry.Gauge(set, "mss_discovery_directory_revision", "Revision of the directory that this hub has.", func() int64 { return h.directory.Status().Revision })
	telemetry.Gauge(set, "mss_discovery_sites", "Offices that are configured.", func() int { return len(h.directory.View().Sites) + len(h.configured) })
	telemetry.Gauge(set, "mss_discovery_hubs", "Hubs that are in the directory.", func() (there int) {
		for _, hub := range h.directory.View().Hubs {
			if hub.Gone.IsZero() {
				there++
			}
		}
		return there
	})
	telemetry.Gauge(set, "mss_identity_certificate_expires_timestamp_seconds", "When the hub's own certificate ends.", func() int64 { return h.source.Current().Leaf().NotAfter.Unix() })
}
