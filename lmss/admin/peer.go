package admin

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
)

// Caller is the process at the other end of the socket, as the kernel saw it when it connected.
type Caller struct {
	credentials.CommonAuthInfo
	UID, PID int
}

// AuthType names the way in which the caller is known.
func (Caller) AuthType() string { return "unix-peer" }

// allowed says whether the caller may use the API at all: the server's own user and root.
func (c Caller) allowed() bool { return c.UID == 0 || c.UID == os.Geteuid() }

// String is the caller as audit records name it: "root (uid 0, pid 4711)".
func (c Caller) String() string {
	name := "unknown"
	if u, err := user.LookupId(strconv.Itoa(c.UID)); err == nil {
		name = u.Username
	}
	return fmt.Sprintf("%s (uid %d, pid %d)", name, c.UID, c.PID)
}

// callerOf is who makes this request.
func callerOf(ctx context.Context) (Caller, error) {
	if p, ok := peer.FromContext(ctx); ok {
		if c, ok := p.AuthInfo.(Caller); ok {
			return c, nil
		}
	}
	return Caller{}, fault.New("identify the caller", fault.Unauthenticated, "", "the connection carries no peer credentials")
}

// peerCredentials reads SO_PEERCRED. Nothing is said on the wire, so that any client with insecure
// credentials fits; who may do what is for the interceptors, whose refusal can say why.
type peerCredentials struct{}

var errNoUnixSocket = errors.New("admin: not a Unix socket")

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
