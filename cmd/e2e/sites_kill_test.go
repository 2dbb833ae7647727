package e2e

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/mss-federation/mss/cmd/internal/rig/node"
	"github.com/mss-federation/mss/cmd/internal/rig/phone"
)

// TestTwoSitesKillSignal kills the signalling of one office in a call between two, in each phase: that of the caller's
// office and that of the callee's. Voice must not lose a packet, the call must be usable again over the new trunk within
// a second, end at both phones whoever hangs up, free its ports and leave one record in each office.
func TestTwoSitesKillSignal(t *testing.T) {
	t.Parallel()
	for i, at := range phases {
		for j, office := range []string{"london", "hongkong"} {
			t.Run(office+" "+string(at), func(t *testing.T) {
				t.Parallel()
				d := twoSites(t)
				allowed := afterKill
				if at == inBye { // the BYE may have been passed on before the kill, and its answer be lost with the process
					allowed = append(slices.Clone(afterKill), phone.RuleAfterEnd)
				}
				pair := pairs[(2*i+j)%len(pairs)]
				a := d.register(t, phone.Options{Name: "4001", Transport: pair[0]}, allowed...)
				b := d.register(t, phone.Options{Name: "1001", Transport: pair[1]}, allowed...)
				killed := map[string]*node.Node{"london": d.london, "hongkong": d.hongkong}[office]
				killInFarCall(t, d, killed, a, b, at, (i+j)%2 == 0)
			})
		}
	}
}

// killInFarCall kills the signalling of n in a call from a to b; a or else b does what is done in the call.
func killInFarCall(t *testing.T, d *domain, n *node.Node, a, b *phone.Phone, at phase, fromA bool) {
	t.Helper()
	ctx := limit(t)
	out, in := upTo(t, a, b, at)
	d.explainFailure(t, out)
	mine, other := out, in
	if !fromA && at != beforeACK { // a re-INVITE of the callee's may not cross the ACK (RFC 3261 §14.1)
		mine, other = in, out
	}
	if at == held {
		must(t, mine.Hold(ctx))
	}
	wait(ctx, 100*time.Millisecond)
	out.Voice().Mark()
	in.Voice().Mark()
	old := n.PID(node.Signal)
	done := make(chan error, 1)
	switch at {
	case inReinvite:
		go func() { done <- mine.Refresh(ctx) }()
	case inBye:
		go func() { done <- mine.Hangup(ctx) }()
	default: // nothing is under way
	}
	killed, err := n.KillSignal()
	must(t, err)
	_, err = n.WaitRestarted(ctx, node.Signal, old)
	must(t, err)
	ready := killed
	for _, p := range []*phone.Phone{a, b} {
		if d.of(p.Name()) == n {
			ready = later(ready, usable(t, p, p, killed))
		}
	}
	if at == beforeACK {
		must(t, out.SendACK())
	}
	if at == inReinvite {
		must(t, <-done)
	}
	if at != inBye {
		answerWithin(t, mine, ready)
		seamless(t, out, in)
		done <- mine.Hangup(ctx)
	}
	if err := <-done; err != nil {
		t.Errorf("hang-up after the kill: %v", err)
	}
	t.Logf("killed, phones back after %v, hung up after %v", ready.Sub(killed).Round(time.Millisecond),
		time.Since(killed).Round(time.Millisecond))
	ending, cancel := context.WithTimeout(ctx, 32*time.Second)
	defer cancel()
	must(t, other.WaitEnded(ending))
	d.oneRecordEach(t, out, in)
	d.noVoicePorts(t)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
