// Package admin is the site's gRPC API for operators, served on a Unix socket to the server's own user and
// to root, and over the network, where that is wanted, to holders of an operator's certificate. It turns requests into
// calls on the directory, registrar, store, calls and trace ring, and writes the audit record of every change. It owns
// none of these and decides nothing about calls.
//
// Each noun is a file with its service; access.go says which method needs what. Start at [New] and
// [Server.Run].
package admin

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"

	"github.com/mss-federation/mss/lmss/cdr"
	"github.com/mss-federation/mss/lmss/registrar"
	"github.com/mss-federation/mss/lmss/store"
	"github.com/mss-federation/mss/lmss/user"
	"github.com/mss-federation/mss/pkg/adminapi"
	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/tracering"
	commonv1 "github.com/mss-federation/mss/proto/mss/common/v1"
	lmssv1 "github.com/mss-federation/mss/proto/mss/lmss/v1"
)

// Store writes what operators change. Each change and its audit record are one transaction.
type Store interface {
	PutUser(u user.User, audit store.Audit) error
	DeleteUser(name federation.User, audit store.Audit) error
	AppendAudit(audit store.Audit) error
}

// Records finds the records of ended calls.
type Records interface {
	QueryCDRs(filter store.RecordFilter) ([]cdr.Record, error)
}

// Audits finds the records of changes, newest first.
type Audits interface {
	LoadAudit(limit int) ([]store.Audit, error)
}

// Bindings stores what changed in the registrar. It does not wait for the disk.
type Bindings interface {
	SaveBindings(changes []registrar.Change, done func(error)) error
}

// Options are what the API speaks for. All fields but Trace, Level and LevelFollowers are required; where the store is
// off, [StoreOff] stands for it.
type Options struct {
	Logger    *slog.Logger
	Site      federation.SiteID
	Realm     string // passwords are made for it
	Users     *user.Directory
	Registrar *registrar.Registrar
	Calls     Calls
	Store     Store
	Records   Records
	Bindings  Bindings
	Audits    Audits
	// Level is that of Logger; nil: it cannot be changed. LevelFollowers are the office's other processes.
	Level          *slog.LevelVar
	LevelFollowers []adminapi.LevelFollower
	// Peers lists the hubs of the uplink, in the order of preference.
	Peers func() []*commonv1.Peer
	// Trace may be nil: then no call has a trace.
	Trace *tracering.Ring
	// Status gives what only the process knows: versions, processes, listeners, counters, alarms. The
	// API fills in the counts of users, registrations and calls.
	Status func(ctx context.Context) Status
}

// Server is the API.
type Server struct {
	*adminapi.Server
	options Options
	// writes makes changes of users one after the other: what was checked is what is written.
	writes sync.Mutex
}

// New makes the API; it serves nothing before Run. It panics when a method has no access rule, which a
// test shows before an operator can.
func New(options Options) *Server {
	s := &Server{options: options}
	s.Server = adminapi.New(adminapi.Options{Logger: options.Logger, Rules: rules, Register: s.register})
	return s
}

// Remote makes a server of the same API for callers on the network, whom their certificates name.
func (s *Server) Remote(creds credentials.TransportCredentials) *adminapi.Server {
	return adminapi.New(adminapi.Options{
		Logger: s.options.Logger, Rules: rules, Register: s.register, TLS: creds, MaxConnections: maxOperators,
		// An operator who stays without a word holds nothing.
		Extra: []grpc.ServerOption{grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionIdle: idleConnection})},
	})
}

const (
	// idleConnection is how long a connection from the network without a request may stay.
	idleConnection = 2 * time.Minute
	// maxOperators bounds those connections: calls need the process's descriptors more.
	maxOperators = 64
)

func (s *Server) register(r grpc.ServiceRegistrar) {
	lmssv1.RegisterUsersServer(r, &users{server: s})
	lmssv1.RegisterRegistrationsServer(r, &registrations{server: s})
	lmssv1.RegisterCallsServer(r, &calls{server: s})
	lmssv1.RegisterRecordsServer(r, &records{server: s})
	lmssv1.RegisterNodeServer(r, &node{server: s})
	commonv1.RegisterPeersServer(r, &peers{server: s})
	commonv1.RegisterAuditsServer(r, &adminapi.Audits{List: s.listAudits})
	commonv1.RegisterLogsServer(r, &adminapi.Logs{
		Process: "signal", Level: s.options.Level, Siblings: s.options.LevelFollowers, Change: s.change, Logger: s.options.Logger,
	})
}
