package main

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

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

// share is how much of the machine a processor time was.
func share(used, elapsed time.Duration) float64 {
	return used.Seconds() / (elapsed.Seconds() * float64(runtime.NumCPU()))
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
	count := counter(&b)
	count(r.Failed, "failed")
	count(r.Lost180, "lost 180s")
	count(r.Phones, "repeated by phones")
	count(r.Server, "repeated by the server")
	count(r.Dropped, "datagrams without room at the server")
	count(r.Unheard, "at the phones")
	caveats(&b, r.Others, r.Elapsed, r.Load.Length())
	if r.Trouble != "" {
		b.WriteString("\n    sipp: " + strings.ReplaceAll(r.Trouble, "\n", "\n    "))
	}
	return b.String()
}

// counter writes numbers that should be 0 and are not.
func counter(b *strings.Builder) func(n int, what string) {
	return func(n int, what string) {
		if n != 0 {
			fmt.Fprintf(b, ", %d %s", n, what)
		}
	}
}

// caveats writes what makes a run worth less.
func caveats(b *strings.Builder, others, elapsed, planned time.Duration) {
	if overdue(elapsed, planned) {
		fmt.Fprintf(b, ", the rate was not reached: took %.1f s", elapsed.Seconds())
	}
	if n := share(others, elapsed); n > noisy {
		fmt.Fprintf(b, ", others used %.0f %% of the machine", 100*n)
	}
}

// overdue says whether calls or packets could not be made at the rate that was asked for.
func overdue(took, planned time.Duration) bool {
	return took.Seconds() > planned.Seconds()*(1+lateness)+1
}

// costs are what the runs of somebody cost, ascending.
type costs []float64

// median is the middle, or the mean of the two in the middle.
func (c costs) median() float64 {
	n := len(c)
	if n == 0 {
		return 0
	}
	return (c[(n-1)/2] + c[n/2]) / 2
}

// ratio is the median to the anchor's; 0 when one of them took no part.
func (c costs) ratio(anchor costs) float64 {
	if anchor.median() == 0 {
		return 0
	}
	return c.median() / anchor.median()
}

// times is a ratio in a table.
func times(ratio float64) string {
	if ratio == 0 {
		return "–"
	}
	return fmt.Sprintf("%.2f", ratio)
}

// row is all runs of a contender at a rate.
type row struct {
	runs []load.Result
	costs
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
		worst = max(worst, share(run.Others, run.Elapsed))
	}
	return worst
}

// table is Markdown, to be put into deploy/bench/README.md as it is.
func table(results []load.Result, contenders []contender.Contender, rates []int) string {
	var b strings.Builder
	b.WriteString("| calls/s | | CPU-s per 1000 calls: median | min | max | × Kamailio | budget | failed | lost 180s | repeated by phones | by the server | used by others |\n")
	b.WriteString("|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n")
	for _, rate := range rates {
		anchor := gather(results, contender.Anchor, rate)
		for _, c := range contenders {
			r := gather(results, c.Name, rate)
			if len(r.runs) == 0 {
				continue
			}
			fmt.Fprintf(&b, "| %d | %s | %.3f | %.3f | %.3f | %s | %s | %d | %d | %d | %d | %.0f %% |\n",
				rate, c.Name, r.median(), slices.Min(r.costs), slices.Max(r.costs), times(r.ratio(anchor.costs)), budget(c.Name, rate),
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

// budget is a contender's in a table.
func budget(name string, rate int) string {
	for _, b := range budgets {
		if b.contender == name && rate == budgetRate {
			return fmt.Sprintf("%.1f", b.limit)
		}
	}
	return ""
}
