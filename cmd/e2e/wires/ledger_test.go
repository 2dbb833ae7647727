package wires

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// slack is what a clock may be late: the machine is busy too.
const slack = 500 * time.Millisecond

// clock is how soon something must happen after a fault, and not before what.
type clock struct{ least, most time.Duration }

// atOnce is less than a person waits for.
var atOnce = clock{}

// ledger is what was measured, by what it was.
type ledger struct {
	mu   sync.Mutex
	rows map[string]*row
}

type row struct {
	clock clock
	took  []time.Duration
}

// note holds one measurement to its clock.
func (l *ledger) note(t *testing.T, what string, c clock, took time.Duration) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.rows == nil {
		l.rows = map[string]*row{}
	}
	if l.rows[what] == nil {
		l.rows[what] = &row{clock: c}
	}
	l.rows[what].took = append(l.rows[what].took, took)
	if took < c.least || took > c.most+slack {
		t.Errorf("%s: %v, want %v to %v", what, took.Round(time.Millisecond), c.least, c.most+slack)
	}
}

// table is a line for each row.
func (l *ledger) table() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var names []string
	for name := range l.rows {
		names = append(names, name)
	}
	slices.Sort(names)
	var b strings.Builder
	fmt.Fprintf(&b, "\n%-66s %5s %8s %8s %8s", "clock", "times", "median", "worst", "at most")
	for _, name := range names {
		r := l.rows[name]
		slices.Sort(r.took)
		fmt.Fprintf(&b, "\n%-66s %5d %8s %8s %8s", name, len(r.took), seconds(r.took[len(r.took)/2]), seconds(r.took[len(r.took)-1]), seconds(r.clock.most+slack))
	}
	return b.String()
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }
