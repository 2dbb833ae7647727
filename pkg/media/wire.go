package media

import (
	"fmt"
	"math"
	"net/netip"
	"time"

	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/relay"
	mediav1 "github.com/mss-federation/mss/proto/mss/media/v1"
)

// This file maps the package's types to mss.media.v1 and back. What comes from the wire is checked here for
// its shape; whether it makes sense is the relay's question.

func fromAddress(a netip.AddrPort) *mediav1.Address {
	if !a.IsValid() {
		return nil
	}
	return &mediav1.Address{Ip: a.Addr().AsSlice(), Port: uint32(a.Port())}
}

func toAddress(a *mediav1.Address) netip.AddrPort {
	addr, ok := netip.AddrFromSlice(a.GetIp())
	if !ok || a.GetPort() > math.MaxUint16 {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(addr, uint16(a.GetPort()))
}

func fromAim(id uint64, a *Aim) *mediav1.Aim {
	learn := mediav1.Learn_LEARN_NONE
	if a.Learn == relay.LearnSource {
		learn = mediav1.Learn_LEARN_SOURCE
	}
	m := &mediav1.Aim{
		Endpoint: id, Rtp: fromAddress(a.RTP), Rtcp: fromAddress(a.RTCP), Learn: learn,
		Send: a.Send, Receive: a.Receive, Generation: a.Generation, ClockRate: a.ClockRate, Keepalive: a.Keepalive,
	}
	if len(a.PayloadTypes) > 0 {
		m.PayloadTypes = make(map[uint32]uint32, len(a.PayloadTypes))
		for from, to := range a.PayloadTypes {
			m.PayloadTypes[uint32(from)] = uint32(to)
		}
	}
	return m
}

func toAim(m *mediav1.Aim) Aim {
	a := Aim{
		RTP: toAddress(m.GetRtp()), RTCP: toAddress(m.GetRtcp()),
		Send: m.GetSend(), Receive: m.GetReceive(), Generation: m.GetGeneration(), ClockRate: m.GetClockRate(),
		Keepalive: m.GetKeepalive(),
	}
	if m.GetLearn() == mediav1.Learn_LEARN_SOURCE {
		a.Learn = relay.LearnSource
	}
	if types := m.GetPayloadTypes(); len(types) > 0 {
		a.PayloadTypes = make(map[uint8]uint8, len(types))
		for from, to := range types {
			if from < 128 && to < 128 {
				a.PayloadTypes[uint8(from)] = uint8(to)
			}
		}
	}
	return a
}

func aimed(a *Aim) bool {
	return a.RTP.IsValid() || a.Send || a.Receive || a.Learn != relay.LearnNone
}

func fromSpec(s *EndpointSpec) *mediav1.Open {
	m := &mediav1.Open{
		Endpoint: s.ID, Group: s.Group, Local: s.Local.AsSlice(), Port: uint32(s.Port),
		MediaTimeoutMs: uint32(min(s.Timeout.Milliseconds(), math.MaxUint32)),
	}
	if aimed(&s.Aim) {
		m.Aim = fromAim(s.ID, &s.Aim)
	}
	return m
}

func toSpec(m *mediav1.Open) EndpointSpec {
	local, _ := netip.AddrFromSlice(m.GetLocal()) // not valid: the relay says so
	s := EndpointSpec{
		ID: m.GetEndpoint(), Group: m.GetGroup(), Local: local, Port: int(m.GetPort()),
		Timeout: time.Duration(m.GetMediaTimeoutMs()) * time.Millisecond,
	}
	if m.GetAim() != nil {
		s.Aim = toAim(m.GetAim())
	}
	return s
}

func toDesired(m *mediav1.Endpoint) relay.Desired {
	d := relay.Desired{Spec: toSpec(m.GetOpen()), Peer: m.GetPeer()}
	d.Learned = toAddress(m.GetLearned())
	return d
}

func fromError(err error) *mediav1.Failure {
	if err == nil {
		return nil
	}
	return &mediav1.Failure{Kind: uint32(fault.KindOf(err)), Text: err.Error()}
}

// toError gives a failure of the media process the kind that it had there.
func toError(m *mediav1.Failure) error {
	if m == nil {
		return nil
	}
	kind := fault.Internal
	if m.GetKind() <= uint32(fault.Timeout) {
		kind = fault.Kind(m.GetKind())
	}
	return fault.New("media", kind, "", m.GetText())
}

func fromReport(command uint64, r *Report) *mediav1.Report {
	m := &mediav1.Report{
		Command: command, Endpoint: r.Endpoint, Final: r.Final, Found: r.Found,
		PacketsIn: r.PacketsIn, BytesIn: r.BytesIn, RtcpIn: r.RTCPIn,
		PacketsOut: r.PacketsOut, BytesOut: r.BytesOut, RtcpOut: r.RTCPOut,
		Lost: r.Lost, JitterUs: uint64(r.Jitter.Microseconds()), SsrcChanges: r.SSRCChanges,
		Source: fromAddress(r.Source),
	}
	for reason, n := range r.Dropped {
		if n == 0 {
			continue
		}
		if m.Dropped == nil {
			m.Dropped = make(map[string]uint64)
		}
		m.Dropped[relay.Drop(reason).String()] = n
	}
	return m
}

func toReport(m *mediav1.Report) Report {
	r := Report{
		Endpoint: m.GetEndpoint(), Final: m.GetFinal(), Found: m.GetFound(),
		PacketsIn: m.GetPacketsIn(), BytesIn: m.GetBytesIn(), RTCPIn: m.GetRtcpIn(),
		PacketsOut: m.GetPacketsOut(), BytesOut: m.GetBytesOut(), RTCPOut: m.GetRtcpOut(),
		Lost: m.GetLost(), Jitter: time.Duration(m.GetJitterUs()) * time.Microsecond, SSRCChanges: m.GetSsrcChanges(),
		Source: toAddress(m.GetSource()),
	}
	for reason := range r.Dropped {
		r.Dropped[reason] = m.GetDropped()[relay.Drop(reason).String()]
	}
	return r
}

// fromEvent gives nil for news that nobody waits for.
func fromEvent(ev *relay.Event) *mediav1.Event {
	switch ev.Kind {
	case relay.EventLearned:
		return &mediav1.Event{Kind: &mediav1.Event_Learned{Learned: &mediav1.Learned{
			Endpoint: ev.Endpoint, Remote: fromAddress(ev.Remote),
		}}}
	case relay.EventSilent:
		return &mediav1.Event{Kind: &mediav1.Event_Silent{Silent: &mediav1.Silent{Endpoint: ev.Endpoint}}}
	case relay.EventReport:
		if ev.Tag == 0 {
			return nil
		}
		return &mediav1.Event{Kind: &mediav1.Event_Report{Report: fromReport(ev.Tag, &ev.Report)}}
	case relay.EventBroken:
		err := fault.New("relay", fault.Internal, fmt.Sprint("endpoint ", ev.Endpoint), "it was closed after a failure, see the media process's log")
		return &mediav1.Event{Kind: &mediav1.Event_Lost{Lost: &mediav1.Lost{Endpoint: ev.Endpoint, Failure: fromError(err)}}}
	default:
		return nil
	}
}

func result(command, endpoint uint64, port int, err error) *mediav1.Event {
	return &mediav1.Event{Kind: &mediav1.Event_Result{Result: &mediav1.Result{
		Command: command, Endpoint: endpoint, Port: uint32(port), Failure: fromError(err),
	}}}
}
