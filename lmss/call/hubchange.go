package call

import (
	"slices"

	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/nodelink"
)

// HubChanged tells the calls that a hub fell silent, is lost, or is back: what waits for one goes through
// another. It may be called from any goroutine.
func (r *Runner) HubChanged(hub federation.NodeID, state nodelink.State) {
	r.post(func() {
		for _, l := range r.uplinked() {
			if state == nodelink.Alive {
				l.hubBack(hub)
			} else {
				l.hubSilent(hub)
			}
		}
	})
}

// uplinked are the legs that hubs carry. What they do changes the table.
func (r *Runner) uplinked() []*Leg {
	var all []*Leg
	for _, l := range r.legs {
		for ; l != nil; l = l.next {
			if l.node != "" {
				all = append(all, l)
			}
		}
	}
	return all
}

// hubSilent sends what a hub may have swallowed through another. Its connection may live on, and the answer still
// come: whichever comes first counts.
func (l *Leg) hubSilent(hub federation.NodeID) {
	if l.caller {
		l.call.deserted()
	}
	if l.up == nil {
		return
	}
	hit := false
	for _, a := range l.up.attempts {
		if a.node == hub && !a.over && !a.lost {
			a.lost, hit = true, true
		}
	}
	if hit {
		l.hubLost()
	}
	if l.up.ack.node == hub {
		l.ackAgain(hub)
	}
	for _, v := range slices.Clone(l.up.pending) {
		if v.node == hub && l.elsewhere(hub) {
			v.again()
		}
	}
}

// elsewhere says whether a hub answers that is not this one: a request that waits for an answer leaves a silent
// hub for no other silent one.
func (l *Leg) elsewhere(hub federation.NodeID) bool {
	for node := range l.call.env.Ways("") {
		if node != hub && l.call.env.Hub(node) == nodelink.Alive {
			return true
		}
	}
	return false
}

// hubBack lets a leg that rings without any hub use this one.
func (l *Leg) hubBack(hub federation.NodeID) {
	if l.up == nil {
		return
	}
	for _, a := range l.up.attempts {
		if a.node == hub && !a.over {
			a.lost = false
		}
	}
	if l.up.ack.lost {
		l.up.ack.lost = false
		l.ackAgain("")
	}
	if l.inviteOpen() && len(l.up.attempts) > 0 && !l.live() {
		l.anotherHub()
	}
}
