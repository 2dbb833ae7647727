package relay

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// poll tells a loop which of its sockets have something to read. Its epoll descriptor is itself watched by Go's
// poller, so that a loop with nothing to do is a parked goroutine. A thread that blocks in epoll_wait keeps Go's monitor
// awake instead and is told apart from its processor each time: that was half of what relaying a packet cost. It
// belongs to its loop.
type poll struct {
	file *os.File
	raw  syscall.RawConn
	fd   int

	room [batch]unix.EpollEvent
	n    int
	read func(fd uintptr) (done bool)
}

func newPoll() (*poll, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("create epoll: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // os.NewFile asks for it
		return nil, errors.Join(fmt.Errorf("create epoll: %w", err), unix.Close(fd))
	}
	p := &poll{fd: fd, file: os.NewFile(uintptr(fd), "epoll")}
	p.read = p.collect
	if p.raw, err = p.file.SyscallConn(); err == nil {
		err = p.file.SetReadDeadline(time.Time{}) // it fails when Go's poller did not take the descriptor
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("watch epoll: %w", err), p.file.Close())
	}
	return p, nil
}

func (p *poll) close() error { return p.file.Close() }

func (p *poll) watch(fd int, data int32) error {
	err := unix.EpollCtl(p.fd, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: data})
	if err != nil {
		return fmt.Errorf("watch socket: %w", err)
	}
	return nil
}

func (p *poll) forget(fd int) error { return unix.EpollCtl(p.fd, unix.EPOLL_CTL_DEL, fd, nil) }

// until sets how long wait may wait from now on.
func (p *poll) until(t time.Time) error { return p.file.SetReadDeadline(t) }

// wait returns what is ready, at the latest when its time is over: then nothing. What it returns is valid until it is
// called again.
func (p *poll) wait() []unix.EpollEvent {
	p.n = 0
	_ = p.raw.Read(p.read) // it fails when its time is over
	return p.room[:p.n]
}

// collect does not wait, so that the scheduler need not be told of the call.
func (p *poll) collect(fd uintptr) (done bool) {
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, fd, uintptr(unsafe.Pointer(&p.room[0])), batch, 0, 0, 0)
	if errno != 0 {
		n = 0
	}
	p.n = int(n)
	return n > 0
}
