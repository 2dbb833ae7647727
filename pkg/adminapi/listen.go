package adminapi

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/mss-federation/mss/pkg/fault"
)

// maxSocketPath is what fits in sockaddr_un with its final zero (unix(7)), in bytes.
const maxSocketPath = 107

// Listen makes the socket at path for the server's own user alone: folder 0700 if it must be made, socket
// 0600. A socket that a dead process left is replaced; one on which somebody answers is a fault.Conflict.
func Listen(path string) (net.Listener, error) {
	const op = "open admin socket"
	if len(path) > maxSocketPath {
		return nil, fault.New(op, fault.Invalid, path,
			fmt.Sprintf("the path has %d characters and a socket's may have %d: choose a shorter state folder or set the socket's path", len(path), maxSocketPath))
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, &fault.Error{Op: op, Kind: fault.Unavailable, Subject: path, Err: err}
	}
	if err := removeStale(op, path); err != nil {
		return nil, err
	}
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, &fault.Error{Op: op, Kind: fault.Unavailable, Subject: path, Err: err}
	}
	// Whoever connects before this is still turned away by its peer credentials.
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, &fault.Error{Op: op, Kind: fault.Unavailable, Subject: path, Err: errors.Join(err, listener.Close())}
	}
	return listener, nil
}

// removeStale clears the way. Only a socket is ever removed.
func removeStale(op, path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return &fault.Error{Op: op, Kind: fault.Unavailable, Subject: path, Err: err}
	case info.Mode().Type() != fs.ModeSocket:
		return fault.New(op, fault.Conflict, path, "there is a file of that name that is no socket: move it away")
	}
	if conn, err := net.DialTimeout("unix", path, time.Second); err == nil {
		_ = conn.Close() // only asked whether somebody is there
		return fault.New(op, fault.Conflict, path, "another server answers there: stop it, or give this one another state folder")
	}
	if err := os.Remove(path); err != nil {
		return &fault.Error{Op: op, Kind: fault.Unavailable, Subject: path, Err: err}
	}
	return nil
}
