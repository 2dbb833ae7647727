package node

import (
	"bufio"
	"context"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A node's processes, by their subcommand.
const (
	Supervisor = "run"
	Signal     = "signal"    // of an office
	Media      = "media"     // of an office
	Directory  = "directory" // of a hub
)

// PID is the process of that role that runs now; 0 if there is none.
func (n *tree) PID(role string) int {
	n.mu.Lock()
	cmd, exited := n.cmd, n.exited
	n.mu.Unlock()
	select {
	case <-exited:
		return 0
	default:
	}
	if role == Supervisor {
		return cmd.Process.Pid
	}
	for _, pid := range children(cmd.Process.Pid) {
		if args := arguments(pid); len(args) > 1 && args[1] == role {
			return pid
		}
	}
	return 0
}

// children are the living children of a process.
func children(parent int) []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var out []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if s, ok := statusOf(pid); ok && s.parent == parent {
			out = append(out, pid)
		}
	}
	return out
}

// status is what is needed of /proc/PID/stat. Pid and started together name a process: pids are used again.
type status struct {
	parent  int
	started uint64 // ticks since boot
}

// statusOf knows nothing of a process that is gone or a zombie.
func statusOf(pid int) (status, bool) {
	data, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return status{}, false
	}
	text := string(data)
	f := strings.Fields(text[strings.LastIndexByte(text, ')')+1:]) // the name in brackets may hold anything
	const state, parent, started = 0, 1, 19
	if len(f) <= started || f[state] == "Z" || f[state] == "X" {
		return status{}, false
	}
	ppid, err1 := strconv.Atoi(f[parent])
	ticks, err2 := strconv.ParseUint(f[started], 10, 64)
	return status{parent: ppid, started: ticks}, err1 == nil && err2 == nil
}

func arguments(pid int) []string {
	data, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
	if err != nil {
		return nil
	}
	return strings.Split(strings.TrimRight(string(data), "\x00"), "\x00")
}

// note remembers the processes that belong to the node now.
func (n *tree) note() {
	n.mu.Lock()
	cmd := n.cmd
	n.mu.Unlock()
	pids := append(children(cmd.Process.Pid), cmd.Process.Pid)
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, pid := range pids {
		if s, ok := statusOf(pid); ok {
			n.seen[pid] = s.started
		}
	}
}

// KillSignal ends the signalling process with SIGKILL and gives the moment.
func (n *tree) KillSignal() (time.Time, error) { return n.kill(Signal) }

// KillMedia ends the media process with SIGKILL and gives the moment.
func (n *tree) KillMedia() (time.Time, error) { return n.kill(Media) }

// KillAll ends all of the node's processes with SIGKILL, gives the moment, and waits until the supervisor is gone.
func (n *tree) KillAll() (time.Time, error) {
	n.note()
	at := time.Now()
	for _, role := range []string{Signal, Media, Directory} { // first: the supervisor takes longer to start them again
		if n.PID(role) == 0 {
			continue
		}
		if _, err := n.kill(role); err != nil {
			return at, err
		}
	}
	_, err := n.KillSupervisor()
	return at, err
}

// KillSupervisor ends the supervisor with SIGKILL, gives the moment, and waits until it is gone. Its children are left
// to notice by themselves.
func (n *tree) KillSupervisor() (time.Time, error) {
	at, err := n.kill(Supervisor)
	if err == nil {
		<-n.exited
	}
	return at, err
}

func (n *tree) kill(role string) (time.Time, error) {
	n.note()
	pid := n.PID(role)
	if pid == 0 {
		return time.Time{}, fmt.Errorf("kill: no process %s", role)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		return time.Time{}, fmt.Errorf("kill %s: %w", role, err)
	}
	return time.Now(), nil
}

// WaitRestarted waits until a process of that role runs that is not old, and gives its pid.
func (n *tree) WaitRestarted(ctx context.Context, role string, old int) (int, error) {
	for {
		if pid := n.PID(role); pid != 0 && pid != old {
			n.note()
			return pid, nil
		}
		if err := pause(ctx, pollEvery); err != nil {
			return 0, fmt.Errorf("process %s did not come back: %w", role, err)
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// alive are the node's processes that still run.
func (n *tree) alive() []int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.DeleteFunc(slices.Sorted(maps.Keys(n.seen)), func(pid int) bool {
		s, ok := statusOf(pid)
		return !ok || s.started != n.seen[pid]
	})
}

// Bound are the UDP sockets and TCP listeners bound to an IPv4 address, by the kernel's tables.
func Bound(addr netip.Addr) []string {
	var out []string
	for _, table := range []string{"udp", "tcp"} {
		f, err := os.Open("/proc/thread-self/net/" + table) // of the namespace that the caller is in
		if err != nil {
			continue
		}
		for lines := bufio.NewScanner(f); lines.Scan(); {
			fields := strings.Fields(lines.Text())
			if len(fields) < 4 || table == "tcp" && fields[3] != "0A" { // 0A: listening
				continue
			}
			if a, ok := kernelAddress(fields[1]); ok && a.Addr() == addr {
				out = append(out, table+" "+a.String())
			}
		}
		_ = f.Close()
	}
	return out
}

// kernelAddress reads "0B00007F:13C4": an IPv4 address in host order (little endian here) and a port, in hexadecimal.
func kernelAddress(text string) (netip.AddrPort, bool) {
	host, port, ok := strings.Cut(text, ":")
	v, err1 := strconv.ParseUint(host, 16, 32)
	p, err2 := strconv.ParseUint(port, 16, 16)
	if !ok || err1 != nil || err2 != nil {
		return netip.AddrPort{}, false
	}
	a := netip.AddrFrom4([4]byte{byte(v), byte(v >> 8), byte(v >> 16), byte(v >> 24)})
	return netip.AddrPortFrom(a, uint16(p)), true
}
