package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"

	"github.com/mss-federation/mss/cmd/internal/bench/contender"
	"github.com/mss-federation/mss/cmd/internal/bench/load"
)

// machine is what the figures depend on.
func machine() string {
	model := runtime.GOARCH
	if data, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(data)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	return fmt.Sprintf("%d × %s", runtime.NumCPU(), model)
}

// noise is the share of the machine that others used.
func noise(r load.Result) float64 {
	return r.Others.Seconds() / (r.Elapsed.Seconds() * float64(runtime.NumCPU()))
}

// What makes a run worth less, or nothing.
const (
	noisy    = 0.10 // of the machine used by others
	lateness = 0.05 // of the time that the calls should take
)

// progress is one run on one line.
func progress(r load.Result) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-12s %5d/s  %.3f CPU-s/1000", r.Contender, r.Load.Rate, r.PerThousand())
	if r.Apart > 0 {
		fmt.Fprintf(&b, ", not counted: directory %.3f", r.Apart.Seconds()*1000/float64(r.Load.Calls()))
	}
	count := func(n int, what string) {
		if n != 0 {
			fmt.Fprintf(&b, ", %d %s", n, what)
		}
	}
	count(r.Failed, "failed")
	count(r.Lost180, "lost 180s")
	count(r.Phones, "repeated by phones")
	count(r.Server, "repeated by the server")
	count(r.Dropped, "datagrams without room at the server")
	count(r.Unheard, "at the phones")
	if late(r) {
		fmt.Fprintf(&b, ", the rate was not reached: took %.1f s", r.Elapsed.Seconds())
	}
	if n := noise(r); n > noisy {
		fmt.Fprintf(&b, ", others used %.0f %% of the machine", 100*n)
	}
	if r.Trouble != "" {
		b.WriteString("\n    sipp: " + strings.ReplaceAll(r.Trouble, "\n", "\n    "))
	}
	return b.String()
}

// late says whether SIPp could not make the calls at the rate that was asked for.
func late(r load.Result) bool {
	return r.Elapsed.Seconds() > float64(r.Load.Seconds)*(1+lateness)+1
}

// row is all runs of a contender at a rate.
type row struct {
	runs  []load.Result
	costs []float64 // ascending
}

func gather(results []load.Result, name string, rate int) row {
	var r row
	for _, result := range results {
		if result.Contender == name && result.Load.Rate == rate {
			r.runs = append(r.runs, result)
			r.costs = append(r.costs, result.PerThousand())
		}
	}
	slices.Sort(r.costs)
	return r
}

// median is the middle, or the mean of the two in the middle.
func (r row) median() float64 {
	n := len(r.costs)
	if n == 0 {
		return 0
	}
	return (r.costs[(n-1)/2] + r.costs[n/2]) / 2
}

func (r row) sum(field func(load.Result) int) int {
	total := 0
	for _, run := range r.runs {
		total += field(run)
	}
	return total
}

// worstNoise is the largest share of the machine that others used in a run.
func (r row) worstNoise() float64 {
	worst := 0.0
	for _, run := range r.runs {
		worst = max(worst, noise(run))
	}
	return worst
}

// ratio is the row's median to the anchor's; 0 when the anchor took no part.
func ratio(r, anchor row) float64 {
	if anchor.median() == 0 {
		return 0
	}
	return r.median() / anchor.median()
}

// table is Markdown, to be put into deploy/bench/README.md as it is.
func table(results []load.Result, contenders []contender.Contender, rates []int) string {
	var b strings.Builder
	b.WriteString("| calls/s | | CPU-s per 1000 calls: median | min | max | × Kamailio | failed | lost 180s | repeated by phones | by the server | used by others |\n")
	b.WriteString("|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n")
	for _, rate := range rates {
		anchor := gather(results, contender.Anchor, rate)
		for _, c := range contenders {
			r := gather(results, c.Name, rate)
			if len(r.runs) == 0 {
				continue
			}
			times := "–"
			if x := ratio(r, anchor); x > 0 {
				times = fmt.Sprintf("%.2f", x)
			}
			fmt.Fprintf(&b, "| %d | %s | %.3f | %.3f | %.3f | %s | %d | %d | %d | %d | %.0f %% |\n",
				rate, c.Name, r.median(), slices.Min(r.costs), slices.Max(r.costs), times,
				r.sum(func(r load.Result) int { return r.Failed }), r.sum(func(r load.Result) int { return r.Lost180 }),
				r.sum(func(r load.Result) int { return r.Phones }), r.sum(func(r load.Result) int { return r.Server }),
				100*r.worstNoise())
		}
	}
	return b.String()
}

// memoryTable is Markdown too.
func memoryTable(r load.HeldResult) string {
	var b strings.Builder
	b.WriteString("| process | calls up | resident before | with calls | a call adds | live heap before | with calls | a call adds |\n")
	b.WriteString("|---|---:|---:|---:|---:|---:|---:|---:|\n")
	for _, p := range []struct {
		name          string
		before, after load.Memory
	}{{"signal", r.SignalBefore, r.SignalAfter}, {"media", r.MediaBefore, r.MediaAfter}} {
		call := r.Held.PerCall(p.before, p.after)
		heap := "not measured | – | –"
		if p.before.Heap >= 0 && p.after.Heap >= 0 {
			heap = fmt.Sprintf("%.0f MiB | %.0f MiB | %.1f ± %.1f KB",
				mib(p.before.Heap), mib(p.after.Heap), float64(call.Heap)/1000, float64(1<<20)/1000/float64(r.Held.Calls))
		}
		fmt.Fprintf(&b, "| %s | %d | %.1f MiB | %.1f MiB | %.1f KB | %s |\n",
			p.name, r.Held.Calls, mib(p.before.Resident), mib(p.after.Resident), float64(call.Resident)/1000, heap)
	}
	return b.String()
}

func mib(bytes int64) float64 { return float64(bytes) / (1 << 20) }

// budgets are the most that a contender may cost, as a multiple of the anchor, at budgetRate.
var budgets = []struct {
	contender string
	limit     float64
}{{contender.Hub, 1.5}, {contender.Core, 2}, {contender.Shipped, 3}}

// budgetRate is the rate in calls a second that has budgets.
const budgetRate = 2000

var errBudget = errors.New("not within the budgets")

// judge prints whether each budget is kept, and fails when one is not or when calls went wrong in a system of ours. Runs that
// prove nothing, since the anchor itself lost calls or the machine did something else, are named.
func judge(results []load.Result, out io.Writer) error {
	good := true
	say := func(ok bool, format string, args ...any) {
		word := "ok:     "
		if !ok {
			word, good = "FAILED: ", false
		}
		fmt.Fprintf(out, word+format+"\n", args...)
	}
	void := false // the anchor cannot do it either: the machine, or what else it does, is too much
	for _, r := range results {
		switch {
		case r.Failed == 0 && r.Lost180 == 0:
		case r.Contender == contender.Anchor:
			void = true
			fmt.Fprintf(out, "note:   %s at %d calls/s: %d failed, %d lost 180s\n", r.Contender, r.Load.Rate, r.Failed, r.Lost180)
		default:
			say(false, "%s at %d calls/s: %d failed, %d lost 180s", r.Contender, r.Load.Rate, r.Failed, r.Lost180)
		}
	}
	anchor := gather(results, contender.Anchor, budgetRate)
	for _, b := range budgets {
		r := gather(results, b.contender, budgetRate)
		if x := ratio(r, anchor); x > 0 {
			say(x <= b.limit, "%s at %d calls/s costs %.2f × %s, budget %.1f ×", b.contender, budgetRate, x, contender.Anchor, b.limit)
		}
	}
	if void || slices.ContainsFunc(results, func(r load.Result) bool { return noise(r) > noisy || late(r) }) {
		fmt.Fprintln(out, "note:   the machine was not quiet enough, or a rate not reached: measure again before believing the figures")
	}
	if !good {
		return errBudget
	}
	return nil
}
