package main

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/mss-federation/mss/cmd/internal/bench/contender"
	"github.com/mss-federation/mss/cmd/internal/bench/load"
)

// verdict prints what is as it should be and what is not.
type verdict struct {
	out  io.Writer
	good bool
}

func (v *verdict) say(ok bool, format string, args ...any) {
	word := "ok:     "
	if !ok {
		word, v.good = "FAILED: ", false
	}
	fmt.Fprintf(v.out, word+format+"\n", args...)
}

// quiet tells when figures prove nothing, since the machine did something else or the anchor could not do it either.
func (v *verdict) quiet(yes bool) {
	if !yes {
		fmt.Fprintln(v.out, "note:   the machine was not quiet enough, or a rate not reached: measure again before believing the figures")
	}
}

var errBudget = errors.New("not within the budgets")

// budgets judges calls: whether each budget is kept, and whether all went well in the systems that are ours. The anchor's
// trouble is the machine's.
func (v *verdict) budgets(results []load.Result) {
	void := false
	for _, r := range results {
		switch {
		case r.Failed == 0 && r.Lost180 == 0:
		case r.Contender == contender.Anchor:
			void = true
			fmt.Fprintf(v.out, "note:   %s at %d calls/s: %d failed, %d lost 180s\n", r.Contender, r.Load.Rate, r.Failed, r.Lost180)
		default:
			v.say(false, "%s at %d calls/s: %d failed, %d lost 180s", r.Contender, r.Load.Rate, r.Failed, r.Lost180)
		}
	}
	anchor := gather(results, contender.Anchor, budgetRate)
	for _, b := range budgets {
		r := gather(results, b.contender, budgetRate)
		if x := r.ratio(anchor.costs); x > 0 {
			v.say(x <= b.limit, "%s at %d calls/s costs %.2f × %s, budget %.1f ×", b.contender, budgetRate, x, contender.Anchor, b.limit)
		}
	}
	v.quiet(!void && !slices.ContainsFunc(results, func(r load.Result) bool {
		return share(r.Others, r.Elapsed) > noisy || overdue(r.Elapsed, r.Load.Length())
	}))
}
