package load

import (
	"context"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mss-federation/mss/cmd/internal/bench/proc"
)

// collection is a line that the Go runtime writes with GODEBUG=gctrace=1.
type collection struct {
	since time.Duration // since its process began
	live  int64         // bytes that were found alive, to the MiB
}

// gctrace is "gc 5 @131.2s 0%: … ms clock, … ms cpu, 12->12->9 MB, 20 MB goal, …".
var gctrace = regexp.MustCompile(`^gc \d+ @([\d.]+)s .* \d+->\d+->(\d+) MB,`)

func parseCollection(line string) (collection, bool) {
	found := gctrace.FindStringSubmatch(line)
	if found == nil {
		return collection{}, false
	}
	since, err1 := time.ParseDuration(found[1] + "s")
	mib, err2 := strconv.ParseInt(found[2], 10, 64)
	return collection{since: since, live: mib << 20}, err1 == nil && err2 == nil
}

// liveHeaps waits until each of the processes has made a collection and gives what it found alive; -1 for a process
// that made none in time. Their starts must lie apart.
func liveHeaps(ctx context.Context, log string, pids []int, limit time.Duration) ([]int64, error) {
	starts, live := make([]time.Time, len(pids)), make([]int64, len(pids))
	for i, pid := range pids {
		var err error
		if starts[i], err = proc.Started(pid); err != nil {
			return nil, err
		}
		live[i] = -1
	}
	f, err := os.Open(log)
	if err != nil {
		return nil, fmt.Errorf("read collections: %w", err)
	}
	defer f.Close()
	if _, err := f.Seek(0, io.SeekEnd); err != nil {
		return nil, fmt.Errorf("read collections: %w", err)
	}
	end, rest := time.Now().Add(limit), ""
	for slices.Contains(live, -1) && time.Now().Before(end) {
		if err := wait(ctx, apartBy/10); err != nil {
			return nil, err
		}
		text, err := io.ReadAll(f)
		if err != nil {
			return nil, fmt.Errorf("read collections: %w", err)
		}
		lines := strings.Split(rest+string(text), "\n")
		rest = lines[len(lines)-1] // the runtime writes a line in pieces
		take(lines[:len(lines)-1], time.Now(), starts, live)
	}
	return live, nil
}

// take fills in what lines that have just been written say.
func take(lines []string, now time.Time, starts []time.Time, live []int64) {
	for _, line := range lines {
		c, ok := parseCollection(line)
		if i := writer(starts, now.Add(-c.since)); ok && i >= 0 {
			live[i] = c.live
		}
	}
}

// writer is which process began at a moment; -1 if none did.
func writer(starts []time.Time, began time.Time) int {
	for i, start := range starts {
		if began.Sub(start).Abs() < apartBy {
			return i
		}
	}
	return -1
}
