package admin

import (
	"github.com/mss-federation/mss/pkg/adminapi"
	"github.com/mss-federation/mss/pkg/federation"
	tmssv1 "github.com/mss-federation/mss/proto/mss/tmss/v1"
	"github.com/mss-federation/mss/tmss/routetable"
)

// entryMessages are the paths to one range of numbers, best first.
func entryMessages(e *routetable.Entry) []*tmssv1.Path {
	list := make([]*tmssv1.Path, 0, len(e.Paths))
	for i := range e.Paths {
		rank := uint32(0)
		if i < e.Usable {
			rank = uint32(i) + 1
		}
		m := pathMessage(e.NLRI, &e.Paths[i], rank)
		m.Revision = e.Revision
		list = append(list, m)
	}
	return list
}

func pathMessage(n federation.NLRI, p *routetable.Path, rank uint32) *tmssv1.Path {
	m := &tmssv1.Path{
		Prefix: n.Pattern(), Rank: rank, Neighbour: string(p.Neighbour), Site: string(p.Attributes.Origin.Site),
		Class: p.Class().String(), NextHop: nextHop(p), Step: p.Step.String(), Rule: adminapi.Text(p.Decision.Rule),
		Stale: p.Stale, Down: p.Down, Cost: p.Attributes.Cost, Priority: p.Attributes.Priority,
		VoiceDirect: p.Attributes.Media.VoiceDirect,
	}
	if p.Reason != routetable.Eligible {
		m.Reason = p.Reason.String()
	}
	for _, e := range p.Attributes.AdvPath {
		m.Path = append(m.Path, string(e.Node))
	}
	return m
}

// nextHop is the node that calls are sent to from here: that of a static route, else who announced.
func nextHop(p *routetable.Path) string {
	if p.Decision.Class == routetable.Null {
		return ""
	}
	if p.Decision.Class == routetable.Static && len(p.Attributes.NextHops) > 0 {
		return string(p.Attributes.NextHops[0].Node)
	}
	return string(p.Neighbour)
}
