package main

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/identity"
)

// Where nodes put their admin sockets unless they are told otherwise.
const (
	socketVariable = "MSS_SOCKET"
	// operatorVariable names the operator's credentials for --node.
	operatorVariable = "MSS_OPERATOR"
	runFolder        = "/run/mss"
	siteFolder       = "/var/lib/lmss"
	hubFolder        = "/var/lib/tmss"
)

// dial connects to the node. Whoever dials closes.
func (a *app) dial(ctx context.Context) (*grpc.ClientConn, error) {
	to, err := a.target()
	switch {
	case err != nil:
		return nil, err
	case to.Node != "":
		return a.dialNode(to.Node, to.Operator)
	case to.Socket != "":
		return dialSocket(ctx, to.Socket)
	}
	path, err := onlySocket(runFolder, siteFolder, hubFolder)
	if err != nil {
		return nil, err
	}
	return dialSocket(ctx, path)
}

// dialNode reaches a node over the network, and shows the operator's certificate: any hub of the domain by its address,
// an office by its name and address, "london@192.0.2.9:5443", since an office answers for itself alone.
func (a *app) dialNode(node, path string) (*grpc.ClientConn, error) {
	const op = "reach the node"
	if path == "" {
		return nil, fault.New(op, fault.Invalid, node, "an operator's certificate is needed: name its file with --operator FILE or $"+operatorVariable+"; `tmss init` makes one")
	}
	own, err := identity.LoadCredentials(path)
	if err != nil {
		return nil, err
	}
	if phase := identity.RenewalOf(own.Leaf(), a.now()).Phase; phase == identity.Expired || phase == identity.Lost {
		return nil, fault.New(op, fault.Unauthenticated, path, "the certificate ended at "+own.Leaf().NotAfter.Local().Format(time.DateTime)+": use the socket of a hub on its own machine")
	}
	source, trust := identity.NewSource(own), identity.NewTrust(own.Node.Domain, own.Root)
	site, address, isOffice := strings.Cut(node, "@")
	config := identity.DirectoryTLS(source, trust)
	if isOffice {
		config = identity.ClientTLS(source, trust, identity.Node{Domain: own.Node.Domain, Role: identity.Site, ID: site})
	} else {
		address = node
	}
	if _, _, err := net.SplitHostPort(address); err != nil {
		return nil, fault.New(op, fault.Invalid, node, "write a hub's address and port, such as 192.0.2.1:5443, or an office's name before them, london@192.0.2.9:5443")
	}
	return grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(credentials.NewTLS(config)))
}

// dialSocket tries the socket first, since what a socket's error means to an operator is clearer than what grpc
// makes of it.
func dialSocket(ctx context.Context, path string) (*grpc.ClientConn, error) {
	var dialer net.Dialer
	probe, err := dialer.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, socketFault(path, err)
	}
	_ = probe.Close() // it has told what it should
	return grpc.NewClient("passthrough:///node",
		grpc.WithTransportCredentials(insecure.NewCredentials()), // the socket's file is the protection
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", path)
		}))
}

// onlySocket looks into folders for sockets of nodes.
func onlySocket(folders ...string) (string, error) {
	const op = "find the node's socket"
	var found []string
	for _, folder := range folders {
		for _, pattern := range []string{"*.sock", "*/*.sock"} {
			paths, err := filepath.Glob(filepath.Join(folder, pattern))
			if err != nil {
				return "", &fault.Error{Op: op, Kind: fault.Internal, Subject: folder, Err: err}
			}
			for _, path := range paths {
				if strings.Contains(filepath.Base(path), "admin") {
					found = append(found, path)
				}
			}
		}
	}
	switch len(found) {
	case 0:
		return "", fault.New(op, fault.Unavailable, "", "there is none under "+strings.Join(folders, " or ")+
			": start the node with `lmss run --config FILE` or `tmss run --config FILE`, or name its socket with --socket PATH or $"+socketVariable)
	case 1:
		return found[0], nil
	}
	return "", fault.New(op, fault.Invalid, "", "there are several ("+strings.Join(found, ", ")+"): choose one with --socket PATH or $"+socketVariable)
}

// socketFault says what a failure to connect means.
func socketFault(path string, err error) error {
	const op = "reach the node"
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fault.New(op, fault.Unavailable, path, "there is no such socket: start the node with `lmss run --config FILE` or `tmss run --config FILE`, or correct --socket or $"+socketVariable)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fault.New(op, fault.Unavailable, path, "nobody answers there: the node does not run, start it with `lmss run --config FILE` or `tmss run --config FILE`")
	case errors.Is(err, fs.ErrPermission):
		return fault.New(op, fault.Denied, path, "you may not: only the node's own user and root may, use sudo")
	}
	return &fault.Error{Op: op, Kind: fault.Unavailable, Subject: path, Err: err}
}
