package admin

import (
	"github.com/mss-federation/mss/pkg/adminapi"
	commonv1 "github.com/mss-federation/mss/proto/mss/common/v1"
	lmssv1 "github.com/mss-federation/mss/proto/mss/lmss/v1"
)

// rules has a row for every method. The API is served on the Unix socket alone.
var rules = adminapi.Rules{
	lmssv1.Users_ListUsers_FullMethodName:                 {},
	lmssv1.Users_AddUser_FullMethodName:                   {Writes: true},
	lmssv1.Users_SetUser_FullMethodName:                   {Writes: true},
	lmssv1.Users_DeleteUser_FullMethodName:                {Writes: true},
	lmssv1.Registrations_ListRegistrations_FullMethodName: {},
	lmssv1.Calls_ListCalls_FullMethodName:                 {},
	lmssv1.Calls_HangupCall_FullMethodName:                {Writes: true},
	lmssv1.Calls_TraceCall_FullMethodName:                 {},
	lmssv1.Records_ListRecords_FullMethodName:             {},
	lmssv1.Node_GetStatus_FullMethodName:                  {},
	commonv1.Peers_ListPeers_FullMethodName:               {},
	commonv1.Audits_ListAudits_FullMethodName:             {},
	commonv1.Logs_GetLogLevel_FullMethodName:              {},
	commonv1.Logs_SetLogLevel_FullMethodName:              {Writes: true},
}
