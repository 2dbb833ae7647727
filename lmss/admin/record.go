package admin

import (
	"cmp"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/mss-federation/mss/lmss/cdr"
	"github.com/mss-federation/mss/lmss/store"
	"github.com/mss-federation/mss/pkg/adminapi"
	lmssv1 "github.com/mss-federation/mss/proto/mss/lmss/v1"
)

// records serves mss.lmss.v1.Records.
type records struct {
	lmssv1.UnimplementedRecordsServer
	server *Server
}

// recordsAtATime is how many records are in memory for one list.
const recordsAtATime = 2000

// ListRecords gives the records of ended calls, newest first, as many as were asked for. The store is read in parts.
func (s *records) ListRecords(req *lmssv1.ListRecordsRequest, stream grpc.ServerStreamingServer[lmssv1.ListRecordsResponse]) error {
	filter := store.RecordFilter{Since: timeOf(req.GetSince()), Until: timeOf(req.GetUntil()), User: req.GetUser()}
	for left := int(cmp.Or(req.GetLimit(), store.DefaultListLimit)); left > 0; {
		filter.Limit = min(left, recordsAtATime)
		list, err := s.server.options.Records.QueryCDRs(filter)
		if err != nil {
			return err
		}
		for i := range list {
			if err := stream.Send(&lmssv1.ListRecordsResponse{Record: recordMessage(&list[i])}); err != nil {
				return err
			}
		}
		if len(list) < filter.Limit {
			return nil
		}
		left -= len(list)
		filter.Older = &list[len(list)-1]
	}
	return nil
}

func recordMessage(r *cdr.Record) *lmssv1.Record {
	m := &lmssv1.Record{
		Id: string(r.ID), SessionId: adminapi.Text(string(r.SessionID)), CallId: adminapi.Text(r.CallID),
		Caller: adminapi.Text(r.Caller), Called: adminapi.Text(r.Called), Callee: adminapi.Text(r.Callee),
		Source: r.Source, Destination: r.Destination,
		SetupAt: adminapi.Time(r.SetupAt), RingAt: adminapi.Time(r.RingAt),
		AnswerAt: adminapi.Time(r.AnswerAt), EndAt: adminapi.Time(r.EndAt), Duration: durationpb.New(r.Duration()),
		Status: uint32(r.Status), End: string(r.Termination.Class), Reason: adminapi.Text(r.Termination.Reason),
		ReleasedBy: string(r.Termination.By), Recovered: r.Recovered, Unprotected: r.Unprotected,
		CallerVoice: voiceMessage(r.CallerVoice), CalleeVoice: voiceMessage(r.CalleeVoice),
	}
	for _, id := range r.LegCallIDs {
		m.LegCallIds = append(m.LegCallIds, adminapi.Text(id))
	}
	return m
}

// voiceMessage is absent for a leg without voice.
func voiceMessage(v cdr.Voice) *lmssv1.Voice {
	if v == (cdr.Voice{}) {
		return nil
	}
	return &lmssv1.Voice{Sent: v.Sent, Received: v.Received, Lost: v.Lost, Jitter: durationpb.New(v.Jitter), Codec: adminapi.Text(v.Codec)}
}
