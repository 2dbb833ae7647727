package main

import (
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/fault/faultgrpc"
	commonv1 "github.com/mss-federation/mss/proto/mss/common/v1"
	tmssv1 "github.com/mss-federation/mss/proto/mss/tmss/v1"
)

// with connects, runs do for as long as the node says something in time, and makes a fault of what grpc returned.
func (a *app) with(ctx context.Context, op string, do func(context.Context, *grpc.ClientConn) error) error {
	return a.talk(ctx, op, false, do)
}

// follow is with for a stream that lasts: only its first word is waited for, and the user's end of it is no failure.
func (a *app) follow(ctx context.Context, op string, do func(context.Context, *grpc.ClientConn) error) error {
	err := a.talk(ctx, op, true, do)
	if ctx.Err() != nil {
		return nil //nolint:nilerr // the user ended it
	}
	return err
}

func (a *app) talk(ctx context.Context, op string, once bool, do func(context.Context, *grpc.ClientConn) error) error {
	ctx, p, stop := newPatience(ctx, a.timeout, once)
	defer stop()
	a.patience = p
	conn, err := a.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	err = do(ctx, conn)
	if silent := p.lost(ctx, op); err != nil && silent != nil {
		return silent
	}
	return a.explain(op, conn, err)
}

// explain makes a fault of what grpc returned. A service that the node does not have is another node's: it says which.
func (a *app) explain(op string, conn *grpc.ClientConn, err error) error {
	st, ok := status.FromError(err)
	if err == nil || !ok || st.Code() != codes.Unimplemented {
		return faultgrpc.Error(op, err)
	}
	switch {
	case strings.Contains(st.Message(), "mss.tmss."):
		return fault.New(op, fault.Invalid, "", "the node is an office's server, and this is for a hub: run it on a hub's machine"+hubsOf(conn))
	case strings.Contains(st.Message(), "mss.lmss."):
		return fault.New(op, fault.Invalid, "", "the node is a hub, and this is for an office's server: run it on the office's own machine, or with --node OFFICE@ADDRESS where the office allows that (admin.grpc)"+officesOf(conn))
	}
	return fault.New(op, fault.Invalid, "", "the node does not know this: it is of another version ("+st.Message()+")")
}

// lookAround bounds the search for a node that can serve what this one cannot.
const lookAround = 2 * time.Second

// hubsOf names the hubs that an office knows, and how they are asked from here.
func hubsOf(conn *grpc.ClientConn) string {
	ctx, cancel := context.WithTimeout(context.Background(), lookAround)
	defer cancel()
	var known []string
	stream, err := commonv1.NewPeersClient(conn).ListPeers(ctx, &commonv1.ListPeersRequest{})
	err = eachOf(stream, err, func(m *commonv1.ListPeersResponse) error {
		if p := m.GetPeer(); p.GetAddress() != "" {
			known = append(known, "--node "+p.GetAddress()+" is "+p.GetNode())
		}
		return nil
	})
	if err != nil || len(known) == 0 {
		return ", or name a hub with --node ADDRESS and the operator's certificate"
	}
	return ", or ask it from here with the operator's certificate: " + strings.Join(known, ", ")
}

// officesShown is how many offices are named at most.
const officesShown = 5

// officesOf names the offices that a hub knows.
func officesOf(conn *grpc.ClientConn) string {
	ctx, cancel := context.WithTimeout(context.Background(), lookAround)
	defer cancel()
	var names []string
	stream, err := tmssv1.NewSitesClient(conn).ListSites(ctx, &tmssv1.ListSitesRequest{})
	err = eachOf(stream, err, func(m *tmssv1.ListSitesResponse) error {
		if len(names) == officesShown {
			names = append(names, "others")
			return io.EOF
		}
		names = append(names, m.GetSite().GetName())
		return nil
	})
	if err != nil && !errors.Is(err, io.EOF) || len(names) == 0 {
		return ""
	}
	return "; offices are " + strings.Join(names, ", ")
}

// notServed says whether an error means that the node has no such service: it is of the other kind.
func notServed(err error) bool { return status.Code(err) == codes.Unimplemented }

// each reads a server's stream to its end, while the node says something in time.
func each[T any](a *app, stream grpc.ServerStreamingClient[T], openErr error, do func(*T) error) error {
	return eachOf(stream, openErr, func(m *T) error {
		a.patience.heard()
		defer a.patience.waiting()
		return do(m)
	})
}

// eachOf reads a server's stream to its end.
func eachOf[T any](stream grpc.ServerStreamingClient[T], openErr error, do func(*T) error) error {
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
