package layers

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
)

func TestStopReversesStart(t *testing.T) {
	t.Parallel()
	var l Layers
	var ended []string
	for _, name := range []string{"a", "b", "c"} {
		l.Start(name, slog.New(slog.DiscardHandler), func(ctx context.Context) error {
			<-ctx.Done()
			ended = append(ended, name) // each is awaited before the next is stopped: no race
			return nil
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Wait(ctx); err != nil {
		t.Error(err)
	}
	l.Stop()
	if !slices.Equal(ended, []string{"c", "b", "a"}) {
		t.Errorf("ended %v", ended)
	}
}

func TestAPartThatEndsBreaksTheProcess(t *testing.T) {
	t.Parallel()
	broken := errors.New("out of luck")
	for _, err := range []error{broken, nil} {
		var l Layers
		l.Start("part", slog.New(slog.DiscardHandler), func(context.Context) error { return err })
		got := l.Wait(t.Context())
		if got == nil || err != nil && !errors.Is(got, err) {
			t.Errorf("part ended with %v: %v", err, got)
		}
		l.Stop()
	}
}
