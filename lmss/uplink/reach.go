package uplink

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/mss-federation/mss/pkg/exchange"
	"github.com/mss-federation/mss/pkg/federation"
)

// Reach says whether other sites can send voice to this one before it has sent them any.
type Reach uint8

// The zero Reach is found out: see translated.
const (
	ReachAuto Reach = iota
	ReachYes
	ReachNo
)

// reach is what is known of that.
type reach struct {
	hidden atomic.Bool
	mu     struct {
		sync.Mutex
		behind map[federation.HubID]bool // a NAT stands between this site and the hub
	}
}

// carrierNAT is the shared address space of carriers (RFC 6598): private, as far as the way back goes.
var carrierNAT = netip.MustParsePrefix("100.64.0.0/10")

// translated says whether a NAT hides a site that is seen at another address than its own. Only where the site's
// address is private and the seen one is not: networks of private addresses translate at inner borders too, and a hub
// behind a load balancer sees that one's address, and neither says that voice does not arrive.
func translated(local, observed netip.Addr) bool {
	observed = observed.Unmap()
	return isPrivate(local) && observed.IsGlobalUnicast() && !isPrivate(observed)
}

func isPrivate(a netip.Addr) bool {
	a = a.Unmap()
	return a.IsPrivate() || carrierNAT.Contains(a)
}

// VoiceReachable says whether other sites can send voice to this one before it has sent any to them. It takes no lock.
func (u *Uplink) VoiceReachable() bool { return !u.reach.hidden.Load() }

// VoiceText says the same to an operator.
func (u *Uplink) VoiceText() string {
	behind := u.behind()
	switch {
	case u.VoiceReachable():
		return "of other offices reaches this one"
	case len(behind) == 0:
		return "of other offices does not reach this one before it speaks: media.reachable says so"
	}
	names := make([]string, 0, len(behind))
	for _, id := range behind {
		names = append(names, string(id))
	}
	return "of other offices does not reach this one before it speaks: a NAT hides it from hub " + strings.Join(names, ", ")
}

// observe takes from where a hub sees this site, and from where the site speaks to it.
func (u *Uplink) observe(hub federation.HubID, local, observed netip.Addr) {
	if !local.IsValid() || !observed.IsValid() {
		return // a hub of an earlier version does not say
	}
	behind := translated(local, observed) && (u.options.Forwarded == nil || !u.options.Forwarded(local))
	changed := u.reckon(func(before map[federation.HubID]bool) {
		delete(before, hub)
		if behind {
			before[hub] = true
		}
	})
	switch {
	case changed && behind:
		u.log.Warn("voice of other sites does not reach this one before it speaks: calls with sites like it are refused; "+
			"forward media.ports to this machine and name the public address in listen.advertise, or say in media.reachable what is so",
			"local", local.String(), "seen at", observed.String(), "hub", string(hub))
	case changed:
		u.log.Info("voice of other sites reaches this one", "hub", string(hub))
	}
}

// reckon changes what is known of each hub, and announces what follows; true if that is another thing than before.
func (u *Uplink) reckon(change func(before map[federation.HubID]bool)) bool {
	if u.options.Reach != ReachAuto {
		return false
	}
	r := &u.reach
	r.mu.Lock()
	defer r.mu.Unlock()
	known := maps.Clone(r.mu.behind)
	change(r.mu.behind)
	if !maps.Equal(known, r.mu.behind) {
		u.signal() // the manager keeps it
	}
	hidden := len(r.mu.behind) > 0
	if r.hidden.Swap(hidden) == hidden {
		return false
	}
	u.announce()
	return true
}

// forgetOthers leaves out what was known of hubs that this site is not attached to any more.
func (u *Uplink) forgetOthers(attached []exchange.Hub) {
	u.reckon(func(before map[federation.HubID]bool) {
		maps.DeleteFunc(before, func(id federation.HubID, _ bool) bool {
			return !slices.ContainsFunc(attached, func(h exchange.Hub) bool { return h.ID == id })
		})
	})
}

// remember starts from what the last run knew: calls do not wait for the first session.
func (u *Uplink) remember() {
	u.reach.mu.behind = map[federation.HubID]bool{}
	u.reach.hidden.Store(u.options.Reach == ReachNo)
	if u.options.Reach != ReachAuto {
		return
	}
	behind, err := u.options.Home.loadReach()
	if err != nil {
		u.log.Error("whether voice reaches this site is not known before a hub says it", "err", err)
	}
	for _, id := range behind {
		u.reach.mu.behind[id] = true
	}
	u.reach.hidden.Store(len(behind) > 0)
}

// behind are the hubs that a NAT hides this site from.
func (u *Uplink) behind() []federation.HubID {
	u.reach.mu.Lock()
	defer u.reach.mu.Unlock()
	return slices.Sorted(maps.Keys(u.reach.mu.behind))
}

// announce tells all hubs what this site has now.
func (u *Uplink) announce() {
	if !u.book.Set(announced(u.options.Site, u.options.Numbers, u.VoiceReachable())) {
		return
	}
	for _, s := range u.sessions() {
		s.notify()
	}
}
