package peering

import (
	"time"

	"github.com/mss-federation/mss/tmss/routetable"
)

// The clocks of DESIGN.md §12.
const (
	// grace is how long a session may be gone before others learn of it, and before a neighbour whose trunk is
	// down too loses its next hop.
	grace = 2 * time.Second
	// trunkGrace is how long a trunk may be down while the session stands.
	trunkGrace = time.Minute
)

// fate is what becomes of a neighbour's routes while its session or its trunk is down: they stay as stale, for
// we can look whether calls still reach it. Pure; the zero fate is a neighbour of which nothing is known.
type fate struct {
	session, trunk     bool
	silent             bool      // a trunk that stands, and says nothing
	sessionAt, trunkAt time.Time // since when each is as it is; of a silent trunk, since when nothing was heard

	holds     bool // the table may have routes of it
	stale     bool
	published bool
	down      bool
}

func (f *fate) setSession(up bool, now time.Time) {
	if f.session == up && !f.sessionAt.IsZero() {
		return
	}
	f.session, f.sessionAt = up, now
	if up {
		// What it holds stays stale until the session says what is current.
		f.holds, f.stale, f.published = true, false, false
	}
}

// restore makes a neighbour that was never seen one whose routes were kept over a restart: its session ended when they
// were heard last, everybody may know, and its trunk has the grace to come.
func (f *fate) restore(heard, now time.Time) {
	*f = fate{sessionAt: heard, trunkAt: now, holds: true, stale: true, published: true}
}

func (f *fate) setTrunk(up bool, now time.Time) {
	if !up && f.silent {
		f.trunk, f.silent = false, false // it was of no use before
		return
	}
	if f.trunk != up || f.silent || f.trunkAt.IsZero() {
		f.trunk, f.silent, f.trunkAt = up, false, now
	}
}

// setSilent says that nothing was heard over a trunk for the grace. While the session stands that costs no route: the
// trunk is used last, and soon closed. When the session is gone too, it is as good as down.
func (f *fate) setSilent(now time.Time) {
	if f.trunk && !f.silent {
		f.silent, f.trunkAt = true, now.Add(-grace)
	}
}

// answers says whether calls reach the neighbour, as far as can be known.
func (f *fate) answers() bool { return f.trunk && (f.session || !f.silent) }

// tick says what is due, in order, and when to ask again; zero means not before something happens.
func (f *fate) tick(now time.Time, staleMax time.Duration) (due []routetable.Op, next time.Time) {
	if !f.holds {
		return nil, time.Time{}
	}
	if f.trunk && !f.silent && f.down {
		f.down = false
		due = append(due, routetable.HopUp)
	}
	if !f.session && !f.stale {
		f.stale = true
		due = append(due, routetable.MarkStale)
	}
	if !f.answers() && !f.down {
		at := f.hopDownAt()
		if at.After(now) {
			next = sooner(next, at)
		} else {
			f.down = true
			due = append(due, routetable.HopDown)
		}
	}
	if f.session {
		return due, next
	}
	if !f.published {
		at := f.sessionAt.Add(grace)
		if at.After(now) {
			next = sooner(next, at)
		} else {
			f.published = true
			due = append(due, routetable.PublishStale)
		}
	}
	end := f.sessionAt.Add(staleMax)
	if end.After(now) {
		return due, sooner(next, end)
	}
	*f = fate{session: f.session, trunk: f.trunk, silent: f.silent, sessionAt: f.sessionAt, trunkAt: f.trunkAt}
	return append(due, routetable.Forget), time.Time{}
}

// hopDownAt is when a trunk that is down costs the next hop.
func (f *fate) hopDownAt() time.Time {
	if f.session {
		return later(f.trunkAt, f.sessionAt).Add(trunkGrace)
	}
	return later(f.trunkAt, f.sessionAt).Add(grace)
}

func sooner(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
