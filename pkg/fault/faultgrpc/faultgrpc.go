// Package faultgrpc carries faults over gRPC: the one table of kinds and codes, and both directions. A
// fault that crosses keeps its operation, kind, subject and cause. Start at [Status] and [Error].
package faultgrpc

import (
	"context"
	"errors"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/mss-federation/mss/pkg/fault"
)

// domain marks our ErrorInfo details apart from other people's.
const domain = "mss"

// Names of the ErrorInfo metadata.
const (
	keyOp      = "op"
	keySubject = "subject"
	keyCause   = "cause"
)

// table pairs each kind with one code; no two kinds share one, so that the way back is certain.
var table = [...]struct {
	kind fault.Kind
	code codes.Code
}{
	{fault.Internal, codes.Internal},
	{fault.Invalid, codes.InvalidArgument},
	{fault.NotFound, codes.NotFound},
	{fault.Exists, codes.AlreadyExists},
	{fault.Denied, codes.PermissionDenied},
	{fault.Unauthenticated, codes.Unauthenticated},
	{fault.Conflict, codes.FailedPrecondition},
	{fault.Exhausted, codes.ResourceExhausted},
	{fault.Unavailable, codes.Unavailable},
	{fault.Timeout, codes.DeadlineExceeded},
}

// Code is what a kind is on the wire.
func Code(kind fault.Kind) codes.Code {
	for _, row := range table {
		if row.kind == kind {
			return row.code
		}
	}
	return codes.Internal
}

// Kind is what a code means here. Codes that no fault makes (from grpc itself) get the nearest kind.
func Kind(code codes.Code) fault.Kind {
	for _, row := range table {
		if row.code == code {
			return row.kind
		}
	}
	switch code {
	case codes.OutOfRange:
		return fault.Invalid
	case codes.Aborted:
		return fault.Conflict
	case codes.Unimplemented:
		return fault.Denied
	case codes.Canceled:
		return fault.Timeout
	default:
		return fault.Internal
	}
}

// Status makes the error that a handler returns. An error that is a gRPC status already stays as it is; an
// ended context becomes its own code; nil stays nil.
func Status(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := status.FromError(err); ok {
		return err
	}
	f, ok := errors.AsType[*fault.Error](err)
	switch {
	case ok:
		return faultStatus(err, f)
	case errors.Is(err, context.Canceled):
		return status.Error(codes.Canceled, err.Error())
	case errors.Is(err, context.DeadlineExceeded):
		return status.Error(codes.DeadlineExceeded, err.Error())
	}
	return status.Error(codes.Internal, err.Error())
}

func faultStatus(err error, f *fault.Error) error {
	info := &errdetails.ErrorInfo{
		Reason: f.Kind.String(), Domain: domain,
		Metadata: map[string]string{keyOp: f.Op, keySubject: f.Subject},
	}
	if f.Err != nil {
		info.Metadata[keyCause] = f.Err.Error()
	}
	st, detailErr := status.New(Code(f.Kind), err.Error()).WithDetails(info)
	if detailErr != nil {
		return status.Error(Code(f.Kind), err.Error())
	}
	return st.Err()
}

// Error makes a fault of what a client got. op says what the client tried, for errors that carry no
// operation of their own; nil stays nil.
func Error(op string, err error) error {
	if err == nil {
		return nil
	}
	st, ok := status.FromError(err)
	if !ok {
		return &fault.Error{Op: op, Kind: contextKind(err), Err: err}
	}
	for _, detail := range st.Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok && info.GetDomain() == domain {
			m := info.GetMetadata()
			return fault.New(m[keyOp], Kind(st.Code()), m[keySubject], m[keyCause])
		}
	}
	return fault.New(op, Kind(st.Code()), "", st.Message())
}

func contextKind(err error) fault.Kind {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return fault.Timeout
	}
	return fault.KindOf(err)
}
