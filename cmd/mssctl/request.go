package main

import (
	"context"
	"errors"
	"io"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/fault/faultgrpc"
)

// with connects, runs do within the timeout, and makes a fault of what grpc returned.
func (a *app) with(ctx context.Context, op string, do func(context.Context, *grpc.ClientConn) error) error {
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	conn, err := a.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	return a.explain(op, do(ctx, conn))
}

// explain makes a fault of what grpc returned. A service that the node does not have is another node's.
func (a *app) explain(op string, err error) error {
	st, ok := status.FromError(err)
	if err == nil || !ok || st.Code() != codes.Unimplemented {
		return faultgrpc.Error(op, err)
	}
	switch {
	case strings.Contains(st.Message(), "mss.tmss."):
		return fault.New(op, fault.Invalid, "", "the node is an office's server, and this is for a hub: run it on a hub, or name a hub's socket with --socket PATH or $"+socketVariable)
	case strings.Contains(st.Message(), "mss.lmss."):
		return fault.New(op, fault.Invalid, "", "the node is a hub, and this is for an office's server: run it in the office, or name its server's socket with --socket PATH or $"+socketVariable)
	}
	return fault.New(op, fault.Invalid, "", "the node does not know this: it is of another version ("+st.Message()+")")
}

// notServed says whether an error means that the node has no such service: it is of the other kind.
func notServed(err error) bool { return status.Code(err) == codes.Unimplemented }

// each reads a server's stream to its end.
func each[T any](stream grpc.ServerStreamingClient[T], openErr error, do func(*T) error) error {
	if openErr != nil {
		return openErr
	}
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := do(m); err != nil {
			return err
		}
	}
}
