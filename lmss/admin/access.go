package admin

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/fault/faultgrpc"
	lmssv1 "github.com/mss-federation/mss/proto/mss/lmss/v1"
)

// access is what a method needs.
type access uint8

const (
	// read shows something.
	read access = iota + 1
	// write changes something and leaves an audit record.
	write
)

// rules has a row for every method. A method without one is refused, and New panics.
var rules = map[string]access{
	lmssv1.Users_ListUsers_FullMethodName:                 read,
	lmssv1.Users_AddUser_FullMethodName:                   write,
	lmssv1.Users_SetUser_FullMethodName:                   write,
	lmssv1.Users_DeleteUser_FullMethodName:                write,
	lmssv1.Registrations_ListRegistrations_FullMethodName: read,
	lmssv1.Calls_ListCalls_FullMethodName:                 read,
	lmssv1.Calls_HangupCall_FullMethodName:                write,
	lmssv1.Calls_TraceCall_FullMethodName:                 read,
	lmssv1.Records_ListRecords_FullMethodName:             read,
	lmssv1.Node_GetStatus_FullMethodName:                  read,
	grpc_health_v1.Health_Check_FullMethodName:            read,
	grpc_health_v1.Health_List_FullMethodName:             read,
	grpc_health_v1.Health_Watch_FullMethodName:            read,
}

// methodsWithoutRule names what the server would serve without a rule, ordered.
func methodsWithoutRule(s *grpc.Server) (missing []string) {
	for service, info := range s.GetServiceInfo() {
		for _, method := range info.Methods {
			if full := "/" + service + "/" + method.Name; rules[full] == 0 {
				missing = append(missing, full)
			}
		}
	}
	slices.Sort(missing)
	return missing
}

// authorize decides about one request.
func authorize(ctx context.Context, method string) (Caller, error) {
	caller, err := callerOf(ctx)
	if err != nil {
		return caller, err
	}
	if rules[method] == 0 {
		return caller, fault.New("call the API", fault.Denied, method, "the method has no access rule")
	}
	if !caller.allowed() {
		return caller, fault.New("call the API", fault.Denied, caller.String(), "only the server's own user and root may: use sudo")
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
	caller, err := authorize(ctx, method)
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
		if rules[method] == write {
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
