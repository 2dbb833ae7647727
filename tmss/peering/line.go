package peering

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/mss-federation/mss/pkg/exchange"
	"github.com/mss-federation/mss/pkg/fault/faultgrpc"
	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/network"
	exchangev1 "github.com/mss-federation/mss/proto/mss/exchange/v1"
)

const (
	// connectTime bounds what comes before the first frame.
	connectTime = 5 * time.Second
	// partTime bounds what comes after the last.
	partTime = 500 * time.Millisecond
)

// OverGRPC dials hubs at the address of their gRPC port.
func OverGRPC(n network.Network, config func(federation.HubID) *tls.Config) Dial {
	return func(ctx context.Context, hub exchange.Hub) (Line, error) {
		conn, err := grpc.NewClient("passthrough:///"+hub.GRPC,
			grpc.WithTransportCredentials(credentials.NewTLS(config(hub.ID))),
			grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
				remote, err := netip.ParseAddrPort(address)
				if err != nil {
					return nil, err
				}
				return n.DialTCP(ctx, netip.AddrPort{}, remote)
			}),
			// Both windows are what one session may have in flight, so that Keepalive and Cease always fit.
			grpc.WithInitialWindowSize(exchange.StreamWindow), grpc.WithInitialConnWindowSize(exchange.StreamWindow),
			grpc.WithDisableServiceConfig(), grpc.WithDisableRetry(),
		)
		if err != nil {
			return nil, err
		}
		l, err := openLine(ctx, conn)
		if err != nil {
			_ = conn.Close() // the failure is known
			return nil, faultgrpc.Error("exchange with hub", err)
		}
		return l, nil
	}
}

// line is a gRPC stream with its own connection.
type line struct {
	grpc.BidiStreamingClient[exchangev1.Frame, exchangev1.Frame]
	conn   *grpc.ClientConn
	cancel context.CancelFunc
}

func openLine(ctx context.Context, conn *grpc.ClientConn) (*line, error) {
	streaming, cancel := context.WithCancel(context.WithoutCancel(ctx))
	unbound := context.AfterFunc(ctx, cancel)
	late := time.AfterFunc(connectTime, cancel)
	stream, err := exchangev1.NewExchangeClient(conn).Session(streaming)
	late.Stop()
	if !unbound() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		cancel()
		return nil, err
	}
	return &line{BidiStreamingClient: stream, conn: conn, cancel: cancel}, nil
}

// State is that of the TLS connection.
func (l *line) State() tls.ConnectionState { return sourceOf(l.Context()).state }

// Close waits a moment for the neighbour to end the stream: what was sent last is only queued, and cancelling would
// drop it.
func (l *line) Close() {
	if l.CloseSend() == nil {
		timer := time.NewTimer(partTime)
		select {
		case <-l.Context().Done():
		case <-timer.C:
		}
		timer.Stop()
	}
	l.cancel()
	_ = l.conn.Close() // it was good or its end is known
}
