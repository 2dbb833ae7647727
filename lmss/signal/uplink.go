package signal

import (
	"net/netip"
	"strings"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/mss-federation/mss/lmss/config"
	"github.com/mss-federation/mss/lmss/uplink"
	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/identity"
	"github.com/mss-federation/mss/pkg/network"
	"github.com/mss-federation/mss/pkg/nodelink"
	"github.com/mss-federation/mss/pkg/siptransport"
	commonv1 "github.com/mss-federation/mss/proto/mss/common/v1"
)

// openUplink makes the uplink of a site that has joined its domain, or has static hubs. Credentials that cannot
// be used cost the office its calls to other sites and nothing else: they are an alarm.
func (p *prepared) openUplink(o *Options) error {
	c := &o.Config
	home := uplink.HomeIn(c.StateDir)
	credentials, err := home.Credentials()
	self := identity.Node{Domain: c.Domain, Role: identity.Site, ID: string(c.Site)}
	if err == nil && credentials.Node != self {
		credentials = nil
		err = fault.New("load credentials", fault.Denied, string(home),
			"they are not those of "+self.URI()+": join again with a token of mssctl site token "+self.ID)
	}
	if err != nil && fault.KindOf(err) != fault.NotFound {
		p.logger.Error("no uplink: other sites cannot be reached", "err", err)
		p.alarm = "no uplink: " + err.Error()
	}
	if credentials == nil && len(c.StaticHubs) == 0 {
		return nil
	}
	options := uplink.Options{
		Site: c.Site, Domain: federation.Domain(c.Domain), Prefer: c.Uplinks, Home: home, Credentials: credentials,
		Network: o.Network, Logger: o.Logger, Software: o.Software, Reach: reaches[c.Media.Reachable],
		Own: c.Media.Addresses,
		Forwarded: func(local netip.Addr) bool {
			bind, shown := p.voice(local, netip.Addr{})
			return bind != shown
		},
	}
	for _, n := range c.Numbers {
		options.Numbers = append(options.Numbers, n.NLRI(c.Domain))
	}
	for _, hub := range c.StaticHubs {
		options.Static = append(options.Static, uplink.Static{Hub: hub.Hub, Flow: staticFlow(hub, o.UDP)})
	}
	p.uplink, err = uplink.New(options)
	return err
}

// reaches are the words of the configuration for whether voice reaches this site.
var reaches = map[string]uplink.Reach{
	config.ReachableAuto: uplink.ReachAuto, config.ReachableYes: uplink.ReachYes, config.ReachableNo: uplink.ReachNo,
}

// staticFlow is the way to a hub with a fixed address; over UDP it leaves from the socket of the same family.
func staticFlow(hub config.StaticHub, sockets []network.PacketConn) siptransport.Flow {
	flow := siptransport.Flow{Transport: hub.Address.Transport, Remote: hub.Address.Address}
	if flow.Transport != siptransport.UDP {
		return flow
	}
	for _, s := range sockets {
		local := network.AddrPort(s.LocalAddr())
		same := local.Addr().Is4() == flow.Remote.Addr().Is4()
		if same && (flow.Local == netip.AddrPort{}) {
			flow.Local = local
		}
	}
	return flow
}

// peers are the hubs for mssctl peer list.
func (s *site) peers() []*commonv1.Peer {
	if s.uplink == nil {
		return nil
	}
	var all []*commonv1.Peer
	for _, n := range s.uplink.Neighbours() {
		m := &commonv1.Peer{
			Node: string(n.Node), Session: sessions[n.Session], Reason: n.Reason, Address: n.Address,
			Trunk: n.Trunk.State.String(), AnnouncedOut: n.Stats.AnnouncedOut, WithdrawnOut: n.Stats.WithdrawnOut,
			Malformed: n.Stats.Malformed, MalformedLast: n.Stats.MalformedLast, Sessions: n.Sessions, Software: n.Software,
			Preference: uint32(n.Preference),
		}
		if !n.Since.IsZero() {
			m.Since = timestamppb.New(n.Since)
		}
		if n.Trunk.State != nodelink.Down {
			m.TrunkAddress = n.Trunk.Flow.String()
		}
		all = append(all, m)
	}
	return all
}

// numberless is the alarm of an office that is part of its domain and announces nothing there.
const numberless = "no numbers are configured, so that other offices cannot call this one; " +
	"name in its configuration, under numbers, those that mssctl site list shows on a hub"

// hubless is the alarm of an office whose calls to other offices have no way; empty while a hub has its trunk.
func (s *site) hubless() string {
	parts := []string{"no hub can be reached, so that calls to other offices fail"}
	for _, hub := range s.uplink.Neighbours() {
		if hub.Trunk.State != nodelink.Down {
			return ""
		}
		if hub.Reason != "" {
			parts = append(parts, string(hub.Node)+": "+hub.Reason)
		}
	}
	return strings.Join(parts, ": ") + "; check that the hubs run and that the network leads there; mssctl peer list shows each"
}

// sessions are the wire's words for how far a session has come.
var sessions = map[uplink.Phase]commonv1.Session{
	uplink.Down: commonv1.Session_SESSION_DOWN, uplink.Opening: commonv1.Session_SESSION_OPENING,
	uplink.Synchronising: commonv1.Session_SESSION_SYNCHRONISING, uplink.Up: commonv1.Session_SESSION_UP,
}
