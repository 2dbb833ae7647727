// Package admin is the site's gRPC API for operators, served on a Unix socket to the server's own user and
// to root. It turns requests into calls on the directory, registrar, store, calls and trace ring, and
// writes the audit record of every change. It owns none of these and decides nothing about calls.
//
// Each noun is a file with its service; access.go says which method needs what; peer.go who is asking.
// Start at [New] and [Server.Run].
package admin

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/mss-federation/mss/lmss/cdr"
	"github.com/mss-federation/mss/lmss/registrar"
	"github.com/mss-federation/mss/lmss/store"
	"github.com/mss-federation/mss/lmss/user"
	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/tracering"
	lmssv1 "github.com/mss-federation/mss/proto/mss/lmss/v1"
)

// Limits of the API.
const (
	maxStreams  = 100     // calls at once on one connection
	maxMessage  = 4 << 20 // bytes of one request
	stopTimeout = time.Second
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

// Bindings stores what changed in the registrar. It does not wait for the disk.
type Bindings interface {
	SaveBindings(changes []registrar.Change) error
}

// Options are what the API speaks for. All fields but Trace are required; where the store is off, [StoreOff]
// stands for it.
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
	// Trace may be nil: then no call has a trace.
	Trace *tracering.Ring
	// Status gives what only the process knows: versions, processes, listeners, counters, alarms. The
	// API fills in the counts of users, registrations and calls.
	Status func(ctx context.Context) Status
}

// Server is the API.
type Server struct {
	options Options
	grpc    *grpc.Server
	health  *health.Server
	// writes makes changes of users one after the other: what was checked is what is written.
	writes sync.Mutex
}

// New makes the API; it serves nothing before Run. It panics when a method has no access rule, which a
// test shows before an operator can.
func New(options Options) *Server {
	s := &Server{options: options, health: health.NewServer()}
	s.grpc = grpc.NewServer(
		grpc.Creds(peerCredentials{}),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.MaxRecvMsgSize(maxMessage),
		grpc.ChainUnaryInterceptor(s.unary),
		grpc.ChainStreamInterceptor(s.stream),
	)
	lmssv1.RegisterUsersServer(s.grpc, &users{server: s})
	lmssv1.RegisterRegistrationsServer(s.grpc, &registrations{server: s})
	lmssv1.RegisterCallsServer(s.grpc, &calls{server: s})
	lmssv1.RegisterRecordsServer(s.grpc, &records{server: s})
	lmssv1.RegisterNodeServer(s.grpc, &node{server: s})
	grpc_health_v1.RegisterHealthServer(s.grpc, s.health)
	if missing := methodsWithoutRule(s.grpc); len(missing) > 0 {
		panic("admin: methods without an access rule: " + missing[0])
	}
	s.SetReady(false)
	return s
}

// SetReady says through grpc.health.v1 whether the node serves phones. It serves operators before that.
func (s *Server) SetReady(ready bool) {
	state := grpc_health_v1.HealthCheckResponse_NOT_SERVING
	if ready {
		state = grpc_health_v1.HealthCheckResponse_SERVING
	}
	s.health.SetServingStatus("", state)
}

// Run serves on the listener (see [Listen]) until ctx ends, and closes it. Requests in progress get a
// second to end.
func (s *Server) Run(ctx context.Context, listener net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		<-ctx.Done()
		s.health.Shutdown()
		hard := time.AfterFunc(stopTimeout, s.grpc.Stop)
		defer hard.Stop()
		s.grpc.GracefulStop()
	}()
	err := s.grpc.Serve(listener)
	cancel()
	<-done
	if errors.Is(err, grpc.ErrServerStopped) {
		return nil // ctx ended before the first request
	}
	return err // nil when ctx ended it
}
