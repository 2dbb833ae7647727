package admin

import (
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	commonv1 "github.com/mss-federation/mss/proto/mss/common/v1"
	lmssv1 "github.com/mss-federation/mss/proto/mss/lmss/v1"
)

// Every method that changes something leaves exactly one audit record; a new one without a row here fails.
func TestAuditRecord(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.calls.set(nil, callInfo("call1", s.now))
	steps := []struct {
		method, what string
		request      proto.Message
		response     proto.Message
	}{
		{
			lmssv1.Users_AddUser_FullMethodName, "add user 4001 with a new password",
			&lmssv1.AddUserRequest{User: &lmssv1.User{Name: "4001"}, Password: password}, &lmssv1.AddUserResponse{},
		},
		{
			lmssv1.Users_SetUser_FullMethodName, "set user 4001",
			&lmssv1.SetUserRequest{Name: "4001", DisplayName: new("Front desk")}, &lmssv1.SetUserResponse{},
		},
		{lmssv1.Calls_HangupCall_FullMethodName, "hang up call call1", &lmssv1.HangupCallRequest{Id: "call1"}, &lmssv1.HangupCallResponse{}},
		{commonv1.Logs_SetLogLevel_FullMethodName, "set log level debug", &commonv1.SetLogLevelRequest{Level: "debug"}, &commonv1.SetLogLevelResponse{}},
		{lmssv1.Users_DeleteUser_FullMethodName, "delete user 4001", &lmssv1.DeleteUserRequest{Name: "4001"}, &lmssv1.DeleteUserResponse{}},
	}
	tried := map[string]bool{}
	for i, step := range steps {
		tried[step.method] = true
		if err := s.conn.Invoke(t.Context(), step.method, step.request, step.response, grpc.WaitForReady(true)); err != nil {
			t.Fatalf("%s: %v", step.method, err)
		}
		audits := s.audits(t)
		if len(audits) != i+1 || audits[0].What != step.what || !strings.Contains(audits[0].Who, "uid ") {
			t.Errorf("%s left %d records, the last %+v; want %q", step.method, len(audits), audits[0], step.what)
		}
	}
	for method, needs := range rules {
		if needs.Writes && !tried[method] {
			t.Errorf("%s changes something and is not tried here", method)
		}
	}
	if err := s.store.VerifyAudit(); err != nil {
		t.Errorf("the chain of records: %v", err)
	}
}
