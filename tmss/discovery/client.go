package discovery

import (
	"cmp"
	"context"
	"crypto/tls"
	"net"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
)

// Pace of the connection. The server's minimum between pings is 5 s: a faster client is sent away.
const (
	pingEvery   = 5 * time.Second
	pingLimit   = 3 * time.Second
	redialFirst = 100 * time.Millisecond
	redialLast  = time.Second
	dialLimit   = 3 * time.Second
)

// Dial makes a client for the directory at these addresses ("192.0.2.7:2379"). It does not wait for a
// connection. config is identity.DirectoryTLS for the domain's own members, or the operator's for an external etcd.
func Dial(addresses []string, config *tls.Config) (*clientv3.Client, error) {
	return clientv3.New(clientv3.Config{
		Endpoints:            addresses,
		DialTimeout:          dialLimit,
		DialKeepAliveTime:    pingEvery,
		DialKeepAliveTimeout: pingLimit,
		PermitWithoutStream:  true,
		Logger:               zap.NewNop(), // what fails is returned, and logged by who asked
		DialOptions: []grpc.DialOption{
			grpc.WithTransportCredentials(named{credentials.NewTLS(config), config.ServerName}),
			grpc.WithConnectParams(grpc.ConnectParams{
				Backoff:           backoff.Config{BaseDelay: redialFirst, Multiplier: 1.6, Jitter: 0.2, MaxDelay: redialLast},
				MinConnectTimeout: dialLimit,
			}),
		},
	})
}

// named expects one name in the certificate. etcd's client would expect each member's address.
type named struct {
	credentials.TransportCredentials

	name string // empty: the address after all
}

// ClientHandshake makes the connection's TLS.
func (n named) ClientHandshake(ctx context.Context, authority string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return n.TransportCredentials.ClientHandshake(ctx, cmp.Or(n.name, authority), conn)
}

// Clone is for grpc, which may have several users of one.
func (n named) Clone() credentials.TransportCredentials {
	return named{n.TransportCredentials.Clone(), n.name}
}
