package exchange

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/mss-federation/mss/pkg/federation"
	exchangev1 "github.com/mss-federation/mss/proto/mss/exchange/v1"
)

func (s *Session) start(now time.Time) {
	if s.phase != idle {
		return
	}
	s.phase, s.heardAt = opening, now
	c := &s.config
	open := &exchangev1.Open{
		MinVersion: MinVersion, MaxVersion: MaxVersion,
		NodeId: string(c.Self), Domain: string(c.Domain), BootEpoch: c.Epoch, Role: c.Role,
		Capabilities: c.Capabilities, HoldMs: uint32(c.Hold / time.Millisecond), MaxPaths: c.MaxPaths,
		RestartSeconds: uint32(c.Restart / time.Second), Sip: encodeAddresses(c.SIP), Software: c.Software,
	}
	for _, f := range c.Families {
		open.Families = append(open.Families, exchangev1.Family(f))
	}
	if c.Observed.IsValid() {
		open.Observed = c.Observed.String()
	}
	if c.Resume != (Resume{}) {
		open.Resume = &exchangev1.Resume{PeerEpoch: c.Resume.Epoch, LastVersion: c.Resume.Version}
	}
	s.send(&exchangev1.Frame{Kind: &exchangev1.Frame_Open{Open: open}})
}

// handleOpen checks who the neighbour is and answers OpenConfirm, or Cease with the reason.
func (s *Session) handleOpen(o *exchangev1.Open, now time.Time) {
	if s.confirm {
		s.cease(exchangev1.CeaseCode_CEASE_CODE_PROTOCOL_ERROR, "a second Open", false, 0)
		return
	}
	version := min(o.GetMaxVersion(), MaxVersion)
	if code, text := s.refuse(o, version); code != 0 {
		s.cease(code, text, false, 0)
		return
	}
	s.agree(o, version)
	s.confirm = true
	view := s.source.View()
	resumed := s.begin(view, o.GetResume())
	s.in.granted = s.config.Window
	s.send(&exchangev1.Frame{Kind: &exchangev1.Frame_OpenConfirm{OpenConfirm: &exchangev1.OpenConfirm{
		Version: version, Resumed: resumed, CreditBytes: s.config.Window,
	}}})
	s.establish(now)
}

func (s *Session) refuse(o *exchangev1.Open, version uint32) (exchangev1.CeaseCode, string) {
	c := &s.config
	switch {
	case version < max(o.GetMinVersion(), MinVersion):
		return exchangev1.CeaseCode_CEASE_CODE_VERSION, fmt.Sprintf("this node speaks versions %d to %d, the neighbour %d to %d",
			MinVersion, MaxVersion, o.GetMinVersion(), o.GetMaxVersion())
	case o.GetDomain() != string(c.Domain):
		return exchangev1.CeaseCode_CEASE_CODE_DOMAIN, fmt.Sprintf("this node belongs to %q, the neighbour to %q", c.Domain, o.GetDomain())
	case o.GetNodeId() != string(c.Peer):
		return exchangev1.CeaseCode_CEASE_CODE_NODE, fmt.Sprintf("the neighbour says it is %q, and its certificate %q", o.GetNodeId(), c.Peer)
	case o.GetRole() != counterpart(c.Role):
		return exchangev1.CeaseCode_CEASE_CODE_ROLE, fmt.Sprintf("to %s the neighbour must be %s, and says it is %s", c.Role, counterpart(c.Role), o.GetRole())
	case o.GetBootEpoch() == 0:
		return exchangev1.CeaseCode_CEASE_CODE_PROTOCOL_ERROR, "Open without a boot epoch"
	case o.GetHoldMs() < 1000:
		return exchangev1.CeaseCode_CEASE_CODE_PROTOCOL_ERROR, "a hold time below one second"
	}
	return 0, ""
}

func (s *Session) agree(o *exchangev1.Open, version uint32) {
	s.hold = min(s.config.Hold, time.Duration(o.GetHoldMs())*time.Millisecond)
	s.agreed = make(map[exchangev1.Capability]bool)
	for _, capability := range o.GetCapabilities() {
		s.agreed[capability] = slices.Contains(s.config.Capabilities, capability)
	}
	s.families = make(map[federation.Family]bool)
	for _, f := range o.GetFamilies() {
		if f > 0 && f <= exchangev1.Family_FAMILY_DEFAULT {
			s.families[federation.Family(f)] = slices.Contains(s.config.Families, federation.Family(f))
		}
	}
	s.peer = Peer{
		Node: federation.NodeID(o.GetNodeId()), Epoch: o.GetBootEpoch(), Role: o.GetRole(), Version: version, Hold: s.hold,
		MaxPaths: min(max(o.GetMaxPaths(), 1), topMaxPaths), SIP: decodeAddresses(o.GetSip()), Software: o.GetSoftware(),
	}
	s.peer.Observed, _ = netip.ParseAddrPort(o.GetObserved()) // not valid: it does not say
	if !s.agreed[exchangev1.Capability_CAPABILITY_ADD_PATH] {
		s.peer.MaxPaths = 1
	}
	if s.agreed[exchangev1.Capability_CAPABILITY_GRACEFUL_RESTART] {
		s.peer.Restart = time.Duration(o.GetRestartSeconds()) * time.Second
	}
}

// handleConfirm takes the neighbour's answer to our Open.
func (s *Session) handleConfirm(c *exchangev1.OpenConfirm, now time.Time) {
	switch {
	case s.confirmed:
		s.cease(exchangev1.CeaseCode_CEASE_CODE_PROTOCOL_ERROR, "a second OpenConfirm", false, 0)
		return
	case !s.confirm:
		s.cease(exchangev1.CeaseCode_CEASE_CODE_PROTOCOL_ERROR, "OpenConfirm before Open", false, 0)
		return
	case c.GetVersion() != s.peer.Version:
		s.cease(exchangev1.CeaseCode_CEASE_CODE_VERSION, fmt.Sprintf("the neighbour chose version %d, this node %d", c.GetVersion(), s.peer.Version), false, 0)
		return
	case c.GetResumed() && (s.config.Resume == Resume{} || s.config.Resume.Epoch != s.peer.Epoch):
		s.cease(exchangev1.CeaseCode_CEASE_CODE_PROTOCOL_ERROR, "the neighbour resumes what was not asked for", false, 0)
		return
	}
	s.confirmed = true
	s.peer.Resumed = c.GetResumed()
	s.out.credit = c.GetCreditBytes()
	s.establish(now)
}

func (s *Session) establish(now time.Time) {
	if !s.confirm || !s.confirmed {
		return
	}
	s.phase = established
	s.do(Established{Peer: s.peer})
	s.keepalive(now)
	s.queueDirectory()
}

func encodeAddresses(list []Address) []*exchangev1.Address {
	out := make([]*exchangev1.Address, 0, len(list))
	for _, a := range list {
		t := exchangev1.Transport_TRANSPORT_UNSPECIFIED
		switch a.Transport {
		case "udp":
			t = exchangev1.Transport_TRANSPORT_UDP
		case "tcp":
			t = exchangev1.Transport_TRANSPORT_TCP
		case "tls":
			t = exchangev1.Transport_TRANSPORT_TLS
		}
		out = append(out, &exchangev1.Address{Transport: t, HostPort: a.HostPort})
	}
	return out
}

func decodeAddresses(list []*exchangev1.Address) []Address {
	var out []Address
	for _, a := range list {
		switch a.GetTransport() {
		case exchangev1.Transport_TRANSPORT_UDP:
			out = append(out, Address{Transport: "udp", HostPort: a.GetHostPort()})
		case exchangev1.Transport_TRANSPORT_TCP:
			out = append(out, Address{Transport: "tcp", HostPort: a.GetHostPort()})
		case exchangev1.Transport_TRANSPORT_TLS:
			out = append(out, Address{Transport: "tls", HostPort: a.GetHostPort()})
		default: // a newer one: of no use here
		}
	}
	return out
}
