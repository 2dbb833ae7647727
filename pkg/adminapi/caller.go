package adminapi

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/user"
	"strconv"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/identity"
)

// Caller is who makes a request: the process at the other end of the socket, as the kernel saw it when it
// connected, or the node that its certificate names.
type Caller struct {
	credentials.CommonAuthInfo
	// Node is the holder of the certificate; zero on the socket.
	Node     identity.Node
	UID, PID int
}

// AuthType names the way in which a caller on the socket is known.
func (Caller) AuthType() string { return "unix-peer" }

// Remote says whether the caller came over the network.
func (c Caller) Remote() bool { return c.Node != identity.Node{} }

// local says whether the caller may use the socket at all: the server's own user and root.
func (c Caller) local() bool { return c.UID == 0 || c.UID == os.Geteuid() }

// String is the caller as audit records name it: "root (uid 0, pid 4711)", or the URI of its certificate.
func (c Caller) String() string {
	if c.Remote() {
		return c.Node.URI()
	}
	name := "unknown"
	if u, err := user.LookupId(strconv.Itoa(c.UID)); err == nil {
		name = u.Username
	}
	return fmt.Sprintf("%s (uid %d, pid %d)", name, c.UID, c.PID)
}

// CallerOf is who makes this request.
func CallerOf(ctx context.Context) (Caller, error) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return Caller{}, unknownCaller()
	}
	switch info := p.AuthInfo.(type) {
	case Caller:
		return info, nil
	case credentials.TLSInfo:
		node, err := identity.PeerNode(info.State)
		return Caller{CommonAuthInfo: info.CommonAuthInfo, Node: node}, err
	}
	return Caller{}, unknownCaller()
}

func unknownCaller() error {
	return fault.New("identify the caller", fault.Unauthenticated, "", "the connection carries no peer credentials")
}

// peerCredentials reads SO_PEERCRED. Nothing is said on the wire, so that any client with insecure
// credentials fits; who may do what is for the interceptors, whose refusal can say why.
type peerCredentials struct{}

var errNoUnixSocket = errors.New("adminapi: not a Unix socket")

// ServerHandshake asks the kernel who connected.
func (peerCredentials) ServerHandshake(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	unixConn, ok := conn.(*net.UnixConn)
	if !ok {
		return nil, nil, errNoUnixSocket
	}
	raw, err := unixConn.SyscallConn()
	if err != nil {
		return nil, nil, err
	}
	var cred *unix.Ucred
	var credErr error
	err = raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err := errors.Join(err, credErr); err != nil {
		return nil, nil, err
	}
	return conn, Caller{
		CommonAuthInfo: credentials.CommonAuthInfo{SecurityLevel: credentials.PrivacyAndIntegrity},
		UID:            int(cred.Uid), PID: int(cred.Pid),
	}, nil
}

// ClientHandshake is never called: the API dials nobody.
func (peerCredentials) ClientHandshake(context.Context, string, net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errNoUnixSocket
}

// Info describes the protocol for grpc.
func (peerCredentials) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: "unix-peer"}
}

// Clone copies what has no state.
func (p peerCredentials) Clone() credentials.TransportCredentials { return p }

// OverrideServerName does nothing: there are no names.
func (peerCredentials) OverrideServerName(string) error { return nil }
