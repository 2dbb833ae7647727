package supervise

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// Signals turns the signals that end a daemon into what [Run] takes: ctx ends with the first SIGTERM, SIGINT or SIGHUP
// (a closed terminal), hurry closes with the second. The caller calls stop when Run returned.
//
// It also makes a closed standard output or error (a reader that went away) an ordinary error: by default the Go
// runtime ends a process that writes there.
func Signals(parent context.Context) (ctx context.Context, hurry <-chan struct{}, stop func()) {
	signal.Ignore(syscall.SIGPIPE)
	ctx, cancel := context.WithCancel(parent)
	second := make(chan struct{})
	arrived := make(chan os.Signal, 2)
	over, left := make(chan struct{}), make(chan struct{})
	signal.Notify(arrived, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	go func() {
		defer close(left)
		for count := 1; ; count++ {
			select {
			case <-over:
				return
			case <-arrived:
			}
			cancel()
			if count == 2 {
				close(second)
				return
			}
		}
	}()
	return ctx, second, func() {
		signal.Stop(arrived)
		close(over)
		<-left
		cancel()
	}
}
