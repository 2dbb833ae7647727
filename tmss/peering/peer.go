package peering

import (
	"slices"
	"strings"
	"time"

	"github.com/mss-federation/mss/pkg/exchange"
	"github.com/mss-federation/mss/pkg/federation"
)

// Phase is how far a session has come.
type Phase uint8

// The phases. The zero Phase is Down.
const (
	Down          Phase = iota // there is no session
	Opening                    // both sides say who they are
	Synchronising              // routes flow; the first whole state is not here
	Up
)

// String is the phase in an operator's words.
func (p Phase) String() string { return [...]string{"down", "opening", "synchronising", "up"}[p] }

// Peer is one neighbour as an operator sees it.
type Peer struct {
	Node     federation.NodeID
	Phase    Phase
	Since    time.Time // of the phase
	Reason   string    // why the last session ended
	Address  string    // where the session came from
	Software string
	Sessions uint32 // since this hub started
	Routes   int    // prefixes that the table has of it
	Stats    exchange.Stats
}

// Peers lists everybody that was ever heard of, ordered by name.
func (p *Peering) Peers() []Peer {
	list := make([]Peer, 0)
	for _, n := range p.all() {
		list = append(list, n.shownWithRoutes())
	}
	slices.SortFunc(list, func(a, b Peer) int { return strings.Compare(string(a.Node), string(b.Node)) })
	return list
}

// Peer is one neighbour; one that was never heard of is Down.
func (p *Peering) Peer(id federation.NodeID) Peer {
	p.mu.Lock()
	n := p.mu.neighbours[id]
	p.mu.Unlock()
	if n == nil {
		return Peer{Node: id}
	}
	return n.shownWithRoutes()
}

func (n *neighbour) shownWithRoutes() Peer {
	shown := n.show()
	shown.Routes = n.p.options.Table.Held(n.id)
	return shown
}
