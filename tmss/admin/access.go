package admin

import (
	"github.com/mss-federation/mss/pkg/adminapi"
	"github.com/mss-federation/mss/pkg/identity"
	commonv1 "github.com/mss-federation/mss/proto/mss/common/v1"
	exchangev1 "github.com/mss-federation/mss/proto/mss/exchange/v1"
	tmssv1 "github.com/mss-federation/mss/proto/mss/tmss/v1"
)

var (
	operators = []identity.Role{identity.Operator}
	nodes     = []identity.Role{identity.Site, identity.Hub}
)

// Rules has a row for every method that a hub serves.
var Rules = adminapi.Rules{
	tmssv1.Hubs_ListHubs_FullMethodName:        {Roles: operators},
	tmssv1.Hubs_IssueHubToken_FullMethodName:   {Roles: operators, Writes: true},
	tmssv1.Sites_ListSites_FullMethodName:      {Roles: operators},
	tmssv1.Sites_AddSite_FullMethodName:        {Roles: operators, Writes: true},
	tmssv1.Sites_DeleteSite_FullMethodName:     {Roles: operators, Writes: true},
	tmssv1.Sites_IssueSiteToken_FullMethodName: {Roles: operators, Writes: true},
	tmssv1.Routes_ListRoutes_FullMethodName:    {Roles: operators},
	tmssv1.Routes_AddRoute_FullMethodName:      {Roles: operators, Writes: true},
	tmssv1.Routes_DeleteRoute_FullMethodName:   {Roles: operators, Writes: true},
	tmssv1.Routes_ExplainRoute_FullMethodName:  {Roles: operators},
	tmssv1.Routes_WatchRoutes_FullMethodName:   {Roles: operators},
	tmssv1.Node_GetStatus_FullMethodName:       {Roles: operators},
	tmssv1.Traces_TraceCall_FullMethodName:     {Roles: operators},
	commonv1.Peers_ListPeers_FullMethodName:    {Roles: operators},
	commonv1.Audits_ListAudits_FullMethodName:  {Roles: operators},
	commonv1.Logs_GetLogLevel_FullMethodName:   {Roles: operators},
	commonv1.Logs_SetLogLevel_FullMethodName:   {Roles: operators, Writes: true},

	exchangev1.Exchange_Session_FullMethodName: {Roles: nodes},
	tmssv1.Enrolment_Join_FullMethodName:       {Open: true}, // the token says who it is
	tmssv1.Enrolment_Renew_FullMethodName:      {Open: true}, // its certificate may have expired
}
