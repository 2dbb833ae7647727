// Command bench measures what a call costs a hub and an L-MSS, in one run with Kamailio's proxy on the same machine at
// the same rates. deploy/bench/README.md says how to read what it prints. "make bench" runs it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/mss-federation/mss/cmd/internal/bench/contender"
	"github.com/mss-federation/mss/cmd/internal/bench/load"
	"github.com/mss-federation/mss/cmd/internal/bench/sipp"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1) //nolint:forbidigo // main ends the process
	}
}

// options are what the command line asks for.
type options struct {
	place      load.Place
	contenders []contender.Contender
	rates      []int
	seconds    int
	rounds     int
	parts      []string // of the bench
	held       load.Held
	chain      chainLoads
}

// The parts of the bench, in their order.
const (
	partCalls = "calls"
	partHeld  = "held"
	partChain = "chain"
)

var allParts = []string{partCalls, partHeld, partChain}

func parse(args []string, out io.Writer) (options, error) {
	o := options{held: load.Held{Warm: 4000, Rate: 500, Rest: 36 * time.Second, Collect: 150 * time.Second}}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.StringVar(&o.place.Bin, "bin", ".build/bin", "`folder` of the programs")
	flags.StringVar(&o.place.Files, "files", "deploy/bench", "`folder` of the scenarios")
	parts := flags.String("parts", partCalls+","+partHeld, "`names` of what to measure, of "+strings.Join(allParts, ", "))
	contenders := flags.String("contenders", "", "`names` of who takes part (default all)")
	rates := flags.String("rates", "500,1000,2000", "`calls` a second")
	flags.IntVar(&o.seconds, "seconds", 40, "length of a run; under 40 the end of transactions, 32 s after the calls, is not in it")
	flags.IntVar(&o.rounds, "rounds", 3, "runs of each contender at each rate")
	flags.IntVar(&o.held.Calls, "held", 4000, "calls that are up while memory is measured; the default voice ports carry 4095")
	o.chain.register(flags)
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	var err error
	if o.contenders, err = contender.Named(*contenders); err != nil {
		return o, err
	}
	if o.rates, err = numbers(*rates); err != nil {
		return o, err
	}
	if o.parts = strings.Split(*parts, ","); slices.ContainsFunc(o.parts, func(p string) bool { return !slices.Contains(allParts, p) }) {
		return o, fmt.Errorf("-parts %q: %s are", *parts, strings.Join(allParts, ", "))
	}
	if flags.NArg() > 0 || o.seconds < 1 || o.rounds < 1 || o.held.Calls < 1 {
		return o, errors.New("seconds, rounds and held calls are at least 1, and there are no arguments beside flags")
	}
	return o, o.chain.validate()
}

func numbers(text string) ([]int, error) {
	var out []int
	for field := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(field))
		if err != nil || n < 1 {
			return nil, fmt.Errorf("-rates %q: numbers of calls a second, with commas, are wanted", text)
		}
		out = append(out, n)
	}
	return out, nil
}

func run(ctx context.Context, args []string, out io.Writer) error {
	o, err := parse(args, out)
	if err != nil {
		return err
	}
	if err := describe(ctx, o, out); err != nil {
		return err
	}
	var errs []error
	for _, part := range o.parts {
		if ctx.Err() != nil {
			break
		}
		switch part {
		case partCalls:
			errs = append(errs, calls(ctx, o, out))
		case partHeld:
			errs = append(errs, held(ctx, o, out))
		case partChain:
			errs = append(errs, runChain(ctx, o, out))
		}
	}
	return errors.Join(errs...)
}

// describe prints what is compared, and fails before anything was measured when a program is missing.
func describe(ctx context.Context, o options, out io.Writer) error {
	sippVersion, err := sipp.Version(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s, %s; %s\n", time.Now().UTC().Format("2006-01-02 15:04 MST"), machine(), sippVersion)
	if !slices.Contains(o.parts, partCalls) {
		return nil
	}
	for _, c := range o.contenders {
		fmt.Fprintf(out, "%-12s %s\n", c.Name, c.About)
	}
	if !slices.ContainsFunc(o.contenders, func(c contender.Contender) bool { return c.Name == contender.Anchor }) {
		return nil
	}
	version, err := contender.KamailioVersion(ctx)
	if err == nil {
		fmt.Fprintln(out, version)
	}
	return err
}

// calls is the part that compares processor time. Its rounds are interleaved: each goes through all rates and
// contenders, so that what changes on the machine in an hour meets all alike.
func calls(ctx context.Context, o options, out io.Writer) error {
	fmt.Fprintf(out, "\ncalls: %d runs of %d s and their start and end, about %v\n", o.rounds*len(o.rates)*len(o.contenders), o.seconds,
		time.Duration(o.rounds*len(o.rates)*len(o.contenders)*(o.seconds+4))*time.Second)
	results, err := rounds(ctx, o, out)
	if len(results) == 0 {
		return err
	}
	fmt.Fprintf(out, "\n%s\n", table(results, o.contenders, o.rates))
	return errors.Join(err, judge(results, out))
}

// rounds makes the runs. With an error it gives those before it.
func rounds(ctx context.Context, o options, out io.Writer) ([]load.Result, error) {
	var results []load.Result
	for round := range o.rounds {
		for _, rate := range o.rates {
			for _, c := range o.contenders {
				r, err := load.Run(ctx, o.place, c, load.Load{Rate: rate, Seconds: o.seconds})
				if ctx.Err() != nil {
					return results, errors.New("interrupted")
				}
				if err != nil {
					return results, err
				}
				results = append(results, r)
				fmt.Fprintf(out, "round %d  %s\n", round+1, progress(r))
			}
		}
	}
	return results, nil
}

func held(ctx context.Context, o options, out io.Writer) error {
	h := o.held
	fmt.Fprintf(out, "\nheld: %d calls; takes about ten minutes, as Go collects what nobody uses only every two\n", h.Calls)
	r, err := load.Hold(ctx, o.place, h)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "\n%s\n", memoryTable(r))
	return nil
}
