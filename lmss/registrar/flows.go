package registrar

import (
	"iter"
	"sync"
	"time"

	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/siptransport"
)

// flowIndex knows who registered over which connection. It may name users who have left since; it never
// misses one. Its lock is taken inside a shard's, never the other way round.
type flowIndex struct {
	mu    sync.Mutex
	users map[siptransport.FlowID]map[federation.User]struct{}
}

func (x *flowIndex) add(id siptransport.FlowID, aor federation.User) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.users[id] == nil {
		x.users[id] = map[federation.User]struct{}{}
	}
	x.users[id][aor] = struct{}{}
}

func (x *flowIndex) take(id siptransport.FlowID) map[federation.User]struct{} {
	x.mu.Lock()
	defer x.mu.Unlock()
	users := x.users[id]
	delete(x.users, id)
	return users
}

// FlowClosed makes the bindings over a closed connection unreachable at once; they are deleted when they
// expire. It may be called more than once. A REGISTER that was read from the connection must not be
// carried out after the last call: every worker that hears of the end calls it.
func (r *Registrar) FlowClosed(flow siptransport.Flow) {
	if flow.ID == 0 {
		return
	}
	for aor := range r.flows.take(flow.ID) {
		r.loseFlow(aor, flow.ID)
	}
}

func (r *Registrar) loseFlow(aor federation.User, id siptransport.FlowID) {
	s := r.shard(aor)
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.accounts[aor]
	for i := range a {
		if a[i].Flow.ID == id {
			a[i].Lost = true
		}
	}
}

// NATFlows yields the flows to UDP phones behind NAT that are due for a ping at now, each once per
// PingInterval when it is called each second. No lock is held while it yields.
func (r *Registrar) NATFlows(now time.Time) iter.Seq[siptransport.Flow] {
	return func(yield func(siptransport.Flow) bool) {
		for i := range r.shards {
			for _, flow := range r.duePings(i, now) {
				if !yield(flow) {
					return
				}
			}
		}
	}
}

// duePings takes shards in turn, so that the pings of one interval are spread over it.
func (r *Registrar) duePings(i int, now time.Time) []siptransport.Flow {
	s := &r.shards[i]
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ping.IsZero() {
		s.ping = now.Add(r.options.PingInterval * time.Duration(i) / shards)
	}
	if now.Before(s.ping) {
		return nil
	}
	// Counted from the plan, not from now, so that late calls do not add up; a long pause is not made up for.
	if s.ping = s.ping.Add(r.options.PingInterval); s.ping.Before(now) {
		s.ping = now.Add(r.options.PingInterval)
	}
	var due []siptransport.Flow
	for _, a := range s.accounts {
		for j := range a {
			if a[j].pinged() && now.Before(a[j].Expires) {
				due = append(due, a[j].Flow)
			}
		}
	}
	return due
}
