package hub

import (
	"maps"
	"net"
	"net/netip"
	"slices"

	"github.com/mss-federation/mss/pkg/exchange"
	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/network"
	"github.com/mss-federation/mss/tmss/discovery"
)

func addrPort(a net.Addr) netip.AddrPort { return network.AddrPort(a) }

// advertised is a local address as others must use it.
func (h *hub) advertised(a net.Addr) string {
	local := addrPort(a)
	return netip.AddrPortFrom(h.options.Config.Listen.Advertised(local.Addr()), local.Port()).String()
}

// grpcAddresses are where exchange, enrolment and operators reach this hub, the preferred one first.
func (h *hub) grpcAddresses() []string {
	list := make([]string, 0, len(h.options.GRPC))
	for _, l := range h.options.GRPC {
		list = append(list, h.advertised(l.Addr()))
	}
	return list
}

// sipAddresses are where this hub listens for SIP, the best transport first.
func (h *hub) sipAddresses() []exchange.Address {
	var list []exchange.Address
	for _, l := range h.options.TLS {
		list = append(list, exchange.Address{Transport: "tls", HostPort: h.advertised(l.Addr())})
	}
	for _, l := range h.options.TCP {
		list = append(list, exchange.Address{Transport: "tcp", HostPort: h.advertised(l.Addr())})
	}
	for _, c := range h.options.UDP {
		list = append(list, exchange.Address{Transport: "udp", HostPort: h.advertised(c.LocalAddr())})
	}
	return list
}

// own are the local addresses at which others reach this hub, the preferred one first.
func (h *hub) own() (list []netip.Addr) {
	for _, l := range slices.Concat(h.options.TLS, h.options.GRPC) {
		list = append(list, addrPort(l.Addr()).Addr())
	}
	return list
}

// entry is this hub in the directory.
func (h *hub) entry() discovery.Hub {
	grpc := h.grpcAddresses()
	self := discovery.Hub{
		ID: federation.HubID(h.self.ID), GRPC: grpc[0], SIP: map[string]string{}, Epoch: h.epoch,
		Version: h.options.Software, Protocol: exchange.MaxVersion,
	}
	self.GRPCAlso = append(self.GRPCAlso, grpc[1:]...)
	for _, a := range h.sipAddresses() {
		if self.SIP[a.Transport] == "" {
			self.SIP[a.Transport] = a.HostPort
			continue
		}
		if self.SIPAlso == nil {
			self.SIPAlso = map[string][]string{}
		}
		self.SIPAlso[a.Transport] = append(self.SIPAlso[a.Transport], a.HostPort)
	}
	return self
}

// hubMessage is a hub as sites are told of it.
func hubMessage(other *discovery.Hub) exchange.Hub {
	m := exchange.Hub{ID: other.ID, GRPC: other.GRPC, GRPCAlso: other.GRPCAlso, Software: other.Version}
	for _, transport := range slices.Sorted(maps.Keys(other.SIP)) {
		for _, address := range other.SIPAddresses(transport) {
			m.SIP = append(m.SIP, exchange.Address{Transport: transport, HostPort: address})
		}
	}
	return m
}

// directoryAddresses are where the directory's members are.
func (h *hub) directoryAddresses() []string {
	d := &h.options.Config.Directory
	if d.Embedded.On() {
		return []string{d.Listen.String()}
	}
	return d.Endpoints
}

// directoryTold is where hubs that join find the directory.
func (h *hub) directoryTold() []string {
	d := &h.options.Config.Directory
	if d.Embedded.On() {
		return []string{netip.AddrPortFrom(h.options.Config.Listen.Advertised(d.Listen.Addr()), d.Listen.Port()).String()}
	}
	return d.Endpoints
}

// listeners are the open sockets for people: "tls 192.0.2.1:5061".
func (h *hub) listeners() []string {
	var list []string
	for _, a := range h.sipAddresses() {
		list = append(list, a.Transport+" "+a.HostPort)
	}
	for _, a := range h.grpcAddresses() {
		list = append(list, "grpc "+a)
	}
	for _, l := range h.options.HTTP {
		list = append(list, "http "+l.Addr().String())
	}
	return list
}
