package load

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
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
	apart   time.Duration
	callee  time.Duration
	machine time.Duration
}

func (s *scene) usage() (usage, error) {
	select {
	case <-s.callee.Ended():
		return usage{}, fmt.Errorf("the callee ended: %s", s.callee.Trouble())
	default:
	}
	u := usage{at: time.Now()}
	var errs [3]error
	u.server, u.apart, errs[0] = used(s.server)
	u.callee, errs[1] = proc.CPU(s.callee.PID())
	u.machine, errs[2] = proc.Busy()
	return u, errors.Join(errs[:]...)
}

// dropEvery is how often dropped datagrams are counted: a socket takes its count with it when it is closed, and the
// caller closes its own before anybody can ask.
const dropEvery = 2 * time.Second

// drops waits until the caller has ended. It gives the datagrams that had no room at the server, and at its phones.
func (s *scene) drops(caller *sipp.Process) (server, phones int, err error) {
	tick := time.NewTicker(dropEvery)
	defer tick.Stop()
	for ended := false; !ended; {
		select {
		case <-caller.Ended():
			ended = true
		case <-tick.C:
		}
		var now [3]int
		for i, addr := range []netip.Addr{s.server.Addr().Addr(), s.caller, s.calleeAddr} {
			if now[i], err = proc.Dropped(addr); err != nil {
				return 0, 0, err
			}
		}
		server, phones = max(server, now[0]), max(phones, now[1]+now[2])
	}
	return server, phones, nil
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
	atServer, atPhones, err := s.drops(caller)
	if err != nil {
		return Result{}, errors.Join(err, caller.Kill())
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
		Lost180: out.Received("200"), // the scenarios' first 200 is the one without a 180
		Phones:  out.RepeatedBySelf() + in.RepeatedBySelf(),
		Server:  out.RepeatedByPeer() + in.RepeatedByPeer(),
		Dropped: atServer,
		Unheard: atPhones,
		Elapsed: after.at.Sub(before.at),
		CPU:     after.server - before.server,
		Apart:   after.apart - before.apart,
	}
	r.Others = max(0, after.machine-before.machine-r.CPU-r.Apart-callerCPU-(after.callee-before.callee))
	if r.Failed > 0 {
		r.Trouble = caller.Trouble()
	}
	return r, nil
}

// openCalls is how many calls may be open before SIPp begins fewer: enough for those that a lost message delays, so that
// all contenders get the same load; SIPp wants fewer than it may open files.
func openCalls(load Load) int { return max(100, load.Rate*5) }
