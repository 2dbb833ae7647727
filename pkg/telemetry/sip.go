package telemetry

import (
	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/nodelink"
	"github.com/mss-federation/mss/pkg/siptransport"
	"github.com/mss-federation/mss/pkg/siptx"
	"github.com/mss-federation/mss/pkg/tracering"
)

// SIP adds what a node's transactions, sockets and trace ring count.
func (s *Set) SIP(stack *siptx.Stack, endpoint *siptransport.Endpoint, ring *tracering.Ring) {
	s.transactions(stack)
	s.sockets(endpoint)
	Gauge(s, "mss_tracering_used_bytes", "Memory of the trace ring that holds messages.", func() int { used, _, _ := ring.Usage(); return used })
	Gauge(s, "mss_tracering_size_bytes", "Memory of the trace ring.", func() int { _, size, _ := ring.Usage(); return size })
	Counter(s, "mss_tracering_dropped_total", "Messages that were too large for the trace ring.", func() uint64 { _, _, dropped := ring.Usage(); return dropped })
}

// sum adds something up over all workers.
func sum(stack *siptx.Stack, of func(*siptx.WorkerStats) uint64) func() uint64 {
	return func() (total uint64) {
		stats := stack.Stats()
		for i := range stats.Workers {
			total += of(&stats.Workers[i])
		}
		return total
	}
}

func (s *Set) transactions(stack *siptx.Stack) {
	type worker = siptx.WorkerStats
	Counter(s, "mss_siptx_received_total", "SIP messages handled.", sum(stack, func(w *worker) uint64 { return w.Received }))
	Counter(s, "mss_siptx_sent_total", "SIP messages sent.", sum(stack, func(w *worker) uint64 { return w.Sent }))
	s.Counters("mss_siptx_retransmissions_total", "Messages that came again (in), and that were sent again (out).", []string{"direction"}, func(emit Emit) {
		emit(float64(sum(stack, func(w *worker) uint64 { return w.RepeatedIn })()), "in")
		emit(float64(sum(stack, func(w *worker) uint64 { return w.RepeatedOut })()), "out")
	})
	Counter(s, "mss_siptx_timeouts_total", "Requests without a final response, and answers without an ACK.", sum(stack, func(w *worker) uint64 { return w.Timeouts }))
	Counter(s, "mss_siptx_malformed_total", "Requests that were answered with 4xx because they were not good SIP.", sum(stack, func(w *worker) uint64 { return w.Malformed }))
	Counter(s, "mss_siptx_unusable_total", "Messages too broken for an answer.", sum(stack, func(w *worker) uint64 { return w.Unusable }))
	Counter(s, "mss_siptx_stray_total", "Responses to no request of this node.", sum(stack, func(w *worker) uint64 { return w.Stray }))
	Counter(s, "mss_siptx_panics_total", "Messages whose handling panicked; each ended its own call alone.", func() uint64 {
		return sum(stack, func(w *worker) uint64 { return w.Panics })() + stack.Stats().Panics
	})
	Counter(s, "mss_siptx_overload_total", "New requests refused with 503 because a queue was full.", func() uint64 { return stack.Stats().Overload })
	Counter(s, "mss_siptx_dropped_total", "Messages dropped because a queue was full.", func() uint64 {
		stats := stack.Stats()
		return stats.Lost + stats.Repeated + sum(stack, func(w *worker) uint64 { return w.Lost })()
	})
	s.Gauges("mss_siptx_transactions", "Transactions in the tables, by side.", []string{"side"}, func(emit Emit) {
		emit(float64(sum(stack, func(w *worker) uint64 { return uint64(w.Servers) })()), "server")
		emit(float64(sum(stack, func(w *worker) uint64 { return uint64(w.Clients) })()), "client")
	})
	Gauge(s, "mss_siptx_waiting", "Messages that wait for their worker.", sum(stack, func(w *worker) uint64 { return uint64(w.Waiting) }))
}

func (s *Set) sockets(endpoint *siptransport.Endpoint) {
	stat := func(of func(*siptransport.Stats) uint64) func() uint64 {
		return func() uint64 {
			stats := endpoint.Stats()
			return of(&stats)
		}
	}
	type stats = siptransport.Stats
	Counter(s, "mss_siptransport_received_bytes_total", "Bytes of SIP received.", stat(func(t *stats) uint64 { return t.BytesIn }))
	Counter(s, "mss_siptransport_sent_bytes_total", "Bytes of SIP sent.", stat(func(t *stats) uint64 { return t.BytesOut }))
	Counter(s, "mss_siptransport_keepalives_total", "Keep-alives received.", stat(func(t *stats) uint64 { return t.KeepAlives }))
	Counter(s, "mss_siptransport_accepted_total", "Connections accepted.", stat(func(t *stats) uint64 { return t.Accepted }))
	Counter(s, "mss_siptransport_dials_total", "Connections dialled.", stat(func(t *stats) uint64 { return t.Dials }))
	s.Counters("mss_siptransport_errors_total", "What went wrong with sockets, by kind.", []string{"kind"}, func(emit Emit) {
		t := endpoint.Stats()
		for _, kind := range []struct {
			name  string
			count uint64
		}{
			{"read", t.ReadErrors},
			{"send", t.SendErrors},
			{"accept", t.AcceptErrors},
			{"dial", t.DialErrors},
			{"framing", t.FramingErrors},
			{"handshake", t.HandshakeErrors},
			{"timed_out", t.TimedOut},
			{"queue_full", t.QueueFull},
			{"too_many_of_one_address", t.RefusedPerIP},
			{"too_many_strangers", t.RefusedUnkept},
			{"too_many_dialled", t.RefusedDials},
		} {
			emit(float64(kind.count), kind.name)
		}
	})
	Gauge(s, "mss_siptransport_connections", "Connections that are open.", func() int64 { return endpoint.Stats().Open })
}

// Trunks adds the state of the links to other nodes, as each is the best one to its node.
func (s *Set) Trunks(nodes func() map[federation.NodeID][]nodelink.Link) {
	s.Gauges("mss_nodelink_trunk_alive", "Whether a trunk to the node is alive.", []string{"node"}, func(emit Emit) {
		for node, links := range nodes() {
			alive := 0.0
			for _, link := range links {
				if link.State == nodelink.Alive {
					alive = 1
				}
			}
			emit(alive, string(node))
		}
	})
}
