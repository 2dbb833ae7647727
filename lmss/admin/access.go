package admin

import (
	"github.com/mss-federation/mss/pkg/adminapi"
	"github.com/mss-federation/mss/pkg/identity"
	commonv1 "github.com/mss-federation/mss/proto/mss/common/v1"
	lmssv1 "github.com/mss-federation/mss/proto/mss/lmss/v1"
)

var operators = []identity.Role{identity.Operator}

// rules has a row for every method.
var rules = adminapi.Rules{
	lmssv1.Users_ListUsers_FullMethodName:                 {Roles: operators},
	lmssv1.Users_AddUser_FullMethodName:                   {Roles: operators, Writes: true},
	lmssv1.Users_SetUser_FullMethodName:                   {Roles: operators, Writes: true},
	lmssv1.Users_DeleteUser_FullMethodName:                {Roles: operators, Writes: true},
	lmssv1.Registrations_ListRegistrations_FullMethodName: {Roles: operators},
	lmssv1.Calls_ListCalls_FullMethodName:                 {Roles: operators},
	lmssv1.Calls_HangupCall_FullMethodName:                {Roles: operators, Writes: true},
	lmssv1.Calls_TraceCall_FullMethodName:                 {Roles: operators},
	lmssv1.Records_ListRecords_FullMethodName:             {Roles: operators},
	lmssv1.Node_GetStatus_FullMethodName:                  {Roles: operators},
	commonv1.Peers_ListPeers_FullMethodName:               {Roles: operators},
	commonv1.Audits_ListAudits_FullMethodName:             {Roles: operators},
	commonv1.Logs_GetLogLevel_FullMethodName:              {Roles: operators},
	commonv1.Logs_SetLogLevel_FullMethodName:              {Roles: operators, Writes: true},
}
