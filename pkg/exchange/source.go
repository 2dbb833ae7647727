package exchange

import (
	"iter"

	"github.com/mss-federation/mss/pkg/federation"
)

// Source is what one neighbour is offered, after export policy.
type Source interface {
	// View is the newest state. It is cheap.
	View() View
}

// View is a state that never changes.
type View interface {
	// Revision is that of the newest change in the view.
	Revision() uint64
	// Resumable says whether a neighbour that has everything up to a version may go on from there: it is
	// not above Revision, all changes after it are known, and export policy towards it is the same as then.
	Resumable(version uint64) bool
	// Changes are those after since, in order, at most limit of them; through is the revision up to which
	// nothing else changed for this neighbour. False: they are no longer known.
	Changes(since uint64, limit int) (changes []Change, through uint64, ok bool)
	// Keys are the NLRIs that follow after in a fixed order; all, for zero.
	Keys(after federation.NLRI) iter.Seq[federation.NLRI]
	// Routes are the paths of an NLRI that the neighbour is offered, best first, at most limit. PathID is
	// set by the session.
	Routes(nlri federation.NLRI, limit uint32) []federation.Route
}

// Change says that at Revision what the neighbour is offered of NLRI became something else.
type Change struct {
	Revision uint64
	NLRI     federation.NLRI
	Cause    federation.Cause
	Had      uint32 // how many paths the neighbour was offered before
	Urgent   bool   // something was taken away
}
