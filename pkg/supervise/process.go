package supervise

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// planVariable carries the plan to the child.
const planVariable = "MSS_SUPERVISED"

// plan tells a child which descriptor is what.
type plan struct {
	Name      string       `json:"name"`
	Life      int          `json:"life"`   // read end; it closes when the supervisor is gone
	Beat      int          `json:"beat"`   // write end; marks go there
	Config    int          `json:"config"` // sealed memory with the checked configuration
	Crash     int          `json:"crash"`  // memory for what the runtime says when it dies
	Fresh     int          `json:"fresh"`  // sealed memory with what Child.Fresh gave; zero without it
	BeatEvery int64        `json:"beat_every_ns"`
	Sockets   []socketPlan `json:"sockets"`
}

type socketPlan struct {
	Name    string `json:"name"`
	Network string `json:"network"`
	FD      int    `json:"fd"`
}

// mark is one byte on the heartbeat pipe.
type mark byte

const (
	markBeat  mark = 'b'
	markReady mark = 'r'
)

// process is one running child, as its keeper sees it.
type process struct {
	pid     int
	proc    *os.Process
	started time.Time
	life    *os.File // write end, never written: its closing is the message
	beats   *os.File // read end
	crash   *os.File
	marks   chan mark
	read    chan struct{} // closed when the reader of beats ended

	exited chan struct{} // closed when the process was reaped; the fields below are set then
	state  *os.ProcessState
	err    error
	uptime time.Duration
}

// spawn starts the child.
//
// It uses syscall.ForkExec on raw descriptors and not os/exec: a socket's O_NONBLOCK flag belongs to the open file,
// which all processes that hold it share. A package that clears it for its own descriptor ((*os.File).Fd on what
// (*net.UDPConn).File gave, which is what os/exec calls) makes the running child's reads block a thread each, and its
// Close hang. Sockets therefore stay bare descriptors here, from socket(2) to the child.
//
// There is no Pdeathsig either: it is bound to the thread that forked, which the Go runtime may end at any time. The
// child sees its life pipe close instead. A group of its own keeps a terminal's Ctrl-C from the child, so that the
// stopping order is ours.
func (k *keeper) spawn() (*process, error) {
	p := &process{marks: make(chan mark), read: make(chan struct{}), exited: make(chan struct{})}
	childEnds, err := p.open(k.child.Name)
	if err == nil && k.child.Fresh != nil {
		var fresh *os.File
		if fresh, err = sealedFile("fresh", k.child.Fresh()); err == nil {
			childEnds = append(childEnds, fresh)
		}
	}
	defer func() {
		for _, f := range childEnds {
			if cerr := f.Close(); cerr != nil {
				k.opts.Logger.Error("descriptor not closed", "error", cerr)
			}
		}
	}()
	if err != nil {
		return nil, errors.Join(err, p.close())
	}
	files, env, err := k.handover(childEnds, p.crash)
	if err != nil {
		return nil, errors.Join(err, p.close())
	}
	p.started = time.Now()
	argv := append([]string{os.Args[0]}, k.child.Args...)
	pid, err := syscall.ForkExec(k.child.Path, argv, &syscall.ProcAttr{
		Env:   env,
		Files: files,
		Sys:   &syscall.SysProcAttr{Setpgid: true},
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", k.child.Path, err), p.close())
	}
	// Nobody but us reaps this pid, so it cannot name another process yet.
	p.proc, err = os.FindProcess(pid)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("process %d: %w", pid, err), syscall.Kill(pid, syscall.SIGKILL), p.close())
	}
	p.pid = pid
	go p.readBeats()
	go p.wait()
	return p, nil
}

// open makes the pipes and the memory between the supervisor and one process. It returns the child's ends: standard
// input, life, beat.
func (p *process) open(name string) ([]*os.File, error) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	childEnds := []*os.File{null}
	lifeRead, lifeWrite, err := pipe("life", 0)
	if err != nil {
		return childEnds, err
	}
	p.life = lifeWrite
	childEnds = append(childEnds, lifeRead)
	// Non-blocking: the poller reads it, so that closing our end ends the reader.
	beatRead, beatWrite, err := pipe("beat", unix.O_NONBLOCK)
	if err != nil {
		return childEnds, err
	}
	p.beats = beatRead
	childEnds = append(childEnds, beatWrite)
	p.crash, err = memoryFile(name+"-crash", 0)
	return childEnds, err
}

// handover lists the descriptors in the order in which the child numbers them, and the environment that says so.
// childEnds are those of open and, behind them, what Child.Fresh gave.
func (k *keeper) handover(childEnds []*os.File, crash *os.File) ([]uintptr, []string, error) {
	files := []uintptr{childEnds[0].Fd(), 1, 2, childEnds[1].Fd(), childEnds[2].Fd(), k.config.Fd(), crash.Fd()}
	pl := plan{
		Name: k.child.Name, Life: 3, Beat: 4, Config: 5, Crash: 6,
		BeatEvery: int64(k.opts.HeartbeatTimeout / 6),
	}
	if len(childEnds) > 3 {
		pl.Fresh = len(files)
		files = append(files, childEnds[3].Fd())
	}
	for _, s := range k.child.Sockets {
		pl.Sockets = append(pl.Sockets, socketPlan{Name: s.Name, Network: s.Network, FD: len(files)})
		files = append(files, uintptr(s.fd))
	}
	text, err := json.Marshal(pl)
	if err != nil {
		return nil, nil, err
	}
	return files, append(environment(k.child.Env...), planVariable+"="+string(text)), nil
}

// ownVariables are meant for the supervisor alone.
var ownVariables = []string{
	planVariable, "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES",
}

// environment is the supervisor's own with the child's additions, each name once: with doubles the first would win.
func environment(added ...string) []string {
	env := slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return slices.Contains(ownVariables, name) ||
			slices.ContainsFunc(added, func(a string) bool { return strings.HasPrefix(a, name+"=") })
	})
	return append(env, added...)
}

// readBeats hands marks to the keeper. Once the process was reaped nobody takes them any more.
func (p *process) readBeats() {
	defer close(p.read)
	buf := make([]byte, 64)
	for {
		n, err := p.beats.Read(buf)
		for _, b := range buf[:n] {
			select {
			case p.marks <- mark(b):
			case <-p.exited:
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (p *process) wait() {
	p.state, p.err = p.proc.Wait()
	p.uptime = time.Since(p.started)
	close(p.exited)
}

// signal sends sig. A process that is gone already is what the caller wants, so there is no error.
func (p *process) signal(sig syscall.Signal) {
	_ = p.proc.Signal(sig)
}

// exitError is nil after exit status 0.
func (p *process) exitError() error {
	switch {
	case p.err != nil:
		return p.err
	case p.state.Success():
		return nil
	}
	return errors.New(p.state.String())
}

// release gives back what belonged to a process that was reaped.
func (p *process) release() {
	_ = p.close() // nothing was written to any of them
	<-p.read
}

func (p *process) close() error {
	var errs []error
	for _, f := range []*os.File{p.life, p.beats, p.crash} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(errs...)
}

// pipe makes a pipe whose ends no other child inherits.
func pipe(name string, flags int) (r, w *os.File, err error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC|flags); err != nil {
		return nil, nil, fmt.Errorf("pipe %s: %w", name, err)
	}
	return os.NewFile(uintptr(fds[0]), name), os.NewFile(uintptr(fds[1]), name), nil
}

// memoryFile makes a file without a name, so that neither a full disk nor a moved directory matters.
func memoryFile(name string, flags int) (*os.File, error) {
	fd, err := unix.MemfdCreate("mss-"+name, unix.MFD_CLOEXEC|flags)
	if err != nil {
		return nil, fmt.Errorf("memory file %s: %w", name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// sealedFile is a memory file with content that nobody can change any more, the children neither.
func sealedFile(name string, content []byte) (*os.File, error) {
	f, err := memoryFile(name, unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, err
	}
	if _, err := f.Write(content); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	seals := unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE
	if _, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, seals); err != nil {
		return nil, errors.Join(fmt.Errorf("seal %s: %w", name, err), f.Close())
	}
	return f, nil
}
