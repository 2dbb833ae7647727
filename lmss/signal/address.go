package signal

import (
	"net"
	"net/netip"
	"slices"

	"github.com/mss-federation/mss/lmss/config"
	"github.com/mss-federation/mss/pkg/siptransport"
)

// telling decides which address a peer is told for a local one.
type telling struct {
	listen   config.Listen
	networks []netip.Prefix // that this machine is connected to
}

// to is the advertised address, but for a phone on a network to which the local address is connected: no NAT stands
// between the two, and the one that stands before the office need not lead its own voice back.
func (t telling) to(local, peer netip.Addr) netip.Addr {
	if slices.ContainsFunc(t.networks, func(n netip.Prefix) bool { return n.Contains(local) && n.Contains(peer) }) {
		return local
	}
	return t.listen.Advertised(local)
}

// connected are the networks that this machine is part of. The loopback network is none: what is told there is told to
// this machine. If the kernel does not say, everybody is told what is advertised.
func connected() []netip.Prefix {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var networks []netip.Prefix
	for _, a := range all {
		n, ok := a.(*net.IPNet)
		if !ok || n.IP.IsLoopback() {
			continue
		}
		if addr, ok := netip.AddrFromSlice(n.IP); ok {
			ones, _ := n.Mask.Size()
			networks = append(networks, netip.PrefixFrom(addr.Unmap(), ones).Masked())
		}
	}
	return networks
}

// voiceAddresses chooses the relay's address of a leg: the one that it uses for SIP where voice has it too, else the
// first of the same family.
func voiceAddresses(voice []netip.Addr, told func(local, peer netip.Addr) netip.Addr) func(local, peer netip.Addr) (bind, shown netip.Addr) {
	return func(local, peer netip.Addr) (netip.Addr, netip.Addr) {
		local = local.Unmap()
		bind := local
		if !slices.Contains(voice, local) {
			i := slices.IndexFunc(voice, func(a netip.Addr) bool { return a.Is4() == local.Is4() })
			if i >= 0 {
				bind = voice[i]
			}
		}
		return bind, told(bind, peer)
	}
}

// otherVoice chooses the relay's first address of the IP version that a peer's voice has; a zero one: there is none.
func otherVoice(voice []netip.Addr, told func(local, peer netip.Addr) netip.Addr) func(version, peer netip.Addr) (bind, shown netip.Addr) {
	return func(version, peer netip.Addr) (netip.Addr, netip.Addr) {
		for _, a := range voice {
			if a.Is4() == version.Is4() {
				return a, told(a, peer)
			}
		}
		return netip.Addr{}, netip.Addr{}
	}
}

// sentBy is the address that peers of a flow see: each leg has its own local address.
func (s *site) sentBy(flow siptransport.Flow) netip.AddrPort {
	local := s.localOf(flow)
	if s.told == nil {
		return local
	}
	return netip.AddrPortFrom(s.told(local.Addr(), flow.Remote.Addr().Unmap()), local.Port())
}

// voiceAddr is where a leg's voice is bound, and where its peer is told that it is. Behind a hub are other sites: the
// hub's own address says nothing of theirs. A peer whose voice is of another IP version than its signalling is met
// there, if voice has an address of that.
func (s *site) voiceAddr(flow siptransport.Flow, version netip.Addr) (bind, shown netip.Addr) {
	peer, hub := flow.Remote.Addr().Unmap(), false
	if s.uplink != nil {
		if _, hub = s.uplink.Node(flow); hub {
			peer = netip.Addr{}
		}
	}
	local := s.localOf(flow).Addr().Unmap()
	if hub && s.voiceOther != nil {
		if !version.IsValid() {
			version = local
		}
		version = s.voiceVersion(version)
	}
	if version.IsValid() && version.Is4() != local.Is4() && s.voiceOther != nil {
		if bind, shown = s.voiceOther(version, peer); bind.IsValid() {
			return bind, shown
		}
	}
	return s.voice(local, peer)
}

// voiceVersion is an address of the IP version that voice with other sites has: the wanted one, unless voice has none of
// it. A hub that is reached over the other version changes nothing about where voice may be.
func (s *site) voiceVersion(wanted netip.Addr) netip.Addr {
	for _, version := range []netip.Addr{wanted, netip.IPv4Unspecified(), netip.IPv6Unspecified()} {
		if bind, _ := s.voiceOther(version, netip.Addr{}); bind.IsValid() {
			return version
		}
	}
	return wanted
}

func (s *site) localOf(flow siptransport.Flow) netip.AddrPort {
	if flow.Local.IsValid() {
		return flow.Local
	}
	local, _ := s.endpoint.LocalFor(flow.Transport, flow.Remote.Addr())
	return local
}
