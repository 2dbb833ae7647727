package main

import (
	"bytes"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strconv"

	"golang.org/x/sys/unix"
)

const (
	// gcPercent is how much garbage the children let gather, relative to what lives, before they collect it. What
	// lives is small, and collecting is a fifth of a call's cost at Go's own 100.
	gcPercent = 400
	// leastPercent is Go's own. Below it the collector would work more than it gives.
	leastPercent = 100
	// mostGarbage bounds what gathers, whatever lives: that much more brings next to nothing.
	mostGarbage = 512 << 20
)

// tuneHeap trades memory for time: garbage up to an eighth of the machine's memory, and half of it for all. Beyond that
// the collector works as hard as it must. GOGC and GOMEMLIMIT in the environment come first.
func tuneHeap() {
	total := memory()
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
		boundGarbage(min(mostGarbage, uint64(total)/8), gcPercent)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(total / 2)
	}
}

// boundGarbage looks after each collection at what lives and lets that much garbage gather until the next one. Go runs
// the cleanup of an object that nobody holds after a collection, and so of a new one after each.
func boundGarbage(most uint64, percent int) {
	if next := percentOf(live(), most); next != percent {
		debug.SetGCPercent(next)
		percent = next
	}
	mark := new([16]byte) // no pointers, and too large to share its block with others
	runtime.AddCleanup(mark, func(before int) { boundGarbage(most, before) }, percent)
}

// percentOf is what makes the garbage beside that many bytes that live at most so much.
func percentOf(live, most uint64) int {
	if live == 0 {
		return gcPercent
	}
	return int(min(max(most*100/live, leastPercent), gcPercent))
}

// live is what the last collection found alive, in bytes.
func live() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
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
