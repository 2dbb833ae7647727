package main

import (
	"context"
	"errors"
	"time"

	"github.com/mss-federation/mss/pkg/fault"
)

// errSilent is the cause of the end of a request to a node that said nothing for too long.
var errSilent = errors.New("the node says nothing")

// patience ends a request when the node says nothing for a while. It does not run while what the node said is being
// printed: a list may be read page by page.
type patience struct {
	limit time.Duration
	timer *time.Timer
	once  bool // it ends with the first word, as for a watch, in which nothing may happen for long
}

// newPatience starts it. The context that it gives ends with it; stop is called in the end.
func newPatience(ctx context.Context, limit time.Duration, once bool) (_ context.Context, p *patience, stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	p = &patience{limit: limit, once: once, timer: time.AfterFunc(limit, func() { cancel(errSilent) })}
	return ctx, p, func() { p.timer.Stop(); cancel(nil) }
}

// heard stops the clock; waiting starts it again.
func (p *patience) heard() { p.timer.Stop() }

func (p *patience) waiting() {
	if !p.once {
		p.timer.Reset(p.limit)
	}
}

// lost says that it ended, if it did.
func (p *patience) lost(ctx context.Context, op string) error {
	if !errors.Is(context.Cause(ctx), errSilent) {
		return nil
	}
	return fault.New(op, fault.Timeout, "", "the node said nothing for "+p.limit.String()+": look at its log; --timeout waits longer")
}
