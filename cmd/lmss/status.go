package main

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mss-federation/mss/cmd/internal/version"
	"github.com/mss-federation/mss/lmss/admin"
)

// newStatus gives what only the process knows about itself and its like.
func newStatus() func() admin.Status {
	started := time.Now()
	return func() admin.Status {
		return admin.Status{
			Version:   version.Version(),
			Commit:    version.Commit(),
			Started:   started,
			Processes: processes(os.Getppid()),
		}
	}
}

// processes finds the supervisor and its children. The supervisor tells nobody about its children: it only has to
// survive, and the kernel knows them.
func processes(supervisor int) []admin.Process {
	found := []admin.Process{{Name: "supervisor", PID: supervisor}, {Name: "signal"}, {Name: "media"}}
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return found
	}
	for _, path := range stats {
		if parentOf(path) != supervisor {
			continue
		}
		dir := filepath.Dir(path)
		command, err := os.ReadFile(filepath.Join(dir, "cmdline"))
		args := strings.Split(string(command), "\x00")
		if err != nil || len(args) < 2 {
			continue
		}
		i := slices.IndexFunc(found, func(p admin.Process) bool { return p.Name == args[1] })
		if pid, err := strconv.Atoi(filepath.Base(dir)); err == nil && i > 0 {
			found[i].PID = pid
		}
	}
	return found
}

// parentOf reads the fourth field of a stat file (proc(5)); the second, in brackets, may hold anything. Zero means that
// the process is gone.
func parentOf(stat string) int {
	text, err := os.ReadFile(stat)
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(fields) < 2 {
		return 0
	}
	parent, err := strconv.Atoi(fields[1])
	if err != nil {
		return 0
	}
	return parent
}
