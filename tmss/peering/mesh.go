package peering

import (
	"maps"
	"slices"
	"time"

	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/tmss/policy"
)

// mesh is which hubs have a session with which, by what each of them reports: where two have none, this hub passes
// routes on between them. Pure; the zero mesh knows nobody.
type mesh struct {
	hubs   map[federation.HubID]*reporter
	broken map[pair]time.Time // since when two hubs do not both report each other
}

type reporter struct {
	sees []federation.HubID
	gone time.Time // since when there is no session with it; zero while there is one
}

// pair is two hubs, the lower one first.
type pair [2]federation.HubID

// rise notes that a session with a hub begins. What it reported in the last one is no longer so.
func (m *mesh) rise(id federation.HubID) {
	if m.hubs == nil {
		m.hubs, m.broken = make(map[federation.HubID]*reporter), make(map[pair]time.Time)
	}
	m.hubs[id] = &reporter{}
}

// hear notes whom a hub has sessions with, and says whether that is news.
func (m *mesh) hear(id federation.HubID, sees []federation.HubID) bool {
	r := m.hubs[id]
	if r == nil || slices.Equal(r.sees, sees) {
		return false
	}
	r.sees = slices.Clone(sees)
	return true
}

func (m *mesh) fall(id federation.HubID, now time.Time) {
	if r := m.hubs[id]; r != nil && r.gone.IsZero() {
		r.gone = now
	}
}

// sessions are the hubs with which this one has a session, in order.
func (m *mesh) sessions() []federation.HubID {
	var list []federation.HubID
	for _, id := range slices.Sorted(maps.Keys(m.hubs)) {
		if m.hubs[id].gone.IsZero() {
			list = append(list, id)
		}
	}
	return list
}

// links are those between the hubs that are known, and when they must be asked for again; zero means not before
// something is heard. A link that is missing counts as there for grace: hubs report by the second, and one that has
// only just come has yet to speak.
func (m *mesh) links(now time.Time) (links policy.Links, next time.Time) {
	for id, r := range m.hubs {
		switch end := r.gone.Add(grace); {
		case r.gone.IsZero():
		case now.Before(end):
			next = sooner(next, end)
		default:
			delete(m.hubs, id)
		}
	}
	links = make(policy.Links, len(m.hubs))
	known := slices.Sorted(maps.Keys(m.hubs))
	for _, id := range known {
		links[id] = nil // known, also without a link
	}
	broken := make(map[pair]time.Time)
	for i, a := range known {
		for _, b := range known[i+1:] {
			if !slices.Contains(m.hubs[a].sees, b) || !slices.Contains(m.hubs[b].sees, a) {
				since, was := m.broken[pair{a, b}]
				if !was {
					since = now
				}
				broken[pair{a, b}] = since
				end := since.Add(grace)
				if !now.Before(end) {
					continue
				}
				next = sooner(next, end)
			}
			links[a], links[b] = append(links[a], b), append(links[b], a)
		}
	}
	m.broken = broken
	return links, next
}
