package signal

import (
	"context"
	"runtime"
	"sync"
	"testing"
)

// A call that is over leaves its transactions behind for 32 s, and they no more than they need to answer repetitions:
// at 2000 calls a second whatever they hold is held 64 000 times. It counts the whole heap, and so is not parallel.
func TestEndedCallsAreSmall(t *testing.T) { //nolint:paralleltest // see above
	const calls, most = 3000, 3500
	line := newLoopLine()
	s := benchSite(t, line)
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = s.stack.Run(ctx) })
	running.Go(func() { _ = s.endpoint.Run(ctx) })
	defer running.Wait()
	defer stop()
	n := 0
	call := func(count int) uint64 {
		for range count {
			n++
			line.dial(n)
			<-line.done
		}
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := call(100)
	if each := (call(calls) - before) / calls; each > most {
		t.Errorf("a call that is over holds %d bytes, at most %d", each, most)
	} else {
		t.Logf("a call that is over holds %d bytes", each)
	}
}
