package peering

import (
	"cmp"
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"sync"
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

// OverGRPC dials hubs at the addresses of their gRPC port: first those of the IP version that own addresses have,
// and again where a session was made the last time.
func OverGRPC(n network.Network, own []netip.Addr, config func(federation.HubID) *tls.Config) Dial {
	var rotations rotations
	return func(ctx context.Context, hub exchange.Hub) (Line, error) {
		rotation := rotations.of(hub.ID)
		conn, err := grpc.NewClient("passthrough:///"+hub.GRPC,
			grpc.WithTransportCredentials(credentials.NewTLS(config(hub.ID))),
			grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
				remotes, err := literal(&hub)
				if err != nil {
					return nil, err
				}
				return rotation.Dial(ctx, n, network.Near(n, own, remotes))
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
		rotation.Worked()
		return l, nil
	}
}

// rotations remember for each hub which of its addresses worked. The zero value is ready.
type rotations struct {
	mu    sync.Mutex
	byHub map[federation.HubID]*network.Rotation
}

func (r *rotations) of(hub federation.HubID) *network.Rotation {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byHub == nil {
		r.byHub = make(map[federation.HubID]*network.Rotation)
	}
	if r.byHub[hub] == nil {
		r.byHub[hub] = new(network.Rotation)
	}
	return r.byHub[hub]
}

// literal are a hub's addresses: names are not dialled by hubs. If there is none, the error says why.
func literal(hub *exchange.Hub) (list []netip.AddrPort, failure error) {
	for _, a := range hub.GRPCAddresses() {
		remote, err := netip.ParseAddrPort(a)
		if err != nil {
			failure = cmp.Or(failure, err)
			continue
		}
		list = append(list, remote)
	}
	if len(list) > 0 {
		failure = nil
	}
	return list, failure
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

// Remote is where it leads.
func (l *line) Remote() string { return sourceOf(l.Context()).address }

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
