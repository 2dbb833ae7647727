// Package registrar keeps the bindings from an address-of-record to phones. It answers REGISTER (RFC 3261
// §10.3) and lookups. It does not authenticate (see ingress), send (see call) or store (see store): what
// is to be written comes out as [Change]s. Start at [Registrar.Register].
//
// Each address-of-record is handled by pure functions over its few bindings (account.go); this file is
// the locked shell around them. All methods may be called from several goroutines.
package registrar

import (
	"hash/maphash"
	"iter"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/siptransport"
)

const shards = 64

// Registrar holds the bindings of one site.
type Registrar struct {
	options Options
	seed    maphash.Seed
	count   atomic.Int64 // bindings in all shards
	shards  [shards]shard
	flows   flowIndex
}

// shard holds the accounts whose name hashes to it. No I/O happens under mu.
type shard struct {
	mu       sync.Mutex
	accounts map[federation.User]account
	// next is not later than the first expiry in the shard; the zero time means that there is none.
	next time.Time
	// ping is when the phones behind NAT of this shard are due; the zero time means not yet planned.
	ping time.Time
}

// New makes an empty registrar. Zero options mean the defaults.
func New(options Options) (*Registrar, error) {
	options.EnsureDefaults()
	if err := options.Validate(); err != nil {
		return nil, err
	}
	r := &Registrar{options: options, seed: maphash.MakeSeed()}
	for i := range r.shards {
		r.shards[i].accounts = map[federation.User]account{}
	}
	r.flows.users = map[siptransport.FlowID]map[federation.User]struct{}{}
	return r, nil
}

func (r *Registrar) shard(aor federation.User) *shard {
	return &r.shards[maphash.String(r.seed, string(aor))%shards]
}

// Register carries out a REGISTER of a user who may have limit phones (user.BindingLimit).
func (r *Registrar) Register(now time.Time, req Request, limit int) Outcome {
	s := r.shard(req.AoR)
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.accounts[req.AoR]
	after, out := before.register(now, &req, limit, &r.options)
	if grown := len(after) - len(before); grown > 0 && int(r.count.Load())+grown > r.options.MaxBindings {
		return Outcome{Status: 503, Reason: "Registrar Full", RetryAfter: 60}
	}
	if len(out.Changes) > 0 {
		r.setLocked(s, req.AoR, after)
		if req.Flow.ID != 0 {
			r.flows.add(req.Flow.ID, req.AoR)
		}
	}
	return out
}

// setLocked puts an account in its place and keeps the count and the shard's next expiry right.
func (r *Registrar) setLocked(s *shard, aor federation.User, a account) {
	r.count.Add(int64(len(a) - len(s.accounts[aor])))
	if len(a) == 0 {
		delete(s.accounts, aor)
		return
	}
	s.accounts[aor] = a
	for i := range a {
		s.planLocked(a[i].Expires)
	}
}

func (s *shard) planLocked(expires time.Time) {
	if s.next.IsZero() || expires.Before(s.next) {
		s.next = expires
	}
}

// Bindings are the phones of a user that can be reached at now: highest q first, of equal q the one that
// registered last. Those of equal q ring together: see [Groups].
func (r *Registrar) Bindings(now time.Time, aor federation.User) []Binding {
	s := r.shard(aor)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.accounts[aor].usable(now)
}

// Account is all bindings of a user, lost ones too, in no order.
func (r *Registrar) Account(aor federation.User) []Binding {
	s := r.shard(aor)
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone([]Binding(s.accounts[aor]))
}

// Groups cuts what Bindings returned into those that ring together, in the order in which to try them.
func Groups(ordered []Binding) iter.Seq[[]Binding] {
	return func(yield func([]Binding) bool) {
		for len(ordered) > 0 {
			n := 1
			for n < len(ordered) && ordered[n].Q == ordered[0].Q {
				n++
			}
			if !yield(ordered[:n:n]) {
				return
			}
			ordered = ordered[n:]
		}
	}
}

// Remove drops all bindings of a user, such as one that was deleted or disabled.
func (r *Registrar) Remove(aor federation.User) []Change {
	s := r.shard(aor)
	s.mu.Lock()
	defer s.mu.Unlock()
	changes := s.accounts[aor].deletions()
	r.setLocked(s, aor, nil)
	return changes
}

// Restore puts back what the store had. Bindings over a stream are lost until their phone comes back,
// since their connection died with the process; expired ones are left out.
func (r *Registrar) Restore(now time.Time, bindings []Binding) {
	for _, b := range bindings {
		if !now.Before(b.Expires) || !b.restore() {
			continue
		}
		s := r.shard(b.AoR)
		s.mu.Lock()
		r.setLocked(s, b.AoR, s.accounts[b.AoR].with(b))
		s.mu.Unlock()
	}
}

// Expire removes what has run out at now. It costs next to nothing when nothing has; call it each second.
func (r *Registrar) Expire(now time.Time) []Change {
	var changes []Change
	for i := range r.shards {
		changes = append(changes, r.expireShard(&r.shards[i], now)...)
	}
	return changes
}

func (r *Registrar) expireShard(s *shard, now time.Time) []Change {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next.IsZero() || now.Before(s.next) {
		return nil
	}
	var changes []Change
	s.next = time.Time{}
	for aor, a := range s.accounts {
		rest, gone := a.expire(now)
		changes = append(changes, gone...)
		r.setLocked(s, aor, rest)
	}
	return changes
}

// NextExpiry is not later than the moment at which Expire has something to do; false means never.
func (r *Registrar) NextExpiry() (time.Time, bool) {
	var next time.Time
	for i := range r.shards {
		s := &r.shards[i]
		s.mu.Lock()
		if !s.next.IsZero() && (next.IsZero() || s.next.Before(next)) {
			next = s.next
		}
		s.mu.Unlock()
	}
	return next, !next.IsZero()
}

// Count is the number of bindings, lost ones too.
func (r *Registrar) Count() int { return int(r.count.Load()) }

// All yields every binding, lost ones too, in no order. No lock is held while it yields; each
// user's bindings are from one moment.
func (r *Registrar) All() iter.Seq[Binding] {
	return func(yield func(Binding) bool) {
		for i := range r.shards {
			for _, b := range r.shards[i].snapshot() {
				if !yield(b) {
					return
				}
			}
		}
	}
}

func (s *shard) snapshot() []Binding {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]Binding, 0, len(s.accounts))
	for _, a := range s.accounts {
		all = append(all, a...)
	}
	return all
}
