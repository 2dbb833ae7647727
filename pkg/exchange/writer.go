package exchange

import (
	"errors"
	"sync"
	"time"

	exchangev1 "github.com/mss-federation/mss/proto/mss/exchange/v1"
)

// writer sends frames in their order from its own goroutine. What waits is bounded by the credit and by
// the deadline.
type writer struct {
	stream   Stream
	deadline time.Duration // for one frame
	ready    chan struct{} // has a value when there is something to send, or no more
	failed   chan error    // has a value when writing is over for a reason
	done     chan struct{} // closed when nothing is written any more

	mu struct {
		sync.Mutex
		frames []*exchangev1.Frame
		last   bool
	}
}

var errSlow = errors.New("the neighbour took nothing for the hold time")

func newWriter(stream Stream, deadline time.Duration) *writer {
	w := &writer{stream: stream, deadline: deadline, ready: make(chan struct{}, 1), failed: make(chan error, 2), done: make(chan struct{})}
	go w.run()
	return w
}

func (w *writer) send(f *exchangev1.Frame) {
	w.mu.Lock()
	w.mu.frames = append(w.mu.frames, f)
	w.mu.Unlock()
	w.wake()
}

func (w *writer) wake() {
	select {
	case w.ready <- struct{}{}:
	default:
	}
}

// finish waits until everything has left, for so long at most.
func (w *writer) finish(patience time.Duration) {
	w.mu.Lock()
	w.mu.last = true
	w.mu.Unlock()
	w.wake()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-w.done:
	case <-timer.C:
	}
}

func (w *writer) run() {
	defer close(w.done)
	for range w.ready {
		w.mu.Lock()
		frames, last := w.mu.frames, w.mu.last
		w.mu.frames = nil
		w.mu.Unlock()
		for _, f := range frames {
			if err := w.write(f); err != nil {
				w.failed <- err
				return
			}
		}
		if last {
			return
		}
	}
}

// write reports a frame that does not leave in time; the stream's end is what unblocks it.
func (w *writer) write(f *exchangev1.Frame) error {
	slow := time.AfterFunc(w.deadline, func() { w.failed <- errSlow })
	defer slow.Stop()
	return w.stream.Send(f)
}
