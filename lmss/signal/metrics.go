package signal

import (
	"maps"
	"sync"

	"github.com/mss-federation/mss/lmss/cdr"
	"github.com/mss-federation/mss/pkg/federation"
)

// maxReasons bounds the reasons that are counted by their own name. There are some forty; one more than this would be
// somebody else's text.
const maxReasons = 64

// otherReasons stands for reasons beyond that.
const otherReasons = "other"

// ending is what calls are counted by when they end.
type ending struct {
	class  federation.TerminationClass
	reason string
}

// terminations counts how calls ended.
type terminations struct {
	mu struct {
		sync.Mutex
		endings                map[ending]uint64
		reasons                map[string]bool
		recovered, unprotected uint64
	}
}

func (t *terminations) count(r *cdr.Record) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.mu.endings == nil {
		t.mu.endings, t.mu.reasons = map[ending]uint64{}, map[string]bool{}
	}
	reason := r.Termination.Reason
	if !t.mu.reasons[reason] && len(t.mu.reasons) >= maxReasons {
		reason = otherReasons
	}
	t.mu.reasons[reason] = true
	t.mu.endings[ending{r.Termination.Class, reason}]++
	if r.Recovered {
		t.mu.recovered++
	}
	if r.Unprotected {
		t.mu.unprotected++
	}
}

// each calls do with every kind of end.
func (t *terminations) each(do func(e ending, calls uint64)) {
	t.mu.Lock()
	endings := maps.Clone(t.mu.endings)
	t.mu.Unlock()
	for e, n := range endings { // no call waits for whoever reads
		do(e, n)
	}
}

// classes are the sums by class.
func (t *terminations) classes() map[federation.TerminationClass]uint64 {
	sums := map[federation.TerminationClass]uint64{}
	t.each(func(e ending, calls uint64) { sums[e.class] += calls })
	return sums
}

// special are the calls that outlived a restart, and those whose answer left before the store had it.
func (t *terminations) special() (recovered, unprotected uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.mu.recovered, t.mu.unprotected
}
