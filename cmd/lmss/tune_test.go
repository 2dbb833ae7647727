package main

import (
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestGarbageIsBounded(t *testing.T) {
	t.Parallel()
	const mb = 1 << 20
	for _, c := range []struct {
		live, most uint64
		want       int
	}{
		{0, 512 * mb, 400},
		{1 * mb, 512 * mb, 400},
		{128 * mb, 512 * mb, 400},
		{256 * mb, 512 * mb, 200},
		{512 * mb, 512 * mb, 100},
		{4096 * mb, 512 * mb, 100},
		{64 * mb, 128 * mb, 200}, // a machine of 1 GB
	} {
		if got := percentOf(c.live, c.most); got != c.want {
			t.Errorf("beside %d MB, at most %d: %d %%, want %d", c.live/mb, c.most/mb, got, c.want)
		}
	}
}

// The process's own collector is what these are about; so they are not parallel.

func TestCollectorFollowsWhatLives(t *testing.T) { //nolint:paralleltest // see above
	before := debug.SetGCPercent(gcPercent)
	most := live() + 64<<20
	boundGarbage(most, gcPercent)
	held := make([]byte, most)
	wantPercent(t, leastPercent)
	runtime.KeepAlive(held)
	wantPercent(t, gcPercent)
	debug.SetGCPercent(before)
}

// wantPercent collects until the collector was told, which happens soon after a collection.
func wantPercent(t *testing.T, want int) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(5 * time.Second); percent() != want; <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("the collector runs at %d %%, want %d", percent(), want)
		}
		runtime.GC()
	}
}

func percent() int {
	sample := []metrics.Sample{{Name: "/gc/gogc:percent"}}
	metrics.Read(sample)
	return int(sample[0].Value.Uint64())
}

func TestEnvironmentTunesTheHeap(t *testing.T) {
	percentBefore, limitBefore := debug.SetGCPercent(77), debug.SetMemoryLimit(1<<40)
	defer debug.SetGCPercent(percentBefore)
	defer debug.SetMemoryLimit(limitBefore)
	t.Setenv("GOGC", "77")
	t.Setenv("GOMEMLIMIT", "1TiB")
	tuneHeap()
	if limit := debug.SetMemoryLimit(-1); percent() != 77 || limit != 1<<40 {
		t.Errorf("%d %%, limit %d: the environment was not heard", percent(), limit)
	}
	t.Setenv("GOMEMLIMIT", "")
	tuneHeap()
	if limit := debug.SetMemoryLimit(-1); limit != memory()/2 {
		t.Errorf("limit %d, want half of %d", limit, memory())
	}
}

func TestMemoryIsTheMachinesAtMost(t *testing.T) {
	t.Parallel()
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		t.Fatal(err)
	}
	if got, all := memory(), int64(info.Totalram)*int64(info.Unit); got <= 0 || got > all || got == math.MaxInt64 {
		t.Errorf("%d bytes of %d", got, all)
	}
}

func TestProcessorsAreShared(t *testing.T) {
	all := runtime.GOMAXPROCS(4)
	defer runtime.GOMAXPROCS(all)
	if os.Getenv("GOMAXPROCS") != "" {
		t.Setenv("GOMAXPROCS", "")
	}
	for _, c := range []struct{ have, workers, want int }{{4, 0, 2}, {1, 0, 1}, {3, 0, 1}, {4, 3, 3}, {2, 8, 2}} {
		runtime.GOMAXPROCS(c.have)
		tuneProcessors(c.workers)
		if got := runtime.GOMAXPROCS(0); got != c.want {
			t.Errorf("%d processors, %d workers: %d, want %d", c.have, c.workers, got, c.want)
		}
	}
	runtime.GOMAXPROCS(4)
	t.Setenv("GOMAXPROCS", strconv.Itoa(4))
	tuneProcessors(1)
	if got := runtime.GOMAXPROCS(0); got != 4 {
		t.Errorf("%d processors: the environment was not heard", got)
	}
}
