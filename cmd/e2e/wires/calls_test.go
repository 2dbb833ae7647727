package wires

import (
	"context"
	"testing"
	"time"

	"github.com/mss-federation/mss/cmd/internal/rig/phone"
)

// outcome is how soon a caller heard of its call, and how it ended: 200 for one that came up.
type outcome struct {
	took   time.Duration
	status int
	err    error
}

// rings calls who answers by itself, says how soon its phone rang, and hangs up.
func rings(t *testing.T, from *phone.Phone, to string) time.Duration {
	t.Helper()
	o := call(within(t, settleFor), from, to)
	must(t, o.err)
	if o.status != 200 {
		t.Errorf("the call of %s to %s ended with %d after %v", from.Name(), to, o.status, o.took.Round(time.Millisecond))
	}
	return o.took
}

// fails calls who cannot be reached, and says how soon the caller knew.
func fails(t *testing.T, from *phone.Phone, to string) time.Duration {
	t.Helper()
	return failed(t, call(within(t, settleFor), from, to))
}

// failed wants a call not to have come up.
func failed(t *testing.T, o outcome) time.Duration {
	t.Helper()
	must(t, o.err)
	if o.status < 400 {
		t.Errorf("a call came up after %v, to nowhere", o.took)
	}
	return o.took
}

// calling makes a call beside the test.
func calling(t *testing.T, from *phone.Phone, to string) <-chan outcome {
	t.Helper()
	done := make(chan outcome, 1)
	ctx := within(t, settleFor)
	go func() { done <- call(ctx, from, to) }()
	return done
}

func call(ctx context.Context, from *phone.Phone, to string) (o outcome) {
	began := time.Now()
	out, err := from.Dial(ctx, to)
	if err != nil {
		return outcome{err: err}
	}
	select {
	case <-out.Ringing():
	case <-out.Answered():
	case <-out.Ended():
	case <-ctx.Done():
		return outcome{err: ctx.Err()}
	}
	o.took = time.Since(began)
	if o.err = out.WaitAnswered(ctx); o.err == nil {
		o.status, o.err = 200, out.Hangup(ctx)
	} else if status, _ := out.Status(); status >= 300 {
		o.status, o.err = status, nil
	}
	return o
}
