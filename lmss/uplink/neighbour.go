package uplink

import (
	"strings"
	"time"

	"github.com/mss-federation/mss/pkg/exchange"
	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/nodelink"
)

// Neighbour is one hub as operators see it.
type Neighbour struct {
	Node       federation.NodeID
	Preference int    // from 1
	Session    Phase  // Down also for a hub that is only static
	Reason     string // why the last session ended or could not be made
	Since      time.Time
	Address    string // of its gRPC service; empty for a static hub
	Sessions   uint32 // since the start
	Software   string
	Stats      exchange.Stats // of the last session that ended
	Trunk      nodelink.Link  // the zero Link is none
}

// Neighbours lists the hubs in the order of preference.
func (u *Uplink) Neighbours() []Neighbour {
	sessions := u.sessions()
	order := *u.order.Load()
	all := make([]Neighbour, 0, len(order))
	for i, node := range order {
		n := Neighbour{Node: node, Preference: i + 1}
		n.Trunk, _ = u.links.Best(node)
		if s := sessions[federation.HubID(strings.TrimPrefix(string(node), "hub/"))]; s != nil {
			now := s.state()
			n.Session, n.Reason, n.Since, n.Address = now.phase, now.reason, now.since, s.hub.GRPC
			n.Sessions, n.Software, n.Stats = now.sessions, now.software, now.stats
		}
		all = append(all, n)
	}
	return all
}
