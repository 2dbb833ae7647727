package exchange

import (
	"google.golang.org/protobuf/proto"

	"github.com/mss-federation/mss/pkg/federation"
	exchangev1 "github.com/mss-federation/mss/proto/mss/exchange/v1"
)

// batch is one Update in the making. Routes with the same attributes name them once.
type batch struct {
	s      *Session
	update exchangev1.Update
	index  map[*federation.Attributes]uint32
	size   int
	limit  int
}

// overhead is what a field of a message costs beyond its content, at most.
const overhead = 8

func (s *Session) newBatch() *batch {
	return &batch{
		s: s, index: make(map[*federation.Attributes]uint32), size: 4 * overhead,
		limit: int(min(s.out.credit, MaxBatch)) - int(s.peer.MaxPaths)*maxRoute,
	}
}

// full says that the paths of the next NLRI might not fit.
func (b *batch) full() bool { return b.size >= b.limit }

// put adds what the neighbour shall now have of an NLRI, of which it had so many paths.
func (b *batch) put(n federation.NLRI, routes []federation.Route, had uint32, cause federation.Cause) {
	count := uint32(0)
	for i := range routes {
		if count < b.s.peer.MaxPaths && b.announce(&routes[i], count+1, cause) {
			count++
		}
	}
	if had > count {
		w := &exchangev1.Withdraw{Nlri: encodeNLRI(n, b.s.config.Domain), PathId: count + 1, Cause: encodeCause(cause)}
		b.update.Withdraw = append(b.update.Withdraw, w)
		b.size += proto.Size(w) + overhead
		b.s.stats.WithdrawnOut++
	}
}

// announce adds a path, unless it is larger than a route may be.
func (b *batch) announce(r *federation.Route, pathID uint32, cause federation.Cause) bool {
	index, known := b.index[r.Attributes]
	size := overhead
	var attributes *exchangev1.Attributes
	if !known {
		attributes, index = encodeAttributes(r.Attributes), uint32(len(b.update.Attributes))
		size += proto.Size(attributes) + overhead
	}
	a := &exchangev1.Announce{
		Nlri: encodeNLRI(r.NLRI, b.s.config.Domain), PathId: pathID, Attributes: index, Revisions: r.Revisions, Cause: encodeCause(cause),
	}
	announce := proto.Size(a)
	if announce > maxAnnounce || size > MaxAttributes {
		b.s.stats.Oversized++
		return false
	}
	if !known {
		b.index[r.Attributes] = index
		b.update.Attributes = append(b.update.Attributes, attributes)
	}
	b.update.Announce = append(b.update.Announce, a)
	b.size += size + announce
	b.s.stats.AnnouncedOut++
	return true
}

// send sends the batch, unless it says nothing.
func (b *batch) send(version uint64) {
	if len(b.update.Announce) == 0 && len(b.update.Withdraw) == 0 {
		return
	}
	b.update.Version = version
	b.s.mustPay(&exchangev1.Frame{Kind: &exchangev1.Frame_Update{Update: &b.update}})
}
