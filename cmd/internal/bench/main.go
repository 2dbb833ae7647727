// Command bench measures what a call costs a hub and an L-MSS, and a voice packet its relay, in one run with Kamailio's
// proxy and rtpengine on the same machine at the same rates. deploy/bench/README.md says how to read what it prints.
// "make bench" runs it.
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
	relays     []contender.Relay
	relayCalls int
	seconds    int
	rounds     int
	parts      []string // of the bench
	held       load.Held
	chain      chainLoads
}

func (o *options) has(part string) bool { return slices.Contains(o.parts, part) }

// The parts of the bench, in their order.
const (
	partCalls = "calls"
	partRelay = "relay"
	partHeld  = "held"
	partChain = "chain"
)

var allParts = []string{partCalls, partRelay, partHeld, partChain}

// Who takes part unless others are named: those with a budget, and their anchors.
var (
	budgeted = strings.Join([]string{contender.Anchor, contender.Hub, contender.Core, contender.Shipped}, ",")
	relays   = strings.Join([]string{contender.RelayAnchor, contender.RelayMedia}, ",")
)

func parse(args []string, out io.Writer) (options, error) {
	o := options{held: load.Held{Warm: 4000, Rate: 500, Rest: 36 * time.Second, Collect: 150 * time.Second}}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.StringVar(&o.place.Bin, "bin", ".build/bin", "`folder` of the programs")
	flags.StringVar(&o.place.Files, "files", "deploy/bench", "`folder` of the scenarios")
	parts := flags.String("parts", strings.Join([]string{partCalls, partRelay, partHeld}, ","), "`names` of what to measure, of "+strings.Join(allParts, ", "))
	contenders := flags.String("contenders", budgeted, "calls: `names` of who takes part; all for all, with the parts of what is shipped")
	rates := flags.String("rates", "500,1000,2000", "calls: `calls` a second")
	voices := flags.String("relays", relays, "relay: `names` of who takes part")
	flags.IntVar(&o.relayCalls, "relay-calls", 500, "relay: calls that are up; 50 packets a second from both ends of each")
	flags.IntVar(&o.seconds, "seconds", 40, "length of a run; under 40 the end of transactions, 32 s after the calls, is not in it")
	flags.IntVar(&o.rounds, "rounds", 3, "runs of each contender at each rate, and of each relay")
	flags.IntVar(&o.held.Calls, "held", 4000, "calls that are up while memory is measured; the default voice ports carry 4095")
	o.chain.register(flags)
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	var err error
	if o.contenders, err = contender.Named(*contenders); err != nil {
		return o, err
	}
	if o.relays, err = contender.NamedRelays(*voices); err != nil {
		return o, err
	}
	if o.rates, err = numbers(*rates); err != nil {
		return o, err
	}
	if o.parts = strings.Split(*parts, ","); slices.ContainsFunc(o.parts, func(p string) bool { return !slices.Contains(allParts, p) }) {
		return o, fmt.Errorf("-parts %q: %s are", *parts, strings.Join(allParts, ", "))
	}
	if flags.NArg() > 0 || o.seconds < 1 || o.rounds < 1 || o.held.Calls < 1 || o.relayCalls < 1 {
		return o, errors.New("seconds, rounds, held calls and relayed calls are at least 1, and there are no arguments beside flags")
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
	for _, part := range []struct {
		wanted bool
		run    func(context.Context, options, io.Writer) error
	}{{o.has(partCalls) || o.has(partRelay), rounds}, {o.has(partHeld), held}, {o.has(partChain), runChain}} {
		if part.wanted && ctx.Err() == nil {
			errs = append(errs, part.run(ctx, o, out))
		}
	}
	return errors.Join(errs...)
}

// describe prints what is compared, and fails before anything was measured when a program is missing.
func describe(ctx context.Context, o options, out io.Writer) error {
	fmt.Fprintf(out, "%s, %s\n", time.Now().UTC().Format("2006-01-02 15:04 MST"), machine())
	var errs []error
	say := func(version func(context.Context) (string, error)) {
		line, err := version(ctx)
		if err == nil {
			fmt.Fprintln(out, line)
		}
		errs = append(errs, err)
	}
	if o.has(partCalls) || o.has(partHeld) || o.has(partChain) {
		say(sipp.Version)
	}
	if o.has(partCalls) {
		if slices.ContainsFunc(o.contenders, func(c contender.Contender) bool { return c.Name == contender.Anchor }) {
			say(contender.KamailioVersion)
		}
		for _, c := range o.contenders {
			fmt.Fprintf(out, "  %-12s %s\n", c.Name, c.About)
		}
	}
	if o.has(partRelay) {
		if slices.ContainsFunc(o.relays, func(r contender.Relay) bool { return r.Name == contender.RelayAnchor }) {
			say(contender.RTPEngineVersion)
		}
		for _, r := range o.relays {
			fmt.Fprintf(out, "  %-12s %s\n", r.Name, r.About)
		}
	}
	return errors.Join(errs...)
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
