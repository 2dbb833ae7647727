package main

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"

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
	return faultgrpc.Error(op, do(ctx, conn))
}

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
