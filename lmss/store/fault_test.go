package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/mss-federation/mss/lmss/registrar"
	"github.com/mss-federation/mss/lmss/user"
	"github.com/mss-federation/mss/pkg/fault"
)

func init() {
	children["fsync fails"] = fsyncFails
	children["disk full"] = diskFull
}

// TestFailedFsyncIsNeverRetried runs in a process of its own, whose kernel fails every fsync from some moment on.
func TestFailedFsyncIsNeverRetried(t *testing.T) {
	t.Parallel()
	if out, err := child("fsync fails", t.TempDir()).Output(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// TestDiskFull runs in a process of its own that mounts a small disk where only it sees it.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	if out, err := ownMounts(child("disk full", t.TempDir())).Output(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// ownMounts lets a child mount what only it sees.
func ownMounts(cmd *exec.Cmd) *exec.Cmd {
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
	}
	return cmd
}

// started opens and runs a store in a child, and tells of its states.
func started(dir string, o Options) (s *Store, states chan State, err error) {
	states = make(chan State, 16)
	o.Alarm = func(state State, _ error) { states <- state }
	if s, err = Open(dir, o); err != nil {
		return nil, nil, err
	}
	go func() {
		if err := s.Run(context.Background()); err != nil {
			fmt.Fprintln(os.Stdout, err)
		}
	}()
	return s, states, nil
}

func awaitState(states chan State, want State) error {
	select {
	case got := <-states:
		if got != want {
			return fmt.Errorf("the store is %v, want %v", got, want)
		}
		return nil
	case <-time.After(10 * time.Second):
		return fmt.Errorf("the store did not become %v", want)
	}
}

// steps are carried out in order; the first error ends them.
func steps(all ...func() error) error {
	for i, step := range all {
		if err := step(); err != nil {
			return fmt.Errorf("step %d: %w", i+1, err)
		}
	}
	return nil
}

func fsyncFails(dir string) error {
	s, states, err := started(dir, Options{ReserveBytes: -1, RetryInterval: 10 * time.Millisecond})
	if err != nil {
		return err
	}
	save := func(id string) error {
		return await(func(done func(error)) error { return s.SaveCall(id, []byte(id), record(1), done) })
	}
	return steps(
		func() error { return save("before") },
		failEveryFsync,
		func() error { return wantKind(save("lost"), fault.Unavailable, "(1034)") },
		func() error { return awaitState(states, Broken) },
		func() error { return wantKind(save("after"), fault.Unavailable, "memory only") },
		func() error {
			return wantKind(s.PutUser(user.User{Name: "4001"}, Audit{}), fault.Unavailable, "restart lmss")
		},
		func() error {
			return s.SaveBindings([]registrar.Change{{Action: registrar.Put, Binding: binding("4001")}}, nil)
		},
		func() error {
			return wantKind(await(func(done func(error)) error { return s.CloseCall("before", record(7), done) }), fault.Unavailable, "memory only")
		},
		func() error { return wantRecords(s, 1) }, // from memory
		func() error {
			if commits := s.Stats().Commits; commits != 1 {
				return fmt.Errorf("%d commits: something was tried again", commits)
			}
			return nil
		},
	)
}

// failEveryFsync installs a system call filter on all threads of this process.
func failEveryFsync() error {
	const (
		load   = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
		equal  = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		answer = unix.BPF_RET | unix.BPF_K
	)
	filter := []unix.SockFilter{
		{Code: load, K: 0}, // the number of the call
		{Code: equal, K: unix.SYS_FSYNC, Jt: 1},
		{Code: equal, K: unix.SYS_FDATASYNC, Jf: 1},
		{Code: answer, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EIO)},
		{Code: answer, K: unix.SECCOMP_RET_ALLOW},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	// Who filters must give up privileges before; TSYNC does both to the other threads.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("no new privileges: %w", err)
	}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&program)))
	if errno != 0 {
		return fmt.Errorf("seccomp: %w", errno)
	}
	return nil
}

func wantKind(err error, kind fault.Kind, text string) error {
	if err == nil || fault.KindOf(err) != kind || !strings.Contains(err.Error(), text) {
		return fmt.Errorf("got %v, want %v with %q", err, kind, text) //nolint:errorlint // a report for people
	}
	return nil
}

func wantRecords(s *Store, want int) error {
	records, err := s.QueryCDRs(RecordFilter{Limit: -1})
	if err == nil && len(records) != want {
		err = fmt.Errorf("%d call records, want %d", len(records), want)
	}
	return err
}

// mountSmall puts a disk of 8 MB in the place of dir, for this process alone.
func mountSmall(dir string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("part from the mounts of others: %w", err)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=8m"); err != nil {
		return fmt.Errorf("mount: %w", err)
	}
	return nil
}

func diskFull(dir string) error {
	if err := mountSmall(dir); err != nil {
		return err
	}
	s, states, err := started(dir, Options{ReserveBytes: 1 << 20, RetryInterval: 20 * time.Millisecond, QueueLimit: 3})
	if err != nil {
		return err
	}
	calls := 0
	saveUntil := func(want error) error { // more and more, until the disk has something to say
		for range 1000 {
			calls++
			err := await(func(done func(error)) error {
				return s.SaveCall(fmt.Sprint(calls), make([]byte, 50_000), record(1), done)
			})
			if state, _ := s.State(); state != Healthy && want == nil || err != nil {
				return err
			}
		}
		return errors.New("a thousand calls fit on a full disk")
	}
	addUser := func() error { return s.PutUser(user.User{Name: "4001"}, Audit{What: "user add 4001"}) }
	ballast := filepath.Join(dir, "ballast")
	return steps(
		func() error { return fill(ballast) },
		func() error { return saveUntil(nil) }, // saved in the space of the reserve
		func() error { return awaitState(states, ReserveUsed) },
		addUser,
		func() error { return fill(ballast) },
		func() error { return wantKind(saveUntil(fault.New("", 0, "", "")), fault.Exhausted, "free space") },
		func() error { return awaitState(states, Full) },
		func() error { return wantKind(addUser(), fault.Exhausted, "free space") },
		func() error { return closeWhileFull(s) },
		func() error {
			_, err := Open(dir+"/second", Options{ReserveBytes: -1})
			if err == nil || !strings.Contains(err.Error(), "free space") && !strings.Contains(err.Error(), "no space left") {
				return fmt.Errorf("a new store on the full disk: %w", err)
			}
			return nil
		},
		func() error { return os.Remove(ballast) },
		func() error { return awaitState(states, ReserveUsed) },
		func() error { return awaitState(states, Healthy) }, // with a new reserve
		func() error { return wantRecords(s, 6) },
		func() error {
			if stored, err := s.LoadCalls(); err != nil || len(stored) != calls {
				return fmt.Errorf("%d calls, want %d: %w", len(stored), calls, err)
			}
			return nil
		},
		addUser,
	)
}

// closeWhileFull fills the queue: calls are refused at its limit, call records at twice that.
func closeWhileFull(s *Store) error {
	for n := range 6 {
		err := await(func(done func(error)) error { return s.CloseCall(fmt.Sprint("x", n), record(n), done) })
		if err := wantKind(err, fault.Exhausted, "free space"); err != nil {
			return err
		}
	}
	if err := wantKind(s.SaveCall("new", nil, record(9), nil), fault.Exhausted, "too many wait"); err != nil {
		return err
	}
	if err := wantKind(s.CloseCall("y", record(9), nil), fault.Exhausted, "too many wait"); err != nil {
		return err
	}
	if s.PendingFor() <= 0 {
		return errors.New("nothing is pending")
	}
	return wantRecords(s, 6)
}

// fill writes to a file until nothing goes in any more.
func fill(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	for _, size := range []int{1 << 20, 1 << 12, 1} {
		for block := make([]byte, size); err == nil; {
			_, err = f.Write(block)
		}
		if !errors.Is(err, unix.ENOSPC) {
			return err
		}
		err = nil
	}
	return f.Close()
}

type codedError int

func (e codedError) Error() string { return fmt.Sprint("code ", int(e)) }
func (e codedError) Code() int     { return int(e) }

func TestStateOfErrors(t *testing.T) {
	t.Parallel()
	for err, want := range map[error]State{
		codedError(13):               Full,   // SQLITE_FULL
		codedError(5):                Full,   // SQLITE_BUSY
		codedError(517):              Full,   // SQLITE_BUSY_SNAPSHOT
		codedError(778):              Full,   // SQLITE_IOERR_WRITE
		codedError(1034):             Broken, // SQLITE_IOERR_FSYNC
		codedError(1290):             Broken, // SQLITE_IOERR_DIR_FSYNC
		codedError(266):              Broken, // SQLITE_IOERR_READ
		codedError(11):               Broken, // SQLITE_CORRUPT
		errors.New("something else"): Broken,
	} {
		if got := stateOf(fmt.Errorf("wrapped: %w", err)); got != want {
			t.Errorf("%v: %v, want %v", err, got, want)
		}
	}
}

func init() { children["restart on full disk"] = restartOnFullDisk }

// TestRestartOnFullDisk opens a store where nothing can be written but in the reserve, after a stop that
// left no file of SQLite's behind.
func TestRestartOnFullDisk(t *testing.T) {
	t.Parallel()
	if out, err := ownMounts(child("restart on full disk", t.TempDir())).Output(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

func restartOnFullDisk(dir string) error {
	if err := mountSmall(dir); err != nil {
		return err
	}
	s, err := Open(dir, Options{ReserveBytes: 1 << 20})
	if err != nil {
		return err
	}
	if err := errors.Join(s.SetSetting("realm", "example.org"), s.Close(), fill(filepath.Join(dir, "ballast"))); err != nil {
		return err
	}
	s, err = Open(dir, Options{ReserveBytes: 1 << 20})
	if err != nil {
		return err
	}
	if realm, _, err := s.Setting("realm"); err != nil || realm != "example.org" {
		return fmt.Errorf("realm %q: %w", realm, err)
	}
	if state, cause := s.State(); state != ReserveUsed {
		return fmt.Errorf("the store is %v: %w", state, cause)
	}
	return s.Close()
}
