package signal

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/mss-federation/mss/lmss/store"
	"github.com/mss-federation/mss/lmss/uplink"
	"github.com/mss-federation/mss/pkg/adminapi"
	"github.com/mss-federation/mss/pkg/health"
	"github.com/mss-federation/mss/pkg/telemetry"
)

// aliveWithin bounds how long the workers may take to show that they live.
const aliveWithin = 2 * time.Second

// monitored is what machines ask the office: metrics, probes, and the processes beside this one.
type monitored struct {
	server *telemetry.Server
	calls  health.Part
	media  []*telemetry.Sibling
}

// monitor gathers what there is to ask. The media process answers through this one: an office has one place to look.
func (p *prepared) monitor(s *site, o *Options) *monitored {
	registry := &health.Registry{}
	m := &monitored{calls: registry.Part("calls")}
	registry.LiveCheck(func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), aliveWithin)
		defer cancel()
		return s.alive(ctx)
	})
	if p.client != nil {
		media := telemetry.NewSibling("media", o.Config.Media.HTTPSocket())
		m.media = []*telemetry.Sibling{media}
		registry.Check("media", media.Alive)
	}
	set := telemetry.New("signal", o.Software)
	p.metrics(s, set)
	if o.Certificate != nil {
		telemetry.Gauge(set, "mss_servercert_expires_timestamp_seconds", "When the certificate that phones are shown ends.", func() int64 {
			return o.Certificate.Pair().Certificate().NotAfter.Unix()
		})
	}
	m.server = &telemetry.Server{Health: registry, Metrics: set, Siblings: m.media, Logger: o.Logger}
	return m
}

// listen opens the Unix socket and serves there and on the listeners that the process was given.
func (m *monitored) listen(o *Options) (func(context.Context) error, error) {
	local, err := adminapi.Listen(o.Config.Admin.HTTPSocket)
	if err != nil {
		return nil, errors.Join(err, closeListeners(o.HTTP))
	}
	return func(ctx context.Context) error { return m.server.Run(ctx, local, o.HTTP...) }, nil
}

func closeListeners(all []net.Listener) error {
	var failures []error
	for _, l := range all {
		failures = append(failures, l.Close())
	}
	return errors.Join(failures...)
}

// followers are the processes whose log level follows this one's.
func (m *monitored) followers() (all []adminapi.LevelFollower) {
	for _, sibling := range m.media {
		all = append(all, sibling)
	}
	return all
}

// metrics adds what the office counts.
func (p *prepared) metrics(s *site, set *telemetry.Set) {
	set.SIP(s.stack, s.endpoint, s.ring)
	telemetry.Counter(set, "mss_ingress_requests_total", "SIP requests outside transactions.", s.counters.Requests.Load)
	telemetry.Counter(set, "mss_ingress_auth_failures_total", "Wrong passwords and unknown users.", s.counters.AuthFailures.Load)
	telemetry.Counter(set, "mss_ingress_panics_total", "Messages whose handling panicked.", s.counters.Panics.Load)
	telemetry.Gauge(set, "mss_registrar_bindings", "Phones that are registered.", s.bindings.Count)
	telemetry.Gauge(set, "mss_user_users", "Users of the office.", func() int { return p.users.Table().Len() })
	s.callMetrics(set)
	if p.store != nil {
		storeMetrics(p.store, set)
	}
	if p.uplink != nil {
		uplinkMetrics(p.uplink, set)
	}
}

func (s *site) callMetrics(set *telemetry.Set) {
	telemetry.Counter(set, "mss_call_setups_total", "Calls that began.", func() (begun uint64) {
		for _, r := range s.runners {
			n, _ := r.Counts()
			begun += n
		}
		return begun
	})
	telemetry.Gauge(set, "mss_call_live", "Calls that are being set up or up.", func() (live int64) {
		for _, r := range s.runners {
			_, n := r.Counts()
			live += n
		}
		return live
	})
	set.Counters("mss_call_ended_total", "Calls that ended, by class and reason.", []string{"class", "reason"}, func(emit telemetry.Emit) {
		s.terminate.each(func(e ending, calls uint64) { emit(float64(calls), string(e.class), e.reason) })
	})
	telemetry.Counter(set, "mss_call_recovered_total", "Ended calls that lived through a restart of the signalling process.", func() uint64 {
		recovered, _ := s.terminate.special()
		return recovered
	})
	telemetry.Counter(set, "mss_call_unprotected_total", "Ended calls whose answer left before the store had them.", func() uint64 {
		_, unprotected := s.terminate.special()
		return unprotected
	})
}

func storeMetrics(st *store.Store, set *telemetry.Set) {
	telemetry.Counter(set, "mss_store_commits_total", "Group commits that are safe on the disk.", func() int64 { return st.Stats().Commits })
	telemetry.Counter(set, "mss_store_failures_total", "Group commits that the disk did not take.", func() int64 { return st.Stats().Failures })
	telemetry.Counter(set, "mss_store_records_total", "Calls, call records and registrations written.", func() int64 { return st.Stats().Records })
	telemetry.Counter(set, "mss_store_refused_total", "Calls and call records refused because too many waited for the disk.", func() int64 { return st.Stats().Refused })
	telemetry.Counter(set, "mss_store_busy_seconds_total", "Time spent on writing.", func() float64 { return st.Stats().Busy.Seconds() })
	telemetry.Gauge(set, "mss_store_queued_records", "Call records that wait for the disk.", func() int { return st.Stats().Queued })
	telemetry.Gauge(set, "mss_store_pending_seconds", "Age of the oldest write that is not safe yet.", func() float64 { return st.Stats().Pending.Seconds() })
	set.Gauges("mss_store_state", "How the store is: 1 for the state that it is in.", []string{"state"}, func(emit telemetry.Emit) {
		now := st.Stats().State
		for _, state := range []store.State{store.Healthy, store.ReserveUsed, store.Full, store.Broken} {
			emit(one(state == now), state.String())
		}
	})
}

func uplinkMetrics(u *uplink.Uplink, set *telemetry.Set) {
	set.Trunks(u.Links().Nodes)
	set.Gauges("mss_uplink_session_up", "Whether the exchange session with the hub is up.", []string{"node"}, func(emit telemetry.Emit) {
		for _, n := range u.Neighbours() {
			emit(one(n.Session == uplink.Up), string(n.Node))
		}
	})
	set.Counters("mss_uplink_sessions_total", "Exchange sessions with the hub that came up.", []string{"node"}, func(emit telemetry.Emit) {
		for _, n := range u.Neighbours() {
			emit(float64(n.Sessions), string(n.Node))
		}
	})
	if _, joined := u.CertificateEnds(); joined {
		telemetry.Gauge(set, "mss_identity_certificate_expires_timestamp_seconds", "When the office's own certificate ends.", func() int64 {
			ends, _ := u.CertificateEnds()
			return ends.Unix()
		})
	}
	telemetry.Gauge(set, "mss_uplink_alarms", "What is wrong with the uplink; mssctl status says it in words.", func() int { return len(u.Alarms()) })
}

func one(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
