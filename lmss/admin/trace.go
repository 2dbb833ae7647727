package admin

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/grpc"

	"github.com/mss-federation/mss/lmss/store"
	"github.com/mss-federation/mss/pkg/adminapi"
	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/tracering"
	lmssv1 "github.com/mss-federation/mss/proto/mss/lmss/v1"
)

// recentRecords is how far back a call is looked for among those that have ended. The ring holds fewer.
const recentRecords = 2000

// TraceCall gives the messages of a call.
func (s *calls) TraceCall(req *lmssv1.TraceCallRequest, stream grpc.ServerStreamingServer[lmssv1.TraceCallResponse]) error {
	const op = "trace call"
	wanted, err := s.callIDs(stream.Context(), op, req.GetId())
	if err != nil {
		return err
	}
	entries := s.server.options.Trace.Find(func(callID string) bool { return wanted[callID] })
	if len(entries) == 0 {
		return s.noMessages(op, req.GetId(), len(wanted) > 1)
	}
	names := tracering.Names(entries, string(s.server.options.Site))
	for i := range entries {
		if err := stream.Send(&lmssv1.TraceCallResponse{Entry: adminapi.TraceEntry(&entries[i], names)}); err != nil {
			return err
		}
	}
	return nil
}

// callIDs are the Call-IDs of all legs of the call that id means: a live one, one that has ended, or just
// the dialog of that Call-ID.
func (s *calls) callIDs(ctx context.Context, op, id string) (map[string]bool, error) {
	if id == "" {
		return nil, fault.New(op, fault.Invalid, "", "which call? `mssctl call list` and `mssctl cdr list` name them")
	}
	wanted := map[string]bool{id: true}
	live, err := s.server.live(ctx)
	if err != nil {
		return nil, err
	}
	for i := range live {
		call := &live[i]
		var legs []string
		for _, l := range call.Legs {
			legs = append(legs, l.CallID)
		}
		collect(wanted, id, call.ID, string(call.SessionID), legs)
	}
	recent, err := s.server.options.Records.QueryCDRs(store.RecordFilter{Limit: recentRecords})
	if err != nil {
		return nil, err
	}
	for i := range recent {
		record := &recent[i]
		collect(wanted, id, string(record.ID), string(record.SessionID), append([]string{record.CallID}, record.LegCallIDs...))
	}
	return wanted, nil
}

// collect adds the legs of a call if id means it. Several calls may share a Session-ID: they belong together.
func collect(wanted map[string]bool, id, callID, session string, legs []string) {
	meant := callID == id || session == id || len(id) >= shortestID && strings.HasPrefix(callID, id)
	if !meant && !slices.Contains(legs, id) {
		return
	}
	for _, leg := range legs {
		wanted[leg] = true
	}
}

// noMessages says why there is nothing to show.
func (s *calls) noMessages(op, id string, known bool) error {
	_, size, _ := s.server.options.Trace.Usage()
	switch {
	case size == 0:
		return fault.New(op, fault.Unavailable, id, "the trace ring is off: set trace.bytes in the configuration and restart the server")
	case known:
		return fault.New(op, fault.NotFound, id,
			fmt.Sprintf("the call is known, but its messages have left the trace ring of %d bytes: trace.bytes makes it larger", size))
	}
	return fault.New(op, fault.NotFound, id, "no call, Call-ID or Session-ID is known by this; `mssctl call list` and `mssctl cdr list` name them")
}
