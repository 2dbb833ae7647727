package peering

import (
	"slices"
	"testing"
	"time"

	"github.com/mss-federation/mss/tmss/routetable"
)

const staleMax = 24 * time.Hour

// step is one thing that happens to a neighbour, and what is due then.
type step struct {
	after time.Duration // since the step before
	do    func(*fate, time.Time)
	due   []routetable.Op
	next  time.Duration // until it must be asked again; 0: never
}

func session(up bool) func(*fate, time.Time) {
	return func(f *fate, now time.Time) { f.setSession(up, now) }
}

func trunk(up bool) func(*fate, time.Time) {
	return func(f *fate, now time.Time) { f.setTrunk(up, now) }
}

func silent(f *fate, now time.Time) { f.setSilent(now) }

// restored has routes that were heard an hour ago.
func restored(f *fate, now time.Time) { f.restore(now.Add(-time.Hour), now) }

func nothing(*fate, time.Time) {}

func TestFates(t *testing.T) {
	t.Parallel()
	up := []step{{do: trunk(true)}, {do: session(true)}}
	for name, steps := range map[string][]step{
		"never seen": {{do: trunk(false)}, {after: time.Hour, do: nothing}},
		"back within the grace: nobody learns": append(slices.Clone(up),
			step{do: session(false), due: []routetable.Op{routetable.MarkStale}, next: grace},
			step{after: grace - 1, do: session(true)},
			step{after: time.Hour, do: nothing}),
		"gone, the trunk stands": append(slices.Clone(up),
			step{do: session(false), due: []routetable.Op{routetable.MarkStale}, next: grace},
			step{after: grace, do: nothing, due: []routetable.Op{routetable.PublishStale}, next: staleMax - grace},
			step{after: staleMax - grace, do: nothing, due: []routetable.Op{routetable.Forget}},
			step{after: time.Hour, do: nothing}),
		"gone with its trunk, comes back": append(slices.Clone(up),
			step{do: trunk(false), next: trunkGrace},
			step{do: session(false), due: []routetable.Op{routetable.MarkStale}, next: grace},
			step{after: grace, do: nothing, due: []routetable.Op{routetable.HopDown, routetable.PublishStale}, next: staleMax - grace},
			step{after: time.Minute, do: trunk(true), due: []routetable.Op{routetable.HopUp}, next: staleMax - grace - time.Minute},
			step{do: session(true)}),
		"the trunk goes later": append(slices.Clone(up),
			step{do: session(false), due: []routetable.Op{routetable.MarkStale}, next: grace},
			step{after: time.Minute, do: trunk(false), due: []routetable.Op{routetable.PublishStale}, next: grace},
			step{after: grace, do: nothing, due: []routetable.Op{routetable.HopDown}, next: staleMax - time.Minute - grace}),
		"the trunk is silent, the session goes": append(slices.Clone(up),
			step{after: time.Minute, do: silent},
			step{after: time.Second, do: session(false), due: []routetable.Op{routetable.MarkStale}, next: grace},
			step{after: grace / 2, do: trunk(false), next: grace / 2},
			step{after: grace / 2, do: nothing, due: []routetable.Op{routetable.HopDown, routetable.PublishStale}, next: staleMax - grace}),
		"both fall silent, the session is ended first": append(slices.Clone(up),
			step{after: time.Minute, do: session(false), due: []routetable.Op{routetable.MarkStale}, next: grace},
			step{after: grace - 1, do: silent, next: 1},
			step{after: 1, do: nothing, due: []routetable.Op{routetable.HopDown, routetable.PublishStale}, next: staleMax - grace},
			step{after: time.Second, do: trunk(true), due: []routetable.Op{routetable.HopUp}, next: staleMax - grace - time.Second}),
		"silent while the session stands": append(slices.Clone(up),
			step{after: time.Minute, do: silent},
			step{after: time.Hour, do: nothing},
			step{do: trunk(true)},
			step{after: time.Minute, do: session(false), due: []routetable.Op{routetable.MarkStale}, next: grace},
			step{after: grace, do: nothing, due: []routetable.Op{routetable.PublishStale}, next: staleMax - grace}),
		"only the trunk is gone": append(slices.Clone(up),
			step{after: time.Hour, do: trunk(false), next: trunkGrace},
			step{after: trunkGrace, do: nothing, due: []routetable.Op{routetable.HopDown}},
			step{after: time.Hour, do: trunk(true), due: []routetable.Op{routetable.HopUp}}),
		"restored, its trunk comes": {
			{do: restored, next: grace},
			{after: time.Second, do: trunk(true), next: staleMax - time.Hour - time.Second},
			{after: time.Second, do: session(true)},
		},
		"restored, and never back": {
			{do: restored, next: grace},
			{after: grace, do: nothing, due: []routetable.Op{routetable.HopDown}, next: staleMax - time.Hour - grace},
			{after: staleMax - time.Hour - grace, do: nothing, due: []routetable.Op{routetable.Forget}},
		},
		"no trunk ever": {
			{do: session(true), next: trunkGrace},
			{after: trunkGrace, do: nothing, due: []routetable.Op{routetable.HopDown}},
		},
	} {
		f, now := &fate{}, time.Unix(1_000_000, 0)
		for i, s := range steps {
			now = now.Add(s.after)
			s.do(f, now)
			due, at := f.tick(now, staleMax)
			if !slices.Equal(due, s.due) {
				t.Errorf("%s: step %d: due %v, want %v", name, i, due, s.due)
			}
			var next time.Duration
			if !at.IsZero() {
				next = at.Sub(now)
			}
			if next != s.next {
				t.Errorf("%s: step %d: again in %v, want %v", name, i, next, s.next)
			}
		}
	}
}
