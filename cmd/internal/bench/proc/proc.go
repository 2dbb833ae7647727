// Package proc reads what processes and the machine have used from Linux's /proc. It changes nothing and starts
// nothing. Start at [CPU].
package proc

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of the kernel's times in /proc: USER_HZ is 100 on every architecture that Go runs on (proc(5)).
const tick = time.Second / 100

// stat is what is used of /proc/PID/stat.
type stat struct {
	parent  int
	used    time.Duration // user and system, of the process and of its children that were waited for
	started time.Duration // after the machine
}

func readStat(pid int) (stat, error) {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return stat{}, fmt.Errorf("read process: %w", err)
	}
	return parseStat(string(data))
}

// parseStat reads a line of proc(5). The name in brackets may hold spaces and brackets.
func parseStat(line string) (stat, error) {
	end := strings.LastIndexByte(line, ')')
	fields := strings.Fields(line[end+1:])
	const parent, utime, cstime, starttime = 1, 11, 14, 19 // counted from the state, which follows the name
	if end < 0 || len(fields) <= starttime {
		return stat{}, fmt.Errorf("read process: %q is no line of /proc/PID/stat", line)
	}
	ppid, err := strconv.Atoi(fields[parent])
	if err != nil {
		return stat{}, fmt.Errorf("read process: parent: %w", err)
	}
	s := stat{parent: ppid}
	for _, f := range fields[utime : cstime+1] { // utime, stime, cutime, cstime
		used, err := ticks(f)
		if err != nil {
			return stat{}, err
		}
		s.used += used
	}
	s.started, err = ticks(fields[starttime])
	return s, err
}

func ticks(text string) (time.Duration, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read process: time: %w", err)
	}
	return time.Duration(n) * tick, nil
}

// Started is when a process began, to about 20 ms.
func Started(pid int) (time.Time, error) {
	s, err := readStat(pid)
	if err != nil {
		return time.Time{}, err
	}
	data, err := os.ReadFile("/proc/uptime")
	if err != nil {
		return time.Time{}, fmt.Errorf("read uptime: %w", err)
	}
	text, _, _ := strings.Cut(string(data), " ")
	uptime, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("read uptime: %w", err)
	}
	return time.Now().Add(s.started - time.Duration(uptime*float64(time.Second))), nil
}

// CPU is the processor time, user and system, that a process and all its descendants have used, in steps of 10 ms. A
// descendant that ended counts when its parent has waited for it.
func CPU(root int) (time.Duration, error) {
	own, err := readStat(root)
	if err != nil {
		return 0, err
	}
	total := own.used
	for _, s := range descendants(root) {
		total += s.used
	}
	return total, nil
}

// descendants are the living children of a process, their children, and so on.
func descendants(root int) map[int]stat {
	all := make(map[int]stat)
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if s, err := readStat(pid); err == nil { // one that ended meanwhile is its parent's to count
			all[pid] = s
		}
	}
	found := make(map[int]stat)
	for pid, s := range all {
		if below(all, s.parent, root) {
			found[pid] = s
		}
	}
	return found
}

// below says whether root is pid or one of its ancestors.
func below(all map[int]stat, pid, root int) bool {
	for range len(all) { // a snapshot of a changing system could hold a circle
		if pid == root {
			return true
		}
		s, ok := all[pid]
		if !ok {
			return false
		}
		pid = s.parent
	}
	return false
}

// Resident is the physical memory of one process in bytes (VmRSS).
func Resident(pid int) (int64, error) {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return 0, fmt.Errorf("read memory: %w", err)
	}
	for line := range strings.Lines(string(data)) {
		if value, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 64)
			if err != nil {
				return 0, fmt.Errorf("read memory: %w", err)
			}
			return kb << 10, nil
		}
	}
	return 0, fmt.Errorf("read memory: process %d shows no VmRSS", pid)
}
