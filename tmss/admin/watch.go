package admin

import (
	"google.golang.org/grpc"

	"github.com/mss-federation/mss/pkg/fault"
	tmssv1 "github.com/mss-federation/mss/proto/mss/tmss/v1"
	"github.com/mss-federation/mss/tmss/routetable"
)

// watchChunk is how many changes are read at a time.
const watchChunk = 1024

// WatchRoutes gives the table, and then its changes for as long as the reader stays. Changes of one range that come
// while the reader is busy come as one.
func (s *routes) WatchRoutes(req *tmssv1.WatchRoutesRequest, stream grpc.ServerStreamingServer[tmssv1.WatchRoutesResponse]) error {
	changed := s.api.options.Peers.TableChanged()
	snapshot := s.api.options.Table.Snapshot()
	for entry := range snapshot.All() {
		if wanted(entry.NLRI, req.GetPrefix()) {
			if err := stream.Send(watched(entry, tmssv1.WatchRoutesResponse_CHANGE_PRESENT)); err != nil {
				return err
			}
		}
	}
	err := stream.Send(&tmssv1.WatchRoutesResponse{Change: tmssv1.WatchRoutesResponse_CHANGE_SYNCED, Revision: snapshot.Revision()})
	for seen := snapshot.Revision(); err == nil; {
		select {
		case <-stream.Context().Done():
			return stream.Context().Err()
		case <-changed:
		}
		changed = s.api.options.Peers.TableChanged()
		seen, err = s.tell(req.GetPrefix(), seen, stream)
	}
	return err
}

func watched(entry *routetable.Entry, change tmssv1.WatchRoutesResponse_Change) *tmssv1.WatchRoutesResponse {
	return &tmssv1.WatchRoutesResponse{Change: change, Prefix: entry.NLRI.Pattern(), Paths: entryMessages(entry), Revision: entry.Revision}
}

// tell sends what changed after a revision and returns the one that the reader has then.
func (s *routes) tell(prefix string, seen uint64, stream grpc.ServerStreamingServer[tmssv1.WatchRoutesResponse]) (uint64, error) {
	table := s.api.options.Table
	snapshot := table.Snapshot()
	buf := make([]routetable.Changed, 0, watchChunk)
	for seen < snapshot.Revision() {
		list, ok := table.Changes(seen, snapshot.Revision(), buf[:0])
		if !ok {
			return seen, fault.New("watch routes", fault.Exhausted, "", "the table changes faster than this reader reads: watch again")
		}
		for i := range list {
			c := &list[i]
			seen = c.Revision
			entry := snapshot.Get(c.NLRI)
			if !wanted(c.NLRI, prefix) || entry != nil && entry.Revision > c.Revision {
				continue // a later change of the same range tells all
			}
			m := &tmssv1.WatchRoutesResponse{Change: tmssv1.WatchRoutesResponse_CHANGE_GONE, Prefix: c.NLRI.Pattern(), Revision: c.Revision}
			if entry != nil {
				m = watched(entry, tmssv1.WatchRoutesResponse_CHANGE_SET)
			}
			if err := stream.Send(m); err != nil {
				return seen, err
			}
		}
		if len(list) == 0 {
			break
		}
	}
	return seen, nil
}
