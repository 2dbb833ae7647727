package supervise

import (
	"slices"
	"testing"
	"time"
)

func TestBackoff(t *testing.T) {
	t.Parallel()
	b := backoff{first: DefaultFirstDelay, limit: DefaultMaxDelay, stable: DefaultStableAfter}
	var got []time.Duration
	for range 9 {
		got = append(got, b.after(time.Second)/time.Millisecond)
	}
	if want := []time.Duration{100, 200, 400, 800, 1600, 3200, 6400, 10000, 10000}; !slices.Equal(got, want) {
		t.Errorf("waits %v ms, want %v", got, want)
	}
	if wait := b.after(DefaultStableAfter); wait != DefaultFirstDelay {
		t.Errorf("after a long life %v, want %v", wait, DefaultFirstDelay)
	}
	if wait := b.after(0); wait != 2*DefaultFirstDelay {
		t.Errorf("then %v, want %v", wait, 2*DefaultFirstDelay)
	}
}
