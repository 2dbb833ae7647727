// Package routefile keeps a hub's learned routes on its disk, so that a hub that starts knows at once, if not for
// certain, where numbers are. The file is replaced whole and carries a checksum: what cannot be read whole is not read at
// all. It knows no table and no policy (see tmss/peering). Start at [Write] and [Read].
package routefile

import (
	"iter"
	"time"

	"github.com/mss-federation/mss/pkg/exchange"
	"github.com/mss-federation/mss/pkg/federation"
)

// Format is the version of the file. A file of another one is not read.
const Format = 1

// Head is what a file says before its routes.
type Head struct {
	Domain federation.Domain
	// Self is the hub whose routes these are.
	Self federation.NodeID
	// Saved is when the file was written.
	Saved time.Time
	// Neighbours are those whose routes follow.
	Neighbours []Neighbour
}

// Neighbour is how far the routes of one go.
type Neighbour struct {
	Node federation.NodeID
	// Resume is what a session may take up from. Zero: nothing.
	Resume exchange.Resume
	// Heard is until when what it said was current.
	Heard time.Time
}

// Route is one path, and whose it is.
type Route struct {
	Neighbour federation.NodeID
	federation.Route
}

// chunk is a part of the routes. Attributes that routes share are written once in a file; later chunks go on counting.
type chunk struct {
	Attributes []*federation.Attributes
	Records    []record
	Last       bool
}

// record is a route with numbers in the place of what is written elsewhere.
type record struct {
	Neighbour  int // of Head.Neighbours
	Attributes int
	NLRI       federation.NLRI
	PathID     uint32
	Revisions  []uint64
}

// chunkSize is the number of routes in a chunk.
const chunkSize = 4096

// chunks yields routes as they are written. Those of strangers are left out.
func chunks(head *Head, routes iter.Seq[Route]) iter.Seq[*chunk] {
	return func(yield func(*chunk) bool) {
		neighbours := make(map[federation.NodeID]int, len(head.Neighbours))
		for i := range head.Neighbours {
			neighbours[head.Neighbours[i].Node] = i
		}
		known := make(map[*federation.Attributes]int)
		next := &chunk{}
		for r := range routes {
			from, ok := neighbours[r.Neighbour]
			if !ok {
				continue
			}
			at, ok := known[r.Attributes]
			if !ok {
				at = len(known)
				known[r.Attributes] = at
				next.Attributes = append(next.Attributes, r.Attributes)
			}
			next.Records = append(next.Records, record{Neighbour: from, Attributes: at, NLRI: r.NLRI, PathID: r.PathID, Revisions: r.Revisions})
			if len(next.Records) == chunkSize {
				if !yield(next) {
					return
				}
				next = &chunk{}
			}
		}
		next.Last = true
		yield(next)
	}
}
