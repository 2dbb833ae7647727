package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/mss-federation/mss/cmd/internal/bench/load"
	"github.com/mss-federation/mss/cmd/internal/bench/voice"
)

// results are what all runs showed.
type results struct {
	calls  []load.Result
	relays []voice.Result
}

// step is one run of a round.
type step struct {
	lasts time.Duration // about
	run   func(context.Context, *results) (line string, err error)
}

const (
	// starting is about what a run takes besides the calls or the voice that it measures.
	starting = 4 * time.Second
	// relayWarm is how long voice flows before it is measured.
	relayWarm = 4 * time.Second
)

// round is everything once: all rates and contenders, all relays.
func (o *options) round() []step {
	var steps []step
	length := time.Duration(o.seconds) * time.Second
	if o.has(partCalls) {
		for _, rate := range o.rates {
			for _, c := range o.contenders {
				steps = append(steps, step{length + starting, func(ctx context.Context, all *results) (string, error) {
					r, err := load.Run(ctx, o.place, c, load.Load{Rate: rate, Seconds: o.seconds})
					if err != nil {
						return "", err
					}
					all.calls = append(all.calls, r)
					return progress(r), nil
				}})
			}
		}
	}
	if o.has(partRelay) {
		for _, relay := range o.relays {
			steps = append(steps, step{length + starting + relayWarm, func(ctx context.Context, all *results) (string, error) {
				r, err := voice.Run(ctx, o.place.Bin, relay, voice.Load{Calls: o.relayCalls, Length: length, Warm: relayWarm})
				if err != nil {
					return "", err
				}
				all.relays = append(all.relays, r)
				return relayProgress(r), nil
			}})
		}
	}
	return steps
}

// rounds are the parts that compare processor time, interleaved, so that what changes on the machine in an hour meets all
// alike. What was measured before an error is told too.
func rounds(ctx context.Context, o options, out io.Writer) error {
	var all results
	err := runRounds(ctx, o, &all, out)
	return errors.Join(err, all.report(o, out))
}

// report prints the tables and what they come to.
func (all *results) report(o options, out io.Writer) error {
	v := verdict{out: out, good: true}
	if len(all.calls) > 0 {
		fmt.Fprintf(out, "\n%s\n", table(all.calls, o.contenders, o.rates))
		v.budgets(all.calls)
	}
	if len(all.relays) > 0 {
		fmt.Fprintf(out, "\n%s\n", relayTable(all.relays, o.relays))
		v.relays(all.relays)
	}
	if !v.good {
		return errBudget
	}
	return nil
}

func runRounds(ctx context.Context, o options, all *results, out io.Writer) error {
	steps := o.round()
	var whole time.Duration
	for _, s := range steps {
		whole += s.lasts * time.Duration(o.rounds)
	}
	count := o.rounds * len(steps)
	fmt.Fprintf(out, "\n%d runs of %d s and their start and end, about %v\n", count, o.seconds, whole.Round(time.Minute))
	began, done := time.Now(), time.Duration(0)
	for n := range count {
		s := steps[n%len(steps)]
		line, err := s.run(ctx, all)
		if ctx.Err() != nil {
			return errors.New("interrupted")
		}
		if err != nil {
			return err
		}
		done += s.lasts
		fmt.Fprintf(out, "%d of %d, %s left  %s\n", n+1, count, left(time.Since(began), done, whole), line)
	}
	return nil
}

// left is how long the rest of a work takes, when so much of it took so long.
func left(took, done, whole time.Duration) string {
	rest := time.Duration(float64(whole-done) * took.Seconds() / done.Seconds())
	return fmt.Sprintf("%d:%02d", int(rest.Minutes()), int(rest.Seconds())%60)
}
