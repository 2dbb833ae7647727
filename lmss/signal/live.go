package signal

import (
	"context"
	"maps"
	"net"
	"time"

	"github.com/mss-federation/mss/lmss/admin"
	"github.com/mss-federation/mss/lmss/call"
	"github.com/mss-federation/mss/lmss/config"
	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/servercert"
)

// liveCalls shows the calls of all workers to the admin API.
type liveCalls struct{ site *site }

// Live asks every worker.
func (l liveCalls) Live(ctx context.Context) ([]admin.CallInfo, error) {
	var all []admin.CallInfo
	for _, r := range l.site.runners {
		list, err := r.Live(ctx)
		if err != nil {
			return nil, err
		}
		for i := range list {
			all = append(all, callInfo(&list[i]))
		}
	}
	return all, nil
}

// Hangup ends a call.
func (l liveCalls) Hangup(ctx context.Context, id string) error {
	for _, r := range l.site.runners {
		if found, err := r.Hangup(ctx, id); err != nil || found {
			return err
		}
	}
	return fault.New("hang up", fault.NotFound, id, "no such call is up: see mssctl call list")
}

func callInfo(c *call.Info) admin.CallInfo {
	info := admin.CallInfo{
		ID: c.ID, SessionID: c.Session, Phase: c.Phase.String(), Caller: c.CDR.Caller, Called: c.CDR.Called, Callee: c.CDR.Callee,
		SetupAt: c.CDR.SetupAt, RingAt: c.CDR.RingAt, AnswerAt: c.CDR.AnswerAt,
		Recovered: c.CDR.Recovered, Unprotected: c.CDR.Unprotected,
	}
	for _, l := range c.Legs {
		info.Legs = append(info.Legs, admin.LegInfo(l))
	}
	return info
}

// status is what the process knows of itself.
func (s *site) status(_ context.Context, o *Options) admin.Status {
	var st admin.Status
	if o.Status != nil {
		st = o.Status()
	}
	counters := map[string]uint64{
		"requests":       s.counters.Requests.Load(),
		"auth_failures":  s.counters.AuthFailures.Load(),
		"message_panics": s.counters.Panics.Load(),
	}
	for class, n := range s.terminate.classes() {
		counters["calls_"+string(class)] = n
	}
	maps.Copy(counters, s.stack.Stats().Counters())
	if st.Counters == nil {
		st.Counters = counters
	} else {
		maps.Copy(st.Counters, counters)
	}
	st.Alarms = append(st.Alarms, s.alarms...)
	if s.alarm != "" {
		st.Alarms = append(st.Alarms, s.alarm)
	}
	if s.uplink != nil {
		st.Alarms = append(st.Alarms, s.uplink.Alarms()...)
		st.Voice = s.uplink.VoiceText()
		if alarm := s.hubless(); alarm != "" {
			st.Alarms = append(st.Alarms, alarm)
		}
		if len(o.Config.Numbers) == 0 {
			st.Alarms = append(st.Alarms, numberless)
		}
	}
	if o.Certificate != nil {
		st.Alarms = append(st.Alarms, certificateAlarms(o.Certificate, &o.Config)...)
	}
	for _, c := range o.UDP {
		st.Listeners = append(st.Listeners, "udp "+c.LocalAddr().String())
	}
	for _, kind := range []struct {
		name string
		all  []net.Listener
	}{{"tcp", o.TCP}, {"tls", o.TLS}, {"grpc", o.GRPC}, {"http", o.HTTP}} {
		for _, l := range kind.all {
			st.Listeners = append(st.Listeners, kind.name+" "+l.Addr().String())
		}
	}
	return st
}

// certificateAlarms are reasons for which phones may refuse the site's certificate, now or soon.
func certificateAlarms(h *servercert.Holder, c *config.Config) []string {
	var alarms []string
	if wrong := h.Wrong(); wrong != "" {
		alarms = append(alarms, "tls: "+wrong)
	}
	for _, w := range h.Pair().Warnings(time.Now(), c.Listen.TLSAddresses()) {
		alarms = append(alarms, "tls.certificate: "+c.TLS.Certificate+": "+w)
	}
	return alarms
}
