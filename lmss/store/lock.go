package store

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/mss-federation/mss/pkg/fault"
)

// acquire takes the directory's lock and writes our process number in it. The kernel drops the lock with
// the process, however that ends; the file stays.
func acquire(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, &fault.Error{Op: "lock state directory", Kind: fault.Internal, Subject: path, Err: err}
	}
	if err := lockFile(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func lockFile(f *os.File) error {
	const op = "lock state directory"
	dir := filepath.Dir(f.Name())
	switch err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); {
	case errors.Is(err, unix.EWOULDBLOCK):
		text, _ := io.ReadAll(io.LimitReader(f, 32)) // unreadable is an unknown process
		return fault.New(op, fault.Conflict, dir, fmt.Sprintf("it is in use by process %s: stop that one, or give this one a state_dir of its own", pid(bytes.TrimSpace(text))))
	case err != nil:
		return &fault.Error{Op: op, Kind: fault.Internal, Subject: dir, Err: fmt.Errorf("this file system cannot lock files: %w", err)}
	}
	if err := f.Truncate(0); err != nil {
		return &fault.Error{Op: op, Kind: fault.Internal, Subject: dir, Err: err}
	}
	if _, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0); err != nil {
		return &fault.Error{Op: op, Kind: fault.Internal, Subject: dir, Err: err}
	}
	return nil
}

// pid is what the lock file says.
func pid(text []byte) string {
	if n, err := strconv.Atoi(string(text)); err == nil {
		return strconv.Itoa(n)
	}
	return "unknown"
}
