package main

import (
	"bytes"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/mss-federation/mss/cmd/internal/bench/contender"
	"github.com/mss-federation/mss/cmd/internal/bench/load"
)

// at is a run of 40 s that cost so many processor milliseconds per 1000 calls.
func at(name string, rate int, cost int64) load.Result {
	l := load.Load{Rate: rate, Seconds: 40}
	return load.Result{
		Contender: name, Load: l, Elapsed: 40200 * time.Millisecond,
		CPU: time.Duration(cost) * time.Millisecond * time.Duration(l.Calls()) / 1000,
	}
}

func TestTable(t *testing.T) {
	t.Parallel()
	third := at(contender.Core, 2000, 300)
	third.Lost180, third.Phones, third.Server = 1, 2, 3
	third.Others = time.Duration(10.05 * float64(time.Second) * float64(runtime.NumCPU())) // a quarter of the machine
	results := []load.Result{
		at(contender.Anchor, 2000, 120), at(contender.Core, 2000, 100), at(contender.Anchor, 2000, 100),
		at(contender.Core, 2000, 150), at(contender.Anchor, 2000, 80), third,
	}
	picked, err := contender.Named("kamailio,core")
	if err != nil {
		t.Fatal(err)
	}
	got := table(results, picked, []int{2000})
	for _, want := range []string{
		"| 2000 | kamailio | 0.100 | 0.080 | 0.120 | 1.00 |  | 0 | 0 | 0 | 0 | 0 % |\n",
		"| 2000 | core | 0.150 | 0.100 | 0.300 | 1.50 | 2.0 | 0 | 1 | 2 | 3 | 25 % |\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no line\n%sin\n%s", want, got)
		}
	}
}

func TestJudge(t *testing.T) {
	t.Parallel()
	broken := at(contender.Core, 500, 100)
	broken.Failed = 7
	unheard := at(contender.Core, 500, 100)
	unheard.Lost180 = 1
	lame := at(contender.Anchor, 500, 100)
	lame.Failed = 1
	slow := at(contender.Core, 500, 100)
	slow.Elapsed = 50 * time.Second
	for name, c := range map[string]struct {
		results []load.Result
		says    string
		fails   bool
	}{
		"within":          {[]load.Result{at(contender.Anchor, 2000, 100), at(contender.Core, 2000, 200), at(contender.Shipped, 2000, 300)}, "ok:     shipped at 2000 calls/s costs 3.00 × kamailio", false},
		"core too dear":   {[]load.Result{at(contender.Anchor, 2000, 100), at(contender.Core, 2000, 201)}, "FAILED: core at 2000 calls/s costs 2.01 ×", true},
		"hub too dear":    {[]load.Result{at(contender.Anchor, 2000, 100), at(contender.Hub, 2000, 151)}, "FAILED: hub at 2000 calls/s costs 1.51 ×", true},
		"other rates":     {[]load.Result{at(contender.Anchor, 500, 100), at(contender.Core, 500, 999)}, "", false},
		"without anchor":  {[]load.Result{at(contender.Core, 2000, 999)}, "", false},
		"a failed call":   {[]load.Result{broken}, "FAILED: core at 500 calls/s: 7 failed, 0 lost 180s", true},
		"a lost 180":      {[]load.Result{unheard}, "FAILED: core at 500 calls/s: 0 failed, 1 lost 180s", true},
		"a lame anchor":   {[]load.Result{lame}, "note:   kamailio at 500 calls/s: 1 failed, 0 lost 180s\nnote:   the machine was not quiet enough", false},
		"missed its rate": {[]load.Result{slow}, "note:   the machine was not quiet enough, or a rate not reached", false},
	} {
		var out bytes.Buffer
		v := verdict{out: &out, good: true}
		v.budgets(c.results)
		if v.good == c.fails || !strings.Contains(out.String(), c.says) || c.says == "" && out.Len() > 0 {
			t.Errorf("%s: good is %v, said %q", name, v.good, out.String())
		}
	}
}

// TestProgressTellsOfTheDirectory, whose time is in no figure.
func TestProgressTellsOfTheDirectory(t *testing.T) {
	t.Parallel()
	r := at(contender.Hub, 500, 100)
	r.Apart = 200 * time.Millisecond
	if got, want := progress(r), "0.100 CPU-s/1000, not counted: directory 0.010"; !strings.Contains(got, want) {
		t.Errorf("%q does not say %q", got, want)
	}
}

func TestMemoryTable(t *testing.T) {
	t.Parallel()
	got := memoryTable(load.HeldResult{
		Held:         load.Held{Calls: 4096},
		SignalBefore: load.Memory{Resident: 40 << 20, Heap: 10 << 20}, SignalAfter: load.Memory{Resident: 56 << 20, Heap: 18 << 20},
		MediaBefore: load.Memory{Resident: 20 << 20, Heap: -1}, MediaAfter: load.Memory{Resident: 28 << 20, Heap: 4 << 20},
	})
	for _, want := range []string{
		"| signal | 4096 | 40.0 MiB | 56.0 MiB | 4.1 KB | 10 MiB | 18 MiB | 2.0 ± 0.3 KB |\n",
		"| media | 4096 | 20.0 MiB | 28.0 MiB | 2.0 KB | not measured | – | – |\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no line\n%sin\n%s", want, got)
		}
	}
}

func TestWrongFlags(t *testing.T) {
	t.Parallel()
	for _, args := range []string{
		"-rates 0", "-rates x", "-rates 500,", "-contenders asterisk", "-parts nothing", "-relays rtp", "-relay-calls 0", "-seconds 0", "-rounds 0", "-held 0", "-chain-rate 0", "-voice-hold 0s", "500", "-nonsense",
	} {
		var out bytes.Buffer
		if _, err := parse(strings.Fields(args), &out); err == nil {
			t.Errorf("%q was taken", args)
		}
	}
	o, err := parse([]string{"-contenders", "core, kamailio", "-rates", "100", "-parts", "held"}, &bytes.Buffer{})
	if err != nil || len(o.contenders) != 2 || len(o.rates) != 1 || len(o.parts) != 1 {
		t.Errorf("read as %+v: %v", o, err)
	}
}
