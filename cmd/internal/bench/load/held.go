package load

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/mss-federation/mss/cmd/internal/bench/contender"
	"github.com/mss-federation/mss/cmd/internal/bench/proc"
	"github.com/mss-federation/mss/cmd/internal/bench/sipp"
	"github.com/mss-federation/mss/cmd/internal/rig/node"
)

// Held says how the memory of calls that are up is measured.
type Held struct {
	Calls int // calls that are up
	Warm  int // calls before them, which fill what does not grow with calls: trace ring, pools
	Rate  int // calls a second while they are set up
	// Rest is how long nothing happens before memory is read: until transactions have ended and freed theirs.
	Rest time.Duration
	// Collect is how long each of two garbage collections is waited for after that; Go makes one in two minutes when
	// nothing happens. Zero means that the heap is not measured.
	Collect time.Duration
}

// Memory is what a process holds, in bytes.
type Memory struct {
	Resident int64
	Heap     int64 // live after a collection, known to the MiB; -1 when it was not measured
}

// HeldResult is memory before and with the calls.
type HeldResult struct {
	Held                      Held
	SignalBefore, SignalAfter Memory
	MediaBefore, MediaAfter   Memory
}

// PerCall is what one call adds to a process in bytes. The heap is -1 when it was not measured.
func (h Held) PerCall(before, after Memory) Memory {
	m := Memory{Resident: (after.Resident - before.Resident) / int64(h.Calls), Heap: -1}
	if before.Heap >= 0 && after.Heap >= 0 {
		m.Heap = (after.Heap - before.Heap) / int64(h.Calls)
	}
	return m
}

// Hold starts an L-MSS as it is shipped, but for the password, sets up calls, and measures what they hold.
func Hold(ctx context.Context, place Place, held Held) (_ HeldResult, err error) {
	restore := func() error { return nil }
	if held.Collect > 0 {
		if restore, err = traceCollections(); err != nil {
			return HeldResult{}, err
		}
	}
	var office contender.Office
	s, err := open(ctx, place, func(ctx context.Context, setup contender.Setup) (contender.Server, error) {
		var err error
		if office, err = contender.StartOffice(ctx, setup, contender.Parts{Store: true, Anchor: true}); err != nil {
			return nil, err
		}
		return office, nil
	})
	if err = errors.Join(err, restore()); err != nil {
		return HeldResult{}, fmt.Errorf("held calls: %w", err)
	}
	defer func() { err = errors.Join(err, s.close()) }()
	result, err := s.hold(ctx, office, held)
	if err != nil {
		return HeldResult{}, fmt.Errorf("held calls: %w", err)
	}
	return result, nil
}

// traceCollections lets programs that are started from now on write a line for each garbage collection.
func traceCollections() (restore func() error, err error) {
	old, had := os.LookupEnv("GODEBUG")
	if err := os.Setenv("GODEBUG", "gctrace=1"); err != nil {
		return nil, fmt.Errorf("trace collections: %w", err)
	}
	if !had {
		return func() error { return os.Unsetenv("GODEBUG") }, nil
	}
	return func() error { return os.Setenv("GODEBUG", old) }, nil
}

func (s *scene) hold(ctx context.Context, office contender.Office, held Held) (HeldResult, error) {
	r := HeldResult{Held: held}
	if err := separate(ctx, office); err != nil {
		return r, err
	}
	if err := s.shortCalls(ctx, held); err != nil {
		return r, err
	}
	var err error
	if r.SignalBefore, r.MediaBefore, err = memory(ctx, office, held); err != nil {
		return r, err
	}
	caller, err := s.call(ctx, false, sipp.Calls{Rate: held.Rate, Count: held.Calls, Open: held.Calls, Hold: holdTime}, holdTime)
	if err != nil {
		return r, err
	}
	err = allUp(ctx, caller, held.Calls)
	if err == nil {
		r.SignalAfter, r.MediaAfter, err = memory(ctx, office, held)
	}
	return r, errors.Join(err, caller.Kill())
}

// holdTime is longer than any measurement.
const holdTime = time.Hour

// apart is how far the starts of the node's processes are moved apart, and apartBy how exactly that must be met: a line
// of gctrace has the time since its process began, and no other sign of which one wrote it.
const (
	apart   = 2 * time.Second
	apartBy = apart / 4
)

// separate restarts both children, one after the other, before there are any calls.
func separate(ctx context.Context, office contender.Office) error {
	for _, child := range []struct {
		role string
		kill func() (time.Time, error)
	}{{node.Media, office.KillMedia}, {node.Signal, office.KillSignal}} {
		if err := wait(ctx, apart); err != nil {
			return err
		}
		old := office.Node.PID(child.role)
		if _, err := child.kill(); err != nil {
			return err
		}
		if _, err := office.WaitRestarted(ctx, child.role, old); err != nil {
			return err
		}
	}
	return office.WaitReady(ctx)
}

func (s *scene) shortCalls(ctx context.Context, held Held) error {
	load := Load{Rate: held.Rate, Seconds: held.Warm / held.Rate}
	if load.Calls() == 0 {
		return nil
	}
	limit := time.Duration(load.Seconds)*time.Second + patience
	caller, err := s.call(ctx, false, sipp.Calls{Rate: load.Rate, Count: load.Calls(), Open: openCalls(load)}, limit)
	if err != nil {
		return err
	}
	counts, _, err := caller.Wait()
	if err != nil {
		return err
	}
	if counts.Failed > 0 {
		return fmt.Errorf("%d of %d calls failed: %s", counts.Failed, load.Calls(), caller.Trouble())
	}
	return nil
}

// allUp waits until the caller has acknowledged so many answers.
func allUp(ctx context.Context, caller *sipp.Process, calls int) error {
	for {
		counts, err := caller.Counts()
		switch {
		case err != nil: // SIPp writes its first counts after a second
		case counts.Failed > 0:
			return fmt.Errorf("%d calls failed while %d were set up: %s", counts.Failed, calls, caller.Trouble())
		case counts.Sent("ACK") >= calls:
			return nil
		}
		select {
		case <-caller.Ended():
			return fmt.Errorf("the caller ended: %s", caller.Trouble())
		default:
		}
		if err := wait(ctx, time.Second/4); err != nil {
			return err
		}
	}
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// Go's runtime gives memory back to the kernel after a collection that follows one with little in use: after the second
// without work, and then at its leisure.
const (
	collections = 2
	returnTime  = 5 * time.Second
)

// memory lets the node come to rest and reads what its processes hold.
func memory(ctx context.Context, office contender.Office, held Held) (signal, media Memory, err error) {
	if err := wait(ctx, held.Rest); err != nil {
		return signal, media, err
	}
	signal.Heap, media.Heap = -1, -1
	if held.Collect > 0 {
		for range collections {
			live, err := liveHeaps(ctx, office.LogFile(), []int{office.PID(), office.Signal(), office.Media()}, held.Collect)
			if err != nil {
				return signal, media, err
			}
			signal.Heap, media.Heap = live[1], live[2]
		}
		if err := wait(ctx, returnTime); err != nil {
			return signal, media, err
		}
	}
	var errs [2]error
	signal.Resident, errs[0] = proc.Resident(office.Signal())
	media.Resident, errs[1] = proc.Resident(office.Media())
	return signal, media, errors.Join(errs[:]...)
}
