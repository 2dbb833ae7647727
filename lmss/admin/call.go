package admin

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"

	"github.com/mss-federation/mss/pkg/adminapi"
	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/siptransport"
	lmssv1 "github.com/mss-federation/mss/proto/mss/lmss/v1"
)

// Calls are the site's live calls. Both methods may wait for the calls' owners until ctx ends.
type Calls interface {
	// Live is a picture of the calls, in no order.
	Live(ctx context.Context) ([]CallInfo, error)
	// Hangup begins to end a call; a fault.NotFound if there is none of that id any more.
	Hangup(ctx context.Context, id string) error
}

// CallInfo is one live call at one moment. Zero times mean that it has not happened.
type CallInfo struct {
	ID        string
	SessionID federation.SessionID
	Phase     string // setup, answering, up or over
	Caller    string
	Called    string
	Callee    string // who answered, or rings

	SetupAt, RingAt, AnswerAt time.Time

	Recovered   bool // lived through a restart of the signalling process
	Unprotected bool // its 200 left before the store had it
	Legs        []LegInfo
}

// LegInfo is one dialog of a call; the caller's is the first.
type LegInfo struct {
	CallID string
	User   federation.User // at the far end
	Flow   siptransport.Flow
	State  string // trying, ringing, up or ended
	Held   bool   // by the far end
}

// ownersTimeout bounds how long a request waits for the workers that own the calls.
const ownersTimeout = 2 * time.Second

// shortestID is the shortest beginning of a call's id that stands for it.
const shortestID = 4

// calls serves mss.lmss.v1.Calls.
type calls struct {
	lmssv1.UnimplementedCallsServer
	server *Server
}

// live asks for the calls, oldest first.
func (s *Server) live(ctx context.Context) ([]CallInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, ownersTimeout)
	defer cancel()
	list, err := s.options.Calls.Live(ctx)
	if err != nil {
		return nil, fmt.Errorf("list calls: %w", err)
	}
	slices.SortFunc(list, func(a, b CallInfo) int { return cmp.Or(a.SetupAt.Compare(b.SetupAt), cmp.Compare(a.ID, b.ID)) })
	return list, nil
}

// ListCalls gives the live calls.
func (s *calls) ListCalls(req *lmssv1.ListCallsRequest, stream grpc.ServerStreamingServer[lmssv1.ListCallsResponse]) error {
	list, err := s.server.live(stream.Context())
	if err != nil {
		return err
	}
	for i := range list {
		if u := req.GetUser(); u != "" && u != list[i].Caller && u != list[i].Called && u != list[i].Callee {
			continue
		}
		if err := stream.Send(&lmssv1.ListCallsResponse{Call: callMessage(&list[i])}); err != nil {
			return err
		}
	}
	return nil
}

// HangupCall ends a call. The audit record is written before: nobody hangs up unseen.
func (s *calls) HangupCall(ctx context.Context, req *lmssv1.HangupCallRequest) (*lmssv1.HangupCallResponse, error) {
	list, err := s.server.live(ctx)
	if err != nil {
		return nil, err
	}
	call, err := callByID("hang up call", list, req.GetId())
	if err != nil {
		return nil, err
	}
	record, err := audit(ctx, "hang up call "+call.ID, callMessage(call), nil)
	if err != nil {
		return nil, err
	}
	if err := s.server.options.Store.AppendAudit(record); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, ownersTimeout)
	defer cancel()
	if err := s.server.options.Calls.Hangup(ctx, call.ID); err != nil {
		return nil, err
	}
	return &lmssv1.HangupCallResponse{Id: call.ID}, nil
}

// callByID finds the call of an id or of the beginning of one.
func callByID(op string, list []CallInfo, id string) (*CallInfo, error) {
	var found *CallInfo
	for i := range list {
		call := &list[i]
		if call.ID == id {
			return call, nil
		}
		if len(id) < shortestID || !strings.HasPrefix(call.ID, id) {
			continue
		}
		if found != nil {
			return nil, fault.New(op, fault.Invalid, id, fmt.Sprintf("several calls begin so, such as %s and %s: give more of the id", found.ID, call.ID))
		}
		found = call
	}
	if found == nil {
		return nil, fault.New(op, fault.NotFound, id, "no live call has this id; `mssctl call list` names them")
	}
	return found, nil
}

func callMessage(c *CallInfo) *lmssv1.Call {
	m := &lmssv1.Call{
		Id: c.ID, SessionId: adminapi.Text(string(c.SessionID)), Phase: c.Phase,
		Caller: adminapi.Text(c.Caller), Called: adminapi.Text(c.Called), Callee: adminapi.Text(c.Callee),
		SetupAt: adminapi.Time(c.SetupAt), RingAt: adminapi.Time(c.RingAt), AnswerAt: adminapi.Time(c.AnswerAt),
		Recovered: c.Recovered, Unprotected: c.Unprotected,
	}
	for _, l := range c.Legs {
		m.Legs = append(m.Legs, &lmssv1.Leg{
			CallId: adminapi.Text(l.CallID), User: adminapi.Text(string(l.User)), Transport: l.Flow.Transport.Param(),
			Remote: adminapi.Address(l.Flow.Remote), Local: adminapi.Address(l.Flow.Local), State: l.State, Held: l.Held,
		})
	}
	return m
}
