package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/fault/faultgrpc"
	commonv1 "github.com/mss-federation/mss/proto/mss/common/v1"
	lmssv1 "github.com/mss-federation/mss/proto/mss/lmss/v1"
)

// start is the moment at which the made-up node lives.
var start = time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)

// node answers as a server does; it remembers the last request.
type node struct {
	lmssv1.UnimplementedUsersServer
	lmssv1.UnimplementedRegistrationsServer
	lmssv1.UnimplementedCallsServer
	lmssv1.UnimplementedRecordsServer
	lmssv1.UnimplementedNodeServer
	commonv1.UnimplementedPeersServer
	commonv1.UnimplementedAuditsServer
	commonv1.UnimplementedLogsServer

	socket string
	empty  bool

	mu struct {
		sync.Mutex
		last proto.Message
	}
}

// newNode serves on a socket until the test ends.
func newNode(t *testing.T) *node {
	t.Helper()
	n := &node{}
	n.socket = serve(t, func(r grpc.ServiceRegistrar) {
		lmssv1.RegisterUsersServer(r, n)
		lmssv1.RegisterRegistrationsServer(r, n)
		lmssv1.RegisterCallsServer(r, n)
		lmssv1.RegisterRecordsServer(r, n)
		lmssv1.RegisterNodeServer(r, n)
		commonv1.RegisterPeersServer(r, n)
		commonv1.RegisterAuditsServer(r, n)
		commonv1.RegisterLogsServer(r, n)
	})
	return n
}

// serve serves services on a socket until the test ends.
func serve(t *testing.T, register func(grpc.ServiceRegistrar)) (socket string) {
	t.Helper()
	folder, err := os.MkdirTemp("", "mss")
	if err != nil {
		t.Fatal(err)
	}
	socket = filepath.Join(folder, "admin.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	register(server)
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-done; err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			t.Error(err)
		}
		if err := os.RemoveAll(folder); err != nil {
			t.Error(err)
		}
	})
	return socket
}

func (n *node) seen(m proto.Message) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.mu.last = m
}

func (n *node) last() proto.Message {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.mu.last
}

func notFound(op, name string) error {
	return faultgrpc.Status(fault.New(op, fault.NotFound, name, "there is no such thing"))
}

func (n *node) ListUsers(req *lmssv1.ListUsersRequest, stream grpc.ServerStreamingServer[lmssv1.ListUsersResponse]) error {
	if n.empty {
		return nil
	}
	if req.GetName() == "nobody" {
		return notFound("list users", "nobody")
	}
	for _, u := range []*lmssv1.User{
		{Name: "4001", DisplayName: "Front desk", HasPassword: true},
		{Name: "gateway", Addresses: []string{"192.0.2.7/32", "192.0.2.8/32"}, Target: "udp 192.0.2.7:5060", MaxBindings: 9, Disabled: true, Configured: true},
	} {
		if err := stream.Send(&lmssv1.ListUsersResponse{User: u}); err != nil {
			return err
		}
	}
	return nil
}

func (n *node) AddUser(_ context.Context, req *lmssv1.AddUserRequest) (*lmssv1.AddUserResponse, error) {
	n.seen(req)
	m := &lmssv1.AddUserResponse{User: req.GetUser()}
	if req.GetGeneratePassword() {
		m.Password = "GENERATED"
	}
	return m, nil
}

func (n *node) SetUser(_ context.Context, req *lmssv1.SetUserRequest) (*lmssv1.SetUserResponse, error) {
	n.seen(req)
	m := &lmssv1.SetUserResponse{User: &lmssv1.User{Name: req.GetName()}}
	if req.GetGeneratePassword() {
		m.Password = "GENERATED"
	}
	return m, nil
}

func (n *node) DeleteUser(_ context.Context, req *lmssv1.DeleteUserRequest) (*lmssv1.DeleteUserResponse, error) {
	if req.GetName() == "fixed" {
		return nil, faultgrpc.Status(fault.New("delete user", fault.Conflict, "fixed", "the user comes from the configuration file"))
	}
	return &lmssv1.DeleteUserResponse{RegistrationsRemoved: 2}, nil
}

func (n *node) ListRegistrations(_ *lmssv1.ListRegistrationsRequest, stream grpc.ServerStreamingServer[lmssv1.ListRegistrationsResponse]) error {
	if n.empty {
		return nil
	}
	return stream.Send(&lmssv1.ListRegistrationsResponse{Registration: &lmssv1.Registration{
		User: "4001", Contact: "sip:4001@192.0.2.9", Transport: "tcp", Source: "192.0.2.9:40000", Nat: true, Lost: true, Q: 500,
		UserAgent: "phone\x1b[31m", Expires: timestamppb.New(start.Add(90 * time.Second)),
	}})
}

func (n *node) ListCalls(_ *lmssv1.ListCallsRequest, stream grpc.ServerStreamingServer[lmssv1.ListCallsResponse]) error {
	if n.empty {
		return nil
	}
	return stream.Send(&lmssv1.ListCallsResponse{Call: &lmssv1.Call{
		Id: "06f0call", Phase: "up", Caller: "4001", Called: "4002", Callee: "4002", Recovered: true,
		SetupAt: timestamppb.New(start.Add(-time.Minute)), AnswerAt: timestamppb.New(start.Add(-50 * time.Second)),
		Legs: []*lmssv1.Leg{{CallId: "a", User: "4001"}, {CallId: "b", User: "4002", Held: true}},
	}})
}

func (n *node) HangupCall(_ context.Context, req *lmssv1.HangupCallRequest) (*lmssv1.HangupCallResponse, error) {
	if req.GetId() != "06f0" {
		return nil, notFound("hang up call", req.GetId())
	}
	return &lmssv1.HangupCallResponse{Id: "06f0call"}, nil
}

func (n *node) TraceCall(_ *lmssv1.TraceCallRequest, stream grpc.ServerStreamingServer[lmssv1.TraceCallResponse]) error {
	for i, line := range []string{"INVITE sip:4002@example.org SIP/2.0", "SIP/2.0 200 OK"} {
		err := stream.Send(&lmssv1.TraceCallResponse{Entry: &commonv1.TraceEntry{
			At: timestamppb.New(start), Out: i == 1, Transport: "udp", Local: "192.0.2.1:5060", Remote: "192.0.2.9:5062", CallId: "a",
			LocalName: "london", RemoteName: "4001",
			Message: fmt.Appendf(nil, "%s\r\nCall-ID: a\r\nCSeq: 1 INVITE\r\nSubject: \x1b[31m\xff\r\n\r\n", line),
		}})
		if err != nil {
			return err
		}
	}
	return nil
}

func (n *node) ListRecords(req *lmssv1.ListRecordsRequest, stream grpc.ServerStreamingServer[lmssv1.ListRecordsResponse]) error {
	n.seen(req)
	if n.empty {
		return nil
	}
	return stream.Send(&lmssv1.ListRecordsResponse{Record: &lmssv1.Record{
		Id: "06f0call", Caller: "4001", Called: "4002", Callee: "4002", Status: 200, End: "completed", Reason: "hang-up", ReleasedBy: "caller",
		SetupAt: timestamppb.New(start), AnswerAt: timestamppb.New(start.Add(time.Second)), EndAt: timestamppb.New(start.Add(3500 * time.Millisecond)),
		Duration: durationpb.New(2500 * time.Millisecond), CallerVoice: &lmssv1.Voice{Sent: 125, Received: 124},
	}})
}

func (n *node) GetStatus(context.Context, *lmssv1.GetStatusRequest) (*lmssv1.GetStatusResponse, error) {
	return &lmssv1.GetStatusResponse{Status: &lmssv1.Status{
		Site: "london", Realm: "london.example.org", Version: "v1", Commit: "abc", Started: timestamppb.New(start), Uptime: durationpb.New(90 * time.Second),
		Processes: []*commonv1.Process{{Name: "supervisor", Pid: 10}, {Name: "media"}}, Listeners: []string{"udp 192.0.2.1:5060"},
		Users: 2, Registrations: 1, Calls: 1, Counters: []*commonv1.Counter{{Name: "sip_requests_total", Value: 7}},
		Alarms: []string{"the media process does not run: see its log"},
	}}, nil
}

func (n *node) ListPeers(_ *commonv1.ListPeersRequest, to grpc.ServerStreamingServer[commonv1.ListPeersResponse]) error {
	if n.empty {
		return nil
	}
	return stream(to,
		&commonv1.ListPeersResponse{Peer: &commonv1.Peer{
			Node: "hub/a", Session: commonv1.Session_SESSION_UP, Since: ago(time.Hour), Trunk: "alive", TrunkAddress: "tls 192.0.2.1:5061",
			Address: "192.0.2.1:5443", Sessions: 1, Software: "tmss v1", Preference: 1,
		}},
		&commonv1.ListPeersResponse{Peer: &commonv1.Peer{Node: "hub/static", Trunk: "alive", TrunkAddress: "udp 192.0.2.2:5060"}})
}

func (n *node) ListAudits(req *commonv1.ListAuditsRequest, to grpc.ServerStreamingServer[commonv1.ListAuditsResponse]) error {
	if n.empty {
		return nil
	}
	records := []*commonv1.ListAuditsResponse{
		{Audit: &commonv1.Audit{At: ago(time.Second), Who: "ann", What: "add site london", Refused: "no quorum"}},
		{Audit: &commonv1.Audit{At: ago(time.Minute), Who: "root (uid 0, pid 7)", What: "delete user 4003", Before: "{}"}},
		{Audit: &commonv1.Audit{At: ago(time.Hour), Who: "root (uid 0, pid 6)", What: "set user 4003 with a new password", Before: "{}", After: `{"name":"4003"}`}},
		{Audit: &commonv1.Audit{At: ago(time.Hour), Who: "root (uid 0, pid 5)", What: "add user 4003", After: "{}"}},
		{Audit: &commonv1.Audit{At: ago(time.Hour), Who: "root (uid 0, pid 4)", What: "make token for site london"}},
	}
	return stream(to, records[:min(len(records), int(req.GetLimit()))]...)
}

func (*node) GetLogLevel(context.Context, *commonv1.GetLogLevelRequest) (*commonv1.GetLogLevelResponse, error) {
	return &commonv1.GetLogLevelResponse{Level: "info"}, nil
}

func (*node) SetLogLevel(_ context.Context, req *commonv1.SetLogLevelRequest) (*commonv1.SetLogLevelResponse, error) {
	if req.GetLevel() != "debug" {
		return nil, faultgrpc.Status(fault.New("set log level", fault.Invalid, req.GetLevel(), "choose one of debug, info"))
	}
	return &commonv1.SetLogLevelResponse{Before: "info", Level: "debug", Processes: []string{"signal", "media"}}, nil
}
