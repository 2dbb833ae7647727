package supervise

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/mss-federation/mss/pkg/fault"
)

// lockName is not the store's lock: the store is opened by a child of the supervisor that holds this one.
const lockName = "supervisor.lock"

// Lock is the right to be the only supervisor on a state directory.
type Lock struct {
	file        *os.File
	predecessor int
}

// LockDir takes the lock of a state directory, which must exist. If another supervisor has it, the error is of kind
// [fault.Exists] and names its process. The lock ends with the process, however it ends.
func LockDir(dir string) (*Lock, error) {
	path := filepath.Join(dir, lockName)
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, &fault.Error{Op: "lock state directory", Kind: fault.Unavailable, Subject: dir, Err: err}
	}
	lockErr := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	pid, err := readPID(file)
	switch {
	case errors.Is(lockErr, unix.EWOULDBLOCK):
		return nil, errors.Join(refused(dir, pid), file.Close())
	case lockErr != nil:
		err = lockErr
	case err == nil:
		err = writePID(file, os.Getpid())
	}
	if err != nil {
		return nil, errors.Join(
			&fault.Error{Op: "lock state directory", Kind: fault.Unavailable, Subject: path, Err: err}, file.Close())
	}
	return &Lock{file: file, predecessor: pid}, nil
}

func refused(dir string, pid int) error {
	owner := "another process"
	if pid != 0 {
		owner = fmt.Sprintf("process %d", pid)
	}
	return fault.New("lock state directory", fault.Exists, dir,
		owner+" runs on this state directory; stop it first, or give this one another state_dir")
}

// Predecessor is the pid of the last holder if it ended without releasing the lock, as after kill -9; else zero. Its
// children may hold its ports for up to a second: see [Bind.Patience].
func (l *Lock) Predecessor() int { return l.predecessor }

// Release ends the lock in good order.
func (l *Lock) Release() error {
	// Unlocked before it is closed: a process that is being started at this moment may hold a copy of the
	// descriptor until its exec, and the lock with it.
	return errors.Join(l.file.Truncate(0), unix.Flock(int(l.file.Fd()), unix.LOCK_UN), l.file.Close())
}

// readPID reads who holds or held the lock; zero if nobody says so.
func readPID(file *os.File) (int, error) {
	text, err := io.ReadAll(io.NewSectionReader(file, 0, 32))
	if err != nil {
		return 0, err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0, nil //nolint:nilerr // an empty or foreign file names nobody
	}
	return pid, nil
}

func writePID(file *os.File, pid int) error {
	if err := file.Truncate(0); err != nil {
		return err
	}
	_, err := file.WriteAt([]byte(strconv.Itoa(pid)+"\n"), 0)
	return err
}
