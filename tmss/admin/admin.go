// Package admin is a hub's gRPC API for operators, served on a Unix socket to the hub's own user and to root, and on
// the hub's gRPC port to holders of an operator's certificate. It turns requests into calls on the directory, the
// route table and the neighbours, and writes the audit record of every change before it happens. It owns none of
// these and decides nothing about calls.
//
// Each noun is a file with its service; access.go says which method needs what. Start at [New].
package admin

import (
	"context"
	"log/slog"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/mss-federation/mss/pkg/adminapi"
	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/identity"
	"github.com/mss-federation/mss/pkg/nodelink"
	"github.com/mss-federation/mss/pkg/siptransport"
	"github.com/mss-federation/mss/pkg/tracering"
	commonv1 "github.com/mss-federation/mss/proto/mss/common/v1"
	tmssv1 "github.com/mss-federation/mss/proto/mss/tmss/v1"
	"github.com/mss-federation/mss/tmss/discovery"
	"github.com/mss-federation/mss/tmss/peering"
	"github.com/mss-federation/mss/tmss/routetable"
)

// Directory is what all hubs share. *discovery.Directory is one.
type Directory interface {
	View() *discovery.View
	Status() discovery.Status
	PutSite(ctx context.Context, site discovery.Site, by string) error
	DeleteSite(ctx context.Context, id federation.SiteID, seen int64) error
	PutRoute(ctx context.Context, route discovery.Route, by string) error
	DeleteRoute(ctx context.Context, id string, seen int64) error
}

// Peers are the neighbours. *peering.Peering is one.
type Peers interface {
	Peers() []peering.Peer
	Peer(id federation.NodeID) peering.Peer
	// TableChanged is closed at the next change of the route table.
	TableChanged() <-chan struct{}
}

// Links are the trunks. *nodelink.Links is one.
type Links interface {
	Best(node federation.NodeID) (nodelink.Link, bool)
	Nodes() map[federation.NodeID][]nodelink.Link
	Node(flow siptransport.Flow) (federation.NodeID, bool)
}

// Audit writes the records of changes. *audit.Log is one.
type Audit interface {
	Append(record adminapi.Record) error
	// Refuse says that the change of a record did not happen.
	Refuse(record adminapi.Record, why error) error
	// List calls each with the records made at or after since, newest first, at most limit.
	List(since time.Time, limit int, each func(record adminapi.Record, refused string) error) error
}

// Options are what the API speaks for. All fields but Level, Trace and Configured are required.
type Options struct {
	Logger    *slog.Logger
	Level     *slog.LevelVar // of Logger; nil: it cannot be changed
	Hub       federation.HubID
	Domain    federation.Domain
	Directory Directory
	Table     *routetable.Table
	Peers     Peers
	Links     Links
	Audit     Audit
	// Configured are the sites of this hub's own configuration file.
	Configured []discovery.Site
	// Token makes a join token for a node and says when it ends.
	Token func(ctx context.Context, node identity.Node, by string) (text string, expires time.Time, err error)
	// Breaker says what stands before a trunk: closed, open, probing.
	Breaker func(siptransport.Flow) string
	// Trace may be nil: then no call has a trace.
	Trace *tracering.Ring
	// Status gives what only the process knows. The API fills in what it can count itself.
	Status func() Status
}

// API is the services. It serves on as many servers as there are ways in.
type API struct{ options Options }

// New makes the API.
func New(options Options) *API { return &API{options: options} }

// Register registers the services with a server.
func (a *API) Register(r grpc.ServiceRegistrar) {
	tmssv1.RegisterHubsServer(r, &hubs{api: a})
	tmssv1.RegisterSitesServer(r, &sites{api: a})
	tmssv1.RegisterRoutesServer(r, &routes{api: a})
	tmssv1.RegisterNodeServer(r, &node{api: a})
	tmssv1.RegisterTracesServer(r, &traces{api: a})
	commonv1.RegisterPeersServer(r, &peers{api: a})
	commonv1.RegisterAuditsServer(r, &adminapi.Audits{List: a.listAudits})
	commonv1.RegisterLogsServer(r, &adminapi.Logs{
		Process: "hub", Level: a.options.Level, Logger: a.options.Logger,
		Change: func(ctx context.Context, what string, before, after proto.Message, do func() error) error {
			return a.change(ctx, what, before, after, func(string) error { return do() })
		},
	})
}

// node is the identity of another node of the domain.
func (o *Options) node(role identity.Role, id string) identity.Node {
	return identity.Node{Domain: string(o.Domain), Role: role, ID: id}
}
