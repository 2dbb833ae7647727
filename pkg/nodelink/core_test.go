package nodelink

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/siptransport"
)

var began = time.Unix(1_000_000, 0)

// bench drives a core by hand. Flow n is flow(n).
type bench struct {
	*core
	heard map[siptransport.FlowID]time.Time
	now   time.Time
	next  siptransport.FlowID
	log   []string
}

func newBench(targets ...federation.NodeID) *bench {
	var clocks Clocks
	clocks.EnsureDefaults()
	b := &bench{core: newCore(clocks, func() float64 { return 0.5 }), heard: map[siptransport.FlowID]time.Time{}, now: began}
	var list []Target
	for _, node := range targets {
		list = append(list, Target{Node: node, Flow: siptransport.Flow{Transport: siptransport.TCP}})
	}
	b.do(b.setTargets(list, b.now))
	return b
}

func flow(id siptransport.FlowID) siptransport.Flow {
	return siptransport.Flow{Transport: siptransport.TLS, ID: id}
}

// do writes down actions and plays the shell: a dial gets the next flow.
func (b *bench) do(actions []action) {
	at := b.now.Sub(began).Seconds()
	for _, a := range actions {
		switch a.kind {
		case dial:
			b.next++
			b.log = append(b.log, fmt.Sprintf("%.2f dial %s #%d", at, a.target.Node, b.next))
			b.dialling(a.target.Node, b.next)
		case ping:
			b.log = append(b.log, fmt.Sprintf("%.2f ping #%d", at, a.flow.ID))
		case hangUp:
			b.log = append(b.log, fmt.Sprintf("%.2f hang up #%d", at, a.flow.ID))
		case forget:
			b.log = append(b.log, fmt.Sprintf("%.2f forget #%d", at, a.flow.ID))
		}
	}
}

// until lets time pass in steps of 50 ms.
func (b *bench) until(seconds float64) {
	end := began.Add(time.Duration(seconds * float64(time.Second)))
	for b.now.Before(end) {
		b.now = b.now.Add(50 * time.Millisecond)
		b.do(b.tick(b.now, func(id siptransport.FlowID) time.Time { return b.heard[id] }))
	}
}

func (b *bench) open(id siptransport.FlowID, node federation.NodeID, dialled bool) {
	b.heard[id] = b.now
	b.handle(event{kind: opened, flow: flow(id), node: node, dialled: dialled, at: b.now})
}

func (b *bench) close(id siptransport.FlowID, node federation.NodeID) {
	b.handle(event{kind: closed, flow: flow(id), node: node, at: b.now})
}

func (b *bench) want(t *testing.T, want ...string) {
	t.Helper()
	if !slices.Equal(b.log, want) {
		t.Errorf("got  %q\nwant %q", b.log, want)
	}
	b.log = nil
}

func TestRedialTimes(t *testing.T) {
	t.Parallel()
	b := newBench("hub/a")
	for range 7 {
		before := len(b.log)
		for len(b.log) == before {
			b.until(b.now.Sub(began).Seconds() + 0.05)
		}
		b.close(b.next, "hub/a") // refused at once
	}
	b.want(t, "0.05 dial hub/a #1", "0.25 dial hub/a #2", "0.55 dial hub/a #3", "1.05 dial hub/a #4",
		"2.55 dial hub/a #5", "4.05 dial hub/a #6", "5.55 dial hub/a #7")
}

func TestLostLinkIsDialledAtOnceIfItHadSettled(t *testing.T) {
	t.Parallel()
	for seconds, want := range map[float64]string{4.8: "5.00 dial hub/a #2", 5.5: "5.55 dial hub/a #2"} {
		b := newBench("hub/a")
		b.until(0.05)
		b.open(1, "hub/a", true)
		for b.now.Sub(began).Seconds() < seconds {
			b.heard[1] = b.now
			b.until(b.now.Sub(began).Seconds() + 0.05)
		}
		b.log = nil
		b.close(1, "hub/a")
		b.until(seconds + 0.3)
		b.want(t, want)
	}
}

func TestSilenceSuspectsAndCloses(t *testing.T) {
	t.Parallel()
	b := newBench()
	b.open(1, "site/london", false)
	b.open(2, "site/london", true)
	steps := []struct {
		at    float64
		state State
		best  siptransport.FlowID
	}{{2, Alive, 2}, {2.1, Suspect, 2}, {5.9, Suspect, 2}}
	for _, s := range steps {
		b.until(s.at)
		if got := b.nodes()["site/london"]; len(got) != 2 || got[0].State != s.state || got[0].Flow.ID != s.best {
			t.Errorf("at %v s: %+v", s.at, got)
		}
	}
	b.heard[1] = b.now
	b.until(5.95)
	if got := b.nodes()["site/london"]; got[0].Flow.ID != 1 || got[0].State != Alive || got[1].State != Suspect {
		t.Errorf("the old one answers, the new one does not: %+v", got)
	}
	b.until(6.5)
	if got := b.nodes()["site/london"]; len(got) != 1 {
		t.Errorf("a silent link is still offered: %+v", got)
	}
	b.close(2, "site/london")
	b.want(t, "1.00 ping #2", "2.00 ping #2", "3.00 ping #2", "4.00 ping #2", "5.00 ping #2", "6.00 hang up #2")
}

func TestTargetsComeAndGo(t *testing.T) {
	t.Parallel()
	b := newBench("hub/a", "hub/b")
	b.until(0.05)
	b.log = nil
	keep := b.targets["hub/a"].Target
	b.do(b.setTargets([]Target{keep, {Node: "hub/c"}}, b.now))
	b.until(0.1)
	if len(b.log) != 2 || b.log[1] != "0.10 dial hub/c #3" || b.log[0][:12] != "0.05 hang up" {
		t.Errorf("%q", b.log)
	}
	b.log = nil
	b.undialled("hub/c", b.now) // too many connections: again later, as after a failure
	b.until(0.2)
	b.close(3, "hub/c")
	b.until(64.3)
	if !slices.Contains(b.log, "64.20 forget #3") {
		t.Errorf("%q", b.log)
	}
}

// The end of a connection that was replaced is no reason to dial again.
func TestReplacedConnectionEndsLate(t *testing.T) {
	t.Parallel()
	b := newBench("hub/a")
	b.until(0.05)
	b.open(1, "hub/a", true)
	b.do(b.setTargets([]Target{{Node: "hub/a", Flow: flow(0)}}, b.now)) // another transport
	b.until(0.1)
	b.open(2, "hub/a", true)
	b.close(1, "hub/a")
	b.until(0.9)
	b.want(t, "0.05 dial hub/a #1", "0.05 hang up #1", "0.10 dial hub/a #2")
}
