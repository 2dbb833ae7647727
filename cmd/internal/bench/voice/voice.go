// Package voice puts calls' RTP on a relay and measures what its packets cost it. The ends of all calls are in this
// process: one thread sends and counts everything, and nobody waits for a packet, so that waking somebody up is not the
// relay's cost. It prints nothing and compares nothing. Start at [Run].
package voice

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/mss-federation/mss/cmd/internal/bench/contender"
	"github.com/mss-federation/mss/cmd/internal/bench/proc"
)

// Load is how much voice a relay gets, and for how long.
type Load struct {
	Calls  int           // that are up; both ends of each talk
	Length time.Duration // of the voice that is measured
	Warm   time.Duration // of the voice before it: rtpengine settles on a source in 3 s
}

// Rate is how many packets a second that is.
func (l Load) Rate() int { return l.Calls * 2 * packetsPerSecond }

// Result is what one run showed.
type Result struct {
	Relay     string
	Load      Load
	Sent      int // packets, by all ends, without those of the warming up
	Received  int // of these, by the ends that they were for
	Overtaken int // of these, after one that was sent later
	Strange   int // packets that no end expected: changed, repeated, or from elsewhere
	Dropped   int // datagrams that had no room in a socket of the relay
	Unheard   int // datagrams that had no room in a socket of the ends
	Elapsed   time.Duration
	CPU       time.Duration // of the relay's processes
	Talkers   time.Duration // of this process
	Others    time.Duration // of programs that have nothing to do with the run
	Said      string        // by the relay, when packets were lost
}

// PerMillion is the relay's processor seconds per million packets that it got.
func (r Result) PerMillion() float64 { return perMillion(r.CPU, r.Sent) }

// TalkersPerMillion is this process's own, for sending and receiving a million packets.
func (r Result) TalkersPerMillion() float64 { return perMillion(r.Talkers, r.Sent) }

func perMillion(used time.Duration, packets int) float64 {
	return used.Seconds() * 1e6 / float64(max(packets, 1))
}

// Loss is the share of the packets that did not arrive.
func (r Result) Loss() float64 {
	return float64(r.Sent-r.Received) / float64(max(r.Sent, 1))
}

// Run starts a relay, leads voice through it, and stops it.
func Run(ctx context.Context, bin string, relay contender.Relay, load Load) (_ Result, err error) {
	dir, err := os.MkdirTemp("", "mss-bench-")
	if err != nil {
		return Result{}, fmt.Errorf("prepare: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	server, err := relay.Start(ctx, contender.RelaySetup{Bin: bin, Dir: dir})
	if err != nil {
		return Result{}, err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	t, err := newTalkers(load.Calls)
	if err != nil {
		return Result{}, err
	}
	defer t.close()
	led, err := server.Lead(ctx, t.ends())
	if err != nil {
		return Result{}, fmt.Errorf("%s: lead %d calls: %w", relay.Name, load.Calls, err)
	}
	t.aim(led)
	r, err := measure(ctx, server, t, load)
	if err != nil {
		return Result{}, fmt.Errorf("%s: %w", relay.Name, err)
	}
	r.Relay = relay.Name
	return r, nil
}

// quietTime is how long nothing arrives when no packet is on its way any more.
const quietTime = 300 * time.Millisecond

// measure talks, and reads what was used meanwhile. What is sent before does not count, wherever it is.
func measure(ctx context.Context, server contender.RelayServer, t *talkers, load Load) (Result, error) {
	r := Result{Load: load}
	if err := t.talk(ctx, load.Warm); err != nil {
		return r, err
	}
	t.count()
	before, err := usageOf(server)
	if err != nil {
		return r, err
	}
	if err := t.talk(ctx, load.Length); err != nil {
		return r, err
	}
	after, err := usageOf(server)
	if err != nil {
		return r, err
	}
	if err := t.drain(ctx, quietTime); err != nil {
		return r, err
	}
	if r.Received = t.received; r.Received < t.sent {
		r.Said = server.Dropped(ctx)
	}
	r.Sent, r.Overtaken, r.Strange = t.sent, t.overtaken, t.strange
	r.Elapsed = after.at.Sub(before.at)
	r.CPU, r.Talkers = after.relay-before.relay, after.self-before.self
	r.Others = max(0, after.machine-before.machine-r.CPU-r.Talkers)
	var errs [2]error
	r.Dropped, errs[0] = proc.Dropped(server.Addr())
	r.Unheard, errs[1] = proc.Dropped(t.addr)
	return r, errors.Join(errs[:]...)
}

// usage is the processor time that was used up to a moment.
type usage struct {
	at                   time.Time
	relay, self, machine time.Duration
}

func usageOf(server contender.RelayServer) (usage, error) {
	u := usage{at: time.Now()}
	var errs [3]error
	u.relay, errs[0] = proc.CPU(server.PID())
	u.self, errs[1] = proc.Self()
	u.machine, errs[2] = proc.Busy()
	return u, errors.Join(errs[:]...)
}
