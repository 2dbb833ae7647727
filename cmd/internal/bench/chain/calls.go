package chain

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/mss-federation/mss/cmd/internal/bench/contender"
	"github.com/mss-federation/mss/cmd/internal/bench/sipp"
)

// Load is how many calls are begun, for how long, and how long each lasts.
type Load struct {
	Rate    int // new calls a second
	Seconds int
	Hold    time.Duration
}

// Calls is how many calls that makes.
func (l Load) Calls() int { return l.Rate * l.Seconds }

// String is the load for people.
func (l Load) String() string {
	return fmt.Sprintf("%d calls/s × %d s, %v each", l.Rate, l.Seconds, l.Hold)
}

// span is how long the load lasts when nothing is late.
func (l Load) span() time.Duration { return time.Duration(l.Seconds)*time.Second + l.Hold }

const (
	// patience is how long calls may take beyond: a lost message is repeated for 32 s (RFC 3261 §17.1).
	patience   = 45 * time.Second
	finishTime = 10 * time.Second
)

// CallsResult is what one run of SIPp showed.
type CallsResult struct {
	Calls    int
	Failed   int // calls that did not go as the scenario says, or were never made
	Lost180  int // calls that were answered without a 180 that the caller saw before
	Repeated int // messages that the phones sent again, or got again
	Elapsed  time.Duration
	Trouble  string // what SIPp said of the first calls that failed
}

// Calls puts signalling alone on the chain: SIPp calls SIPp.
func (c *Chain) Calls(ctx context.Context, load Load) (_ CallsResult, err error) {
	c.runs++
	dir, err := c.folder("callee")
	if err != nil {
		return CallsResult{}, err
	}
	limit := load.span() + patience
	callee, err := sipp.Answer(ctx, sipp.Options{Dir: dir, Scenario: c.scenario("uas.xml"), Local: c.callee, Limit: limit + finishTime})
	if err != nil {
		return CallsResult{}, err
	}
	defer func() { err = errors.Join(err, callee.Kill()) }()
	if err := contender.WaitBound(ctx, c.callee, callee.Ended()); err != nil {
		return CallsResult{}, fmt.Errorf("start callee: %w: %s", err, callee.Trouble())
	}
	caller, err := c.call(ctx, load, limit)
	if err != nil {
		return CallsResult{}, err
	}
	began := time.Now()
	out, _, err := caller.Wait()
	if err != nil {
		return CallsResult{}, err
	}
	r := CallsResult{
		Calls: load.Calls(), Failed: load.Calls() - out.Successful,
		Lost180: out.Received("200"), // the scenario's first 200 is the one without a 180
		Elapsed: time.Since(began),
	}
	in, _, err := callee.Finish(finishTime)
	r.Repeated = out.RepeatedBySelf() + in.RepeatedBySelf() + out.RepeatedByPeer() + in.RepeatedByPeer()
	if r.Failed > 0 {
		r.Trouble = caller.Trouble()
	}
	return r, err
}

func (c *Chain) call(ctx context.Context, load Load, limit time.Duration) (*sipp.Process, error) {
	dir, err := c.folder("caller")
	if err != nil {
		return nil, err
	}
	local, err := contender.FreePort(c.caller)
	if err != nil {
		return nil, err
	}
	return sipp.Call(ctx, sipp.Options{Dir: dir, Scenario: c.scenario("uac.xml"), Local: local, Limit: limit}, sipp.Calls{
		Server: c.london.UDP(), Called: sippCalled, User: sippCaller, Secret: password,
		Rate: load.Rate, Count: load.Calls(), Open: load.Calls(), Hold: load.Hold,
	})
}

func (c *Chain) scenario(name string) string { return filepath.Join(c.opt.Files, name) }
