package signal

import (
	"fmt"
	"testing"

	"github.com/mss-federation/mss/lmss/cdr"
	"github.com/mss-federation/mss/pkg/federation"
)

// Ends are counted by class and reason; however many reasons strangers invent, the names are bounded and no call is lost.
func TestTerminationsAreBounded(t *testing.T) {
	t.Parallel()
	var all terminations
	const calls = 3 * maxReasons
	for i := range calls {
		all.count(&cdr.Record{
			Recovered: i == 0, Unprotected: i < 2,
			Termination: federation.Termination{Class: federation.Busy, Reason: fmt.Sprint("486 ", i)},
		})
	}
	all.count(&cdr.Record{Termination: federation.Termination{Class: federation.Busy, Reason: "486 0"}})
	kinds, sum := map[ending]uint64{}, uint64(0)
	all.each(func(e ending, n uint64) { kinds[e] = n; sum += n })
	if len(kinds) != maxReasons+1 || sum != calls+1 {
		t.Errorf("%d kinds of %d calls", len(kinds), sum)
	}
	if first, other := kinds[ending{federation.Busy, "486 0"}], kinds[ending{federation.Busy, otherReasons}]; first != 2 || other != calls-maxReasons {
		t.Errorf("%d of the first, %d others", first, other)
	}
	if recovered, unprotected := all.special(); recovered != 1 || unprotected != 2 || all.classes()[federation.Busy] != calls+1 {
		t.Errorf("%d recovered, %d unprotected, %v", recovered, unprotected, all.classes())
	}
}

// Whoever asks for the numbers, and is slow to take them, holds up no call that ends.
func TestTerminationsAreReadWithoutTheirLock(t *testing.T) {
	t.Parallel()
	var all terminations
	all.count(&cdr.Record{Termination: federation.Termination{Class: federation.Busy, Reason: "486 Busy Here"}})
	all.each(func(ending, uint64) {
		if !all.mu.TryLock() {
			t.Error("locked while it is read")
			return
		}
		all.mu.Unlock()
	})
}
