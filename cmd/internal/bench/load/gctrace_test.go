package load

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

const line = "gc 9 @131.438s 0%: 0.094+9.8+0.004 ms clock, 0.18+0.11/3.4/9.2+0.008 ms cpu, 32->33->18 MB, 33 MB goal, 0 MB stacks, 0 MB globals, 2 P"

func TestCollection(t *testing.T) {
	t.Parallel()
	got, ok := parseCollection(line)
	if want := (collection{since: 131438 * time.Millisecond, live: 18 << 20}); got != want || !ok {
		t.Errorf("got %+v, %t, want %+v", got, ok, want)
	}
	for _, other := range []string{"", "ready", "gc 9 @x", "scvg: 8 MB released", "time=2026-11-23T07:46:42Z level=INFO msg=\"gc 9 @1s 0%: 1->1->1 MB,\""} {
		if c, ok := parseCollection(other); ok {
			t.Errorf("%q was read as %+v", other, c)
		}
	}
}

// TestTakeTellsProcessesApart by when they began.
func TestTakeTellsProcessesApart(t *testing.T) {
	t.Parallel()
	now := time.Now()
	starts := []time.Time{now.Add(-130 * time.Second), now.Add(-131400 * time.Millisecond), now.Add(-133 * time.Second)}
	live := []int64{-1, -1, -1}
	take([]string{"ready", line}, now, starts, live)
	if want := []int64{-1, 18 << 20, -1}; !slices.Equal(live, want) {
		t.Errorf("got %v, want %v", live, want)
	}
}

// TestLiveHeapsReadsOnlyWhatIsNew: collections before the measurement say nothing about it.
func TestLiveHeapsReadsOnlyWhatIsNew(t *testing.T) {
	t.Parallel()
	log := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(log, []byte("gc 1 @0.001s 0%: 1 ms clock, 1 ms cpu, 1->1->1 MB, 4 MB goal\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := liveHeaps(t.Context(), log, []int{os.Getpid()}, 100*time.Millisecond)
	if want := []int64{-1}; !slices.Equal(got, want) || err != nil {
		t.Errorf("got %v, want %v: %v", got, want, err)
	}
}
