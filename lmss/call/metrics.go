package call

import "sync/atomic"

// runnerMetrics are written by the runner's worker alone.
type runnerMetrics struct {
	begun atomic.Uint64
	live  atomic.Int64
}

// Counts are the calls that began since the runner was made, and those that are being set up or up now. It may be
// called from any goroutine.
func (r *Runner) Counts() (begun uint64, live int64) {
	return r.metrics.begun.Load(), r.metrics.live.Load()
}
