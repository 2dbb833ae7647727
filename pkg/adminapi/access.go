package adminapi

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/fault/faultgrpc"
	"github.com/mss-federation/mss/pkg/identity"
)

// Rule says what a method needs. Whoever may use the Unix socket may call every method that is served there.
type Rule struct {
	// Roles may call the method over the network. Empty: nobody may.
	Roles []identity.Role
	// Writes: the method changes something. It is logged, and leaves an audit record.
	Writes bool
	// Open: the method itself finds out who is calling, as enrolment must.
	Open bool
}

// Rules are the methods of a server by their full name, "/mss.lmss.v1.Users/ListUsers".
type Rules map[string]Rule

// find is the rule of a method. Health is for everyone who gets as far as asking.
func (r Rules) find(method string) (Rule, bool) {
	if strings.HasPrefix(method, "/"+grpc_health_v1.Health_ServiceDesc.ServiceName+"/") {
		return Rule{Roles: []identity.Role{identity.Operator, identity.Hub, identity.Site}}, true
	}
	rule, ok := r[method]
	return rule, ok
}

// Authorize decides about one request.
func (r Rules) Authorize(ctx context.Context, method string) (Caller, error) {
	const op = "call the API"
	rule, known := r.find(method)
	if known && rule.Open {
		return Caller{}, nil
	}
	caller, err := CallerOf(ctx)
	if err != nil {
		return caller, err
	}
	switch {
	case !known:
		return caller, fault.New(op, fault.Denied, method, "the method has no access rule")
	case !caller.Remote() && !caller.local():
		return caller, fault.New(op, fault.Denied, caller.String(), "only the server's own user and root may: use sudo")
	case caller.Remote() && !slices.Contains(rule.Roles, caller.Node.Role):
		return caller, fault.New(op, fault.Denied, caller.String(), "a "+string(caller.Node.Role)+" may not call "+method)
	}
	return caller, nil
}

func (s *Server) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (response any, err error) {
	err = s.guard(ctx, info.FullMethod, func() (err error) {
		response, err = next(ctx, req)
		return err
	})
	return response, err
}

func (s *Server) stream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	return s.guard(stream.Context(), info.FullMethod, func() error { return next(srv, stream) })
}

// guard is what stands round every request: who may, one recover boundary, the error's way to a status, and
// a log line for each change.
func (s *Server) guard(ctx context.Context, method string, handle func() error) (err error) {
	start := time.Now()
	caller, err := s.options.Rules.Authorize(ctx, method)
	if err != nil {
		s.options.Logger.WarnContext(ctx, "admin request refused", slog.String("method", method), slog.Any("error", err))
		return faultgrpc.Status(err)
	}
	defer func() {
		if p := recover(); p != nil {
			s.options.Logger.ErrorContext(ctx, "admin request panicked",
				slog.String("method", method), slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
			err = fault.New("serve "+method, fault.Internal, "", fmt.Sprintf("it panicked: %v; the log has the stack", p))
		}
		if rule, _ := s.options.Rules.find(method); rule.Writes {
			s.logChange(ctx, method, caller, time.Since(start), err)
		}
		err = faultgrpc.Status(err)
	}()
	return handle()
}

// logChange says in the log who changed something, or tried to.
func (s *Server) logChange(ctx context.Context, method string, caller Caller, took time.Duration, err error) {
	attrs := []slog.Attr{slog.String("method", method), slog.String("who", caller.String()), slog.Duration("took", took)}
	if err != nil {
		s.options.Logger.LogAttrs(ctx, slog.LevelWarn, "admin change failed", append(attrs, slog.Any("error", err))...)
		return
	}
	s.options.Logger.LogAttrs(ctx, slog.LevelInfo, "admin change", attrs...)
}
