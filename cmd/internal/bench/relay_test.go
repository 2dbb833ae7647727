package main

import (
	"bytes"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/mss-federation/mss/cmd/internal/bench/contender"
	"github.com/mss-federation/mss/cmd/internal/bench/load"
	"github.com/mss-federation/mss/cmd/internal/bench/voice"
)

// relayed is a run of 40 s in which a packet cost so many processor nanoseconds.
func relayed(name string, cost int) voice.Result {
	l := voice.Load{Calls: 500, Length: 40 * time.Second}
	r := voice.Result{Relay: name, Load: l, Sent: l.Rate() * 40, Received: l.Rate() * 40, Elapsed: 40 * time.Second}
	r.CPU = time.Duration(cost * r.Sent)
	return r
}

func TestRelayTable(t *testing.T) {
	t.Parallel()
	ours := relayed(contender.RelayMedia, 5000)
	ours.Received -= 7
	ours.Overtaken, ours.Strange = 2, 1
	ours.Others = time.Duration(10 * float64(time.Second) * float64(runtime.NumCPU()))
	got := relayTable([]voice.Result{relayed(contender.RelayAnchor, 8000), ours, relayed(contender.RelayMedia, 6000)}, contender.Relays())
	for _, want := range []string{
		"| 50000 | rtpengine | 8.00 | 8.00 | 8.00 | 1.00 |  | 2000000 | 0 | 0 | 0 | 0 % |\n",
		"| 50000 | lmss-media | 5.50 | 5.00 | 6.00 | 0.69 | 0.7 | 4000000 | 7 | 2 | 1 | 25 % |\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no line\n%sin\n%s", want, got)
		}
	}
}

func TestRelayVerdict(t *testing.T) {
	t.Parallel()
	with := func(r voice.Result, change func(*voice.Result)) voice.Result {
		change(&r)
		return r
	}
	anchor, ours := relayed(contender.RelayAnchor, 10000), relayed(contender.RelayMedia, 7000)
	for name, c := range map[string]struct {
		results []voice.Result
		says    string
		fails   bool
	}{
		"within":         {[]voice.Result{anchor, ours}, "ok:     lmss-media costs 0.70 × rtpengine a packet", false},
		"too dear":       {[]voice.Result{anchor, relayed(contender.RelayMedia, 7001)}, "FAILED: lmss-media costs 0.70 × rtpengine a packet", true},
		"without anchor": {[]voice.Result{ours}, "ok:     lmss-media: 2000000 voice packets sent, 2000000 received", false},
		"few lost":       {[]voice.Result{with(ours, func(r *voice.Result) { r.Received -= 2000 })}, "ok:     lmss-media: 2000000 voice packets sent, 1998000 received: 0.100 % lost", false},
		"many lost":      {[]voice.Result{with(ours, func(r *voice.Result) { r.Received -= 2001 })}, "FAILED: lmss-media: 2000000 voice packets sent, 1997999 received", true},
		"nothing sent":   {[]voice.Result{with(ours, func(r *voice.Result) { r.Sent, r.Received = 0, 0 })}, "FAILED: lmss-media: 0 voice packets sent", true},
		"strange":        {[]voice.Result{with(ours, func(r *voice.Result) { r.Strange = 1 })}, "0 overtaken, 1 strange", true},
		"overtaken":      {[]voice.Result{with(ours, func(r *voice.Result) { r.Overtaken = 1 })}, "1 overtaken, 0 strange", true},
		"a lame anchor":  {[]voice.Result{with(anchor, func(r *voice.Result) { r.Received -= 3000 })}, "note:   the machine was not quiet enough", false},
		"an odd anchor":  {[]voice.Result{with(anchor, func(r *voice.Result) { r.Overtaken = 9 }), ours}, "ok:     lmss-media costs", false},
		"too slow":       {[]voice.Result{with(ours, func(r *voice.Result) { r.Elapsed += 5 * time.Second })}, "note:   the machine was not quiet enough", false},
	} {
		var out bytes.Buffer
		v := verdict{out: &out, good: true}
		v.relays(c.results)
		if v.good == c.fails || !strings.Contains(out.String(), c.says) || strings.Contains(out.String(), "FAILED") != c.fails {
			t.Errorf("%s: good is %v, said %q", name, v.good, out.String())
		}
	}
}

// TestReport: one budget that is not kept fails the whole bench, whichever it is.
func TestReport(t *testing.T) {
	t.Parallel()
	o, err := parse(nil, &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	calls := func(cost int64) []load.Result {
		return []load.Result{at(contender.Anchor, 2000, 100), at(contender.Shipped, 2000, cost)}
	}
	voices := func(cost int) []voice.Result {
		return []voice.Result{relayed(contender.RelayAnchor, 10000), relayed(contender.RelayMedia, cost)}
	}
	for name, c := range map[string]struct {
		all  results
		want error
	}{
		"all kept":    {results{calls(300), voices(7000)}, nil},
		"calls":       {results{calls(301), voices(7000)}, errBudget},
		"voice":       {results{calls(300), voices(7001)}, errBudget},
		"voice alone": {results{nil, voices(7001)}, errBudget},
		"nothing":     {results{}, nil},
	} {
		var out bytes.Buffer
		if err := c.all.report(o, &out); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, said\n%s", name, err, out.String())
		}
	}
}

func TestRelayProgress(t *testing.T) {
	t.Parallel()
	r := relayed(contender.RelayMedia, 5000)
	r.Received, r.Strange, r.Talkers, r.Elapsed = r.Received-3, 4, 6*time.Second, 50*time.Second
	want := "lmss-media   50000 packets/s  5.00 CPU-s/million (the ends: 3.00), 3 lost, 4 strange, the rate was not reached: took 50.0 s"
	if got := relayProgress(r); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestRoundGoesThroughAll: what one round has, and how long the rest takes.
func TestRoundGoesThroughAll(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]int{
		"":                                     3*4 + 2,
		"-parts calls -contenders all":         3 * 7,
		"-parts relay":                         2,
		"-parts relay -relays lmss-media":      1,
		"-parts held,calls -rates 2000":        4,
		"-parts calls,relay,held -rates 1,2,3": 3*4 + 2,
	} {
		o, err := parse(strings.Fields(args), &bytes.Buffer{})
		if got := len(o.round()); got != want || err != nil {
			t.Errorf("%q: %d runs, want %d: %v", args, got, want, err)
		}
	}
	if got := left(30*time.Second, 20*time.Second, 100*time.Second); got != "2:00" {
		t.Errorf("%s left", got)
	}
}
