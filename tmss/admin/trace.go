package admin

import (
	"bytes"
	"fmt"
	"net/netip"

	"google.golang.org/grpc"

	"github.com/mss-federation/mss/pkg/adminapi"
	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/tracering"
	tmssv1 "github.com/mss-federation/mss/proto/mss/tmss/v1"
)

// traces serves mss.tmss.v1.Traces.
type traces struct {
	tmssv1.UnimplementedTracesServer
	api *API
}

// sessionIDLength is that of RFC 7989.
const sessionIDLength = 32

// TraceCall gives the messages of a call.
func (s *traces) TraceCall(req *tmssv1.TraceCallRequest, stream grpc.ServerStreamingServer[tmssv1.TraceCallResponse]) error {
	const op = "trace call"
	ring := s.api.options.Trace
	_, size, _ := ring.Usage()
	switch {
	case req.GetId() == "":
		return fault.New(op, fault.Invalid, "", "which call? `mssctl call list` on an office's server names calls and their Call-IDs")
	case size == 0:
		return fault.New(op, fault.Unavailable, req.GetId(), "the trace ring is off: set trace.bytes in the configuration and restart the hub")
	}
	entries := s.find(req.GetId())
	if len(entries) == 0 {
		return fault.New(op, fault.NotFound, req.GetId(),
			fmt.Sprintf("no message of this Call-ID or Session-ID is in the trace ring of %d bytes: the call took another hub, or trace.bytes is too small", size))
	}
	names := s.names(entries)
	for i := range entries {
		if err := stream.Send(&tmssv1.TraceCallResponse{Entry: adminapi.TraceEntry(&entries[i], names)}); err != nil {
			return err
		}
	}
	return nil
}

// find looks for a Call-ID, else for all calls of a Session-ID.
func (s *traces) find(id string) []tracering.Entry {
	wanted := map[string]bool{id: true}
	if len(id) == sessionIDLength {
		for _, e := range s.api.options.Trace.Find(func(string) bool { return true }) {
			if bytes.Contains(e.Message, []byte(id)) {
				wanted[e.CallID] = true
			}
		}
	}
	return s.api.options.Trace.Find(func(callID string) bool { return wanted[callID] })
}

// names are those of the nodes at the ends of the links.
func (s *traces) names(entries []tracering.Entry) func(netip.AddrPort) string {
	known := map[netip.AddrPort]string{}
	for i := range entries {
		flow := entries[i].Flow
		known[flow.Local] = "hub " + string(s.api.options.Hub)
		if node, ok := s.api.options.Links.Node(flow); ok {
			known[flow.Remote] = string(node)
		}
	}
	return func(a netip.AddrPort) string { return known[a] }
}
