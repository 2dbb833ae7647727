package load

import (
	"context"
	"errors"
	"time"

	"github.com/mss-federation/mss/cmd/internal/bench/contender"
	"github.com/mss-federation/mss/cmd/internal/bench/proc"
	"github.com/mss-federation/mss/cmd/internal/bench/sipp"
)

// finishTime is how long the callee may take to end its last calls.
const finishTime = 10 * time.Second

// usage is what was used up to a moment.
type usage struct {
	at      time.Time
	server  time.Duration
	callee  time.Duration
	machine time.Duration
	dropped int
}

func (s *scene) usage() (usage, error) {
	u := usage{at: time.Now()}
	var errs [4]error
	u.server, errs[0] = proc.CPU(s.server.PID())
	u.callee, errs[1] = proc.CPU(s.callee.PID())
	u.machine, errs[2] = proc.Busy()
	u.dropped, errs[3] = proc.Dropped(s.server.Addr().Addr())
	return u, errors.Join(errs[:]...)
}

// measure puts the load on the contender and counts.
func (s *scene) measure(ctx context.Context, c contender.Contender, load Load) (Result, error) {
	before, err := s.usage()
	if err != nil {
		return Result{}, err
	}
	limit := time.Duration(load.Seconds)*time.Second + patience
	caller, err := s.call(ctx, c.Digest, sipp.Calls{Rate: load.Rate, Count: load.Calls(), Open: openCalls(load)}, limit)
	if err != nil {
		return Result{}, err
	}
	out, callerCPU, err := caller.Wait()
	if err != nil {
		return Result{}, err
	}
	after, err := s.usage()
	if err != nil {
		return Result{}, err
	}
	in, _, err := s.callee.Finish(finishTime)
	if err != nil {
		return Result{}, err
	}
	r := Result{
		Contender: c.Name, Load: load,
		Failed:  load.Calls() - out.Successful,
		Lost180: out.Missing("180", "200"),
		Phones:  out.RepeatedBySelf() + in.RepeatedBySelf(),
		Server:  out.RepeatedByPeer() + in.RepeatedByPeer(),
		Dropped: after.dropped - before.dropped,
		Elapsed: after.at.Sub(before.at),
		CPU:     after.server - before.server,
	}
	r.Others = max(0, after.machine-before.machine-r.CPU-callerCPU-(after.callee-before.callee))
	if r.Failed > 0 {
		r.Trouble = caller.Trouble()
	}
	return r, nil
}

// openCalls is how many calls may be open before SIPp begins fewer: enough for those that a lost message delays, so that
// all contenders get the same load.
func openCalls(load Load) int { return max(100, load.Rate*10) }
