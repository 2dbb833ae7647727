// Package adminapi is what the API servers of offices and hubs have in common: who is calling (the kernel on a
// Unix socket, a certificate elsewhere), which method needs what, one recover boundary a request, the form of
// audit records, and the life of the server. It serves no noun of its own: see lmss/admin and tmss/admin.
// Start at [New] and [Server.Run].
package adminapi

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"slices"
	"time"

	"golang.org/x/net/netutil"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
)

// Limits of a server that does not say otherwise.
const (
	maxStreams  = 100     // calls at once on one connection
	maxMessage  = 4 << 20 // bytes of one request
	stopTimeout = time.Second
	// handshake is enough over any network; grpc's own is two minutes, for which every silent connection has a
	// descriptor that calls may need.
	handshake = 10 * time.Second
)

// Options shape a server.
type Options struct {
	// Logger is the owner's. Required.
	Logger *slog.Logger
	// Rules has a row for every method; what has none is refused, and New panics.
	Rules Rules
	// TLS identifies callers by their certificates. Nil means that the server is for a Unix socket, whose
	// callers the kernel identifies.
	TLS credentials.TransportCredentials
	// Handshake bounds how long a connection may take to prove who it is. Zero means 10s.
	Handshake time.Duration
	// MaxConnections bounds those that are open at a time; others wait to be accepted. Zero means no bound.
	MaxConnections int
	// Extra options of grpc, such as the windows of long streams.
	Extra []grpc.ServerOption
	// Register registers the services.
	Register func(grpc.ServiceRegistrar)
}

// Server serves the API on one listener.
type Server struct {
	options Options
	grpc    *grpc.Server
	health  *health.Server
}

// New makes a server; it serves nothing before Run, and says that it is not ready. It panics when a method has
// no rule, which a test shows before an operator can.
func New(options Options) *Server {
	s := &Server{options: options, health: health.NewServer()}
	transport := options.TLS
	if transport == nil {
		transport = peerCredentials{}
	}
	s.grpc = grpc.NewServer(append([]grpc.ServerOption{
		grpc.Creds(transport),
		grpc.ConnectionTimeout(cmp.Or(options.Handshake, handshake)),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.MaxRecvMsgSize(maxMessage),
		grpc.ChainUnaryInterceptor(s.unary),
		grpc.ChainStreamInterceptor(s.stream),
	}, options.Extra...)...)
	options.Register(s.grpc)
	grpc_health_v1.RegisterHealthServer(s.grpc, s.health)
	if missing := options.Rules.missing(s.grpc); len(missing) > 0 {
		panic("adminapi: methods without an access rule: " + missing[0])
	}
	s.SetReady(false)
	return s
}

// SetReady says through grpc.health.v1 whether the node serves calls. It serves operators before that.
func (s *Server) SetReady(ready bool) {
	state := grpc_health_v1.HealthCheckResponse_NOT_SERVING
	if ready {
		state = grpc_health_v1.HealthCheckResponse_SERVING
	}
	s.health.SetServingStatus("", state)
}

// Run serves on the listener until ctx ends, and closes it. Requests in progress get a second to end.
func (s *Server) Run(ctx context.Context, listener net.Listener) error {
	if most := s.options.MaxConnections; most > 0 {
		listener = netutil.LimitListener(listener, most)
	}
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

// missing names what the server would serve without a rule, ordered.
func (r Rules) missing(s *grpc.Server) (missing []string) {
	for service, info := range s.GetServiceInfo() {
		for _, method := range info.Methods {
			full := "/" + service + "/" + method.Name
			if _, ok := r.find(full); !ok {
				missing = append(missing, full)
			}
		}
	}
	slices.Sort(missing)
	return missing
}
