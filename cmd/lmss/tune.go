package main

import (
	"bytes"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"

	"golang.org/x/sys/unix"
)

// gcPercent is how much garbage the children let gather, relative to what lives, before they collect it. What lives
// is small, 1 KB a call, and collecting is a fifth of a call's cost at Go's own 100.
const gcPercent = 400

// tuneHeap trades memory for time, and half of the machine's memory at most: beyond that the collector works as hard
// as it must. GOGC and GOMEMLIMIT in the environment come first.
func tuneHeap() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memory() / 2)
	}
}

// tuneProcessors leaves half of the processors to voice, the kernel and everything else, unless more workers are asked
// for: signalling that spreads over all of them spends a quarter of its time on waking them up. GOMAXPROCS in the
// environment comes first.
func tuneProcessors(workers int) {
	if os.Getenv("GOMAXPROCS") != "" {
		return
	}
	all := runtime.GOMAXPROCS(0)
	if workers == 0 {
		workers = max(1, all/2)
	}
	runtime.GOMAXPROCS(min(all, workers))
}

// memory is what this process may have, in bytes: the machine's, or less in a container.
func memory() int64 {
	limit := int64(math.MaxInt64)
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) == nil {
		limit = int64(info.Totalram) * int64(info.Unit)
	}
	// Outside a container the file is not there or says "max".
	text, err := os.ReadFile("/sys/fs/cgroup/memory.max")
	if n, bad := strconv.ParseInt(string(bytes.TrimSpace(text)), 10, 64); err == nil && bad == nil {
		limit = min(limit, n)
	}
	return limit
}
