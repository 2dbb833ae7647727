package signal

import (
	"maps"
	"sync"

	"github.com/mss-federation/mss/pkg/federation"
)

// terminations counts how calls ended, by class.
type terminations struct {
	mu struct {
		sync.Mutex
		classes map[federation.TerminationClass]uint64
	}
}

func (t *terminations) count(class federation.TerminationClass) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.mu.classes == nil {
		t.mu.classes = map[federation.TerminationClass]uint64{}
	}
	t.mu.classes[class]++
}

func (t *terminations) snapshot() map[federation.TerminationClass]uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.mu.classes)
}
