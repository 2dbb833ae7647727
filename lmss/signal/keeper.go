package signal

import (
	"sync"

	"github.com/mss-federation/mss/pkg/siptransport"
)

// keeper knows why a connection must stay open although nothing is said on it: a phone is registered
// over it, or calls use it.
type keeper struct {
	keep func(siptransport.Flow, bool)
	mu   struct {
		sync.Mutex
		uses map[siptransport.FlowID]use
	}
}

type use struct {
	registered bool
	calls      int
}

func (k *keeper) register(flow siptransport.Flow, on bool) {
	k.change(flow, func(u *use) { u.registered = on })
}

func (k *keeper) hold(flow siptransport.Flow, on bool) {
	k.change(flow, func(u *use) {
		if on {
			u.calls++
		} else {
			u.calls = max(u.calls-1, 0)
		}
	})
}

func (k *keeper) change(flow siptransport.Flow, with func(*use)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.mu.uses == nil {
		k.mu.uses = map[siptransport.FlowID]use{}
	}
	before := k.mu.uses[flow.ID]
	after := before
	with(&after)
	if after == (use{}) {
		delete(k.mu.uses, flow.ID)
	} else {
		k.mu.uses[flow.ID] = after
	}
	if kept := after != (use{}); kept != (before != (use{})) {
		// Keep only marks the connection; it does not block or call back.
		k.keep(flow, kept)
	}
}
