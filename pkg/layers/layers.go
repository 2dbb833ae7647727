// Package layers runs the long-lived parts of a process and stops them in the reverse order of their start, so that
// what a part needs outlives it. Start at [Layers.Start].
package layers

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
)

// Layers are the parts of one process. The zero value has none. Start and Stop belong to one goroutine.
type Layers struct {
	running []layer
	failed  chan error
	once    sync.Once
}

type layer struct {
	cancel context.CancelFunc
	done   chan struct{}
}

// Start runs fn until Stop. A part that ends by itself is a failure of the process: see Broken.
func (l *Layers) Start(name string, logger *slog.Logger, fn func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	it := layer{cancel: cancel, done: make(chan struct{})}
	l.running = append(l.running, it)
	failed := l.broken()
	go func() {
		defer close(it.done)
		err := fn(ctx)
		if ctx.Err() != nil && (err == nil || errors.Is(err, context.Canceled)) {
			return
		}
		logger.Error("part of the process ended", "part", name, "err", err)
		if err == nil {
			err = errors.New(name + " ended")
		}
		select {
		case failed <- err:
		default:
		}
	}()
}

// Broken gets the error of the first part that ends by itself.
func (l *Layers) Broken() <-chan error { return l.broken() }

func (l *Layers) broken() chan error {
	l.once.Do(func() { l.failed = make(chan error, 1) })
	return l.failed
}

// Wait returns when ctx ends, with nil, or when a part ends by itself, with its error.
func (l *Layers) Wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case err := <-l.broken():
		return err
	}
}

// Stop ends the parts, the last first, each awaited before the next.
func (l *Layers) Stop() {
	for _, it := range slices.Backward(l.running) {
		it.cancel()
		<-it.done
	}
	l.running = nil
}
