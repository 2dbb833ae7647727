// Package load puts calls on a contender and measures what they cost: processor time in [Run], memory in [Hold]. It
// prints nothing and compares nothing.
package load

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/mss-federation/mss/cmd/internal/bench/contender"
	"github.com/mss-federation/mss/cmd/internal/bench/proc"
	"github.com/mss-federation/mss/cmd/internal/bench/sipp"
	"github.com/mss-federation/mss/cmd/internal/rig/node"
)

// Place is where the programs and scenarios are.
type Place struct {
	Bin   string // folder of our built programs
	Files string // deploy/bench
}

// Load is how many calls a contender gets, and for how long.
type Load struct {
	Rate    int // calls a second
	Seconds int
}

// Calls is how many calls that makes.
func (l Load) Calls() int { return l.Rate * l.Seconds }

// Length is how long they take to be made.
func (l Load) Length() time.Duration { return time.Duration(l.Seconds) * time.Second }

// Result is what one run showed.
type Result struct {
	Contender string
	Load      Load
	Failed    int // calls that did not go as the scenario says, or were never made
	Lost180   int // calls that were answered without a 180 that the caller saw before
	Phones    int // messages that caller or callee repeated, as nothing came back in time
	Server    int // messages that the contender repeated
	Dropped   int // datagrams that had no room in a socket of the contender
	Unheard   int // datagrams that had no room in a socket of caller or callee
	Elapsed   time.Duration
	CPU       time.Duration // of the contender's processes but those apart
	Apart     time.Duration // of those whose work has nothing to do with calls
	Others    time.Duration // of programs that have nothing to do with the run
	Trouble   string        // what SIPp said of the first calls that failed
}

// PerThousand is the contender's processor seconds per 1000 calls.
func (r Result) PerThousand() float64 { return r.CPU.Seconds() * 1000 / float64(r.Load.Calls()) }

// patience is how long calls may take beyond the time in which they are begun: a lost message is repeated for 32 s
// (RFC 3261 §17.1), after which its call has failed.
const patience = 45 * time.Second

// Run starts a contender, puts the load on it, and stops it.
func Run(ctx context.Context, place Place, c contender.Contender, load Load) (_ Result, err error) {
	s, err := open(ctx, place, c.Start)
	if err != nil {
		return Result{}, fmt.Errorf("%s: %w", c.Name, err)
	}
	defer func() { err = errors.Join(err, s.close()) }()
	result, err := s.measure(ctx, c, load)
	if err != nil {
		return Result{}, fmt.Errorf("%s at %d calls/s: %w", c.Name, load.Rate, err)
	}
	return result, nil
}

// scene is a running contender with a callee behind it.
type scene struct {
	place      Place
	dir        string
	caller     netip.Addr
	callee     *sipp.Process
	calleeAddr netip.Addr
	server     contender.Server
	begun      int // callers so far
}

// open starts callee and contender. The caller ends it with close.
func open(ctx context.Context, place Place, start func(context.Context, contender.Setup) (contender.Server, error)) (*scene, error) {
	dir, err := os.MkdirTemp("", "mss-bench-")
	if err != nil {
		return nil, fmt.Errorf("prepare: %w", err)
	}
	s := &scene{place: place, dir: dir, caller: node.NewAddress()}
	if err := s.start(ctx, start); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *scene) start(ctx context.Context, start func(context.Context, contender.Setup) (contender.Server, error)) error {
	callee, err := contender.FreePort(node.NewAddress())
	if err != nil {
		return err
	}
	s.calleeAddr = callee.Addr()
	dir, err := s.folder("callee")
	if err != nil {
		return err
	}
	s.callee, err = sipp.Answer(ctx, sipp.Options{Dir: dir, Scenario: s.file("uas.xml"), Local: callee, Limit: time.Hour})
	if err != nil {
		return err
	}
	if err := contender.WaitBound(ctx, callee, s.callee.Ended()); err != nil {
		return fmt.Errorf("start callee: %w: %s", err, s.callee.Trouble())
	}
	if dir, err = s.folder("server"); err != nil {
		return err
	}
	setup := contender.Setup{Bin: s.place.Bin, Files: s.place.Files, Dir: dir, Caller: s.caller, Callee: callee}
	if s.server, err = start(ctx, setup); err != nil {
		return err
	}
	return settle(ctx, s.server)
}

func (s *scene) file(name string) string { return filepath.Join(s.place.Files, name) }

func (s *scene) folder(name string) (string, error) {
	dir := filepath.Join(s.dir, name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", fmt.Errorf("prepare: %w", err)
	}
	return dir, nil
}

// call starts a caller.
func (s *scene) call(ctx context.Context, digest bool, calls sipp.Calls, limit time.Duration) (*sipp.Process, error) {
	s.begun++
	dir, err := s.folder(fmt.Sprintf("caller-%d", s.begun))
	if err != nil {
		return nil, err
	}
	local, err := contender.FreePort(s.caller)
	if err != nil {
		return nil, err
	}
	scenario := s.file("uac.xml")
	if digest {
		scenario = s.file("uac-digest.xml")
	}
	calls.Server, calls.Called, calls.User, calls.Secret = s.server.Addr(), contender.Called, contender.Caller, contender.Password
	return sipp.Call(ctx, sipp.Options{Dir: dir, Scenario: scenario, Local: local, Limit: limit}, calls)
}

// close ends what open started.
func (s *scene) close() error {
	var errs []error
	if s.server != nil {
		errs = append(errs, s.server.Stop())
	}
	if s.callee != nil {
		errs = append(errs, s.callee.Kill())
	}
	return errors.Join(append(errs, os.RemoveAll(s.dir))...)
}

// used is the processor time of a contender's processes, and of those apart.
func used(server contender.Server) (own, apart time.Duration, err error) {
	if own, err = proc.CPU(server.PID()); err != nil || server.Apart() == 0 {
		return own, 0, err
	}
	apart, err = proc.CPU(server.Apart())
	return own - apart, apart, err
}

// What settle waits for: so long without work, and for that at most so long.
const (
	quiet      = 300 * time.Millisecond
	settleTime = 5 * time.Second
)

// settle waits until a program that has just started has no more to do, so that its start is not counted.
func settle(ctx context.Context, server contender.Server) error {
	limit := time.Now().Add(settleTime)
	tick := time.NewTicker(quiet)
	defer tick.Stop()
	for last := time.Duration(-1); ; {
		now, _, err := used(server)
		if err != nil || now == last || time.Now().After(limit) {
			return err
		}
		last = now
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}
