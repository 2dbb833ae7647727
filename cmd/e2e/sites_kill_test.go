package e2e

import (
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
	out, in := upTo(t, a, b, at)
	d.explainFailure(t, out)
	k := kill{node: n, at: at, pause: 100 * time.Millisecond, out: out, in: in, mine: out, other: in}
	for _, p := range []*phone.Phone{a, b} {
		if d.of(p.Name()) == n {
			k.phones = append(k.phones, p)
		}
	}
	if !fromA && at != beforeACK { // a re-INVITE of the callee's may not cross the ACK (RFC 3261 §14.1)
		k.mine, k.other = in, out
	}
	k.run(t)
	d.oneRecordEach(t, out, in)
	d.noVoicePorts(t)
}
