package exchange

import (
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/mss-federation/mss/pkg/federation"
	exchangev1 "github.com/mss-federation/mss/proto/mss/exchange/v1"
)

// outbound is what this side tells. There is no queue of routes: sent is a place in the source's change
// ring, and a change that was overtaken by a later one is never sent. Memory per neighbour is constant.
type outbound struct {
	credit  uint64
	sent    uint64 // the revision up to which the neighbour has everything, but for what refreshes bring
	flushAt time.Time
	blocked bool   // routes wait for credit
	stated  uint64 // the newest version that the neighbour was told

	frames    []*exchangev1.Frame // small paid frames that go before routes
	directory bool                // a Directory is due
	refresh   []outRefresh        // the first one is on
	announced bool                // EndOfRib has left
	target    uint64              // with resume: the revision at which EndOfRib is due
}

// outRefresh is one BeginRefresh … EndRefresh.
type outRefresh struct {
	family federation.Family
	filter string
	begun  bool
	after  federation.NLRI
}

func (r *outRefresh) concerns(n federation.NLRI) bool {
	return (r.family == federation.AnyFamily || r.family == n.Family) && strings.HasPrefix(n.Key, r.filter)
}

// begin decides whether the neighbour may take up where it stopped.
func (s *Session) begin(view View, resume *exchangev1.Resume) bool {
	s.out.sent = view.Revision()
	s.out.target = s.out.sent
	last := resume.GetLastVersion()
	if last > 0 && resume.GetPeerEpoch() == s.config.Epoch && view.Resumable(last) {
		s.out.sent = last
		return true
	}
	s.out.refresh = []outRefresh{{}}
	return false
}

func (s *Session) queueRefresh(r outRefresh) {
	if s.phase == ended || !s.confirm {
		return // what the neighbour gets first is everything
	}
	for i := range s.out.refresh {
		q := &s.out.refresh[i]
		if !q.begun && (q.family == r.family && q.filter == r.filter || *q == (outRefresh{})) {
			return
		}
	}
	if len(s.out.refresh) >= maxQueued {
		r = outRefresh{}
		s.out.refresh = s.out.refresh[:1]
	}
	s.out.refresh = append(s.out.refresh, r)
}

func (s *Session) requestRefresh(r RequestRefresh) {
	if s.phase != established || !s.agreed[exchangev1.Capability_CAPABILITY_REFRESH] || len(s.out.frames) >= maxQueued {
		return
	}
	s.out.frames = append(s.out.frames, &exchangev1.Frame{Kind: &exchangev1.Frame_RefreshRequest{
		RefreshRequest: &exchangev1.RefreshRequest{Family: exchangev1.Family(r.Family), Filter: r.Filter},
	}})
}

func (s *Session) queueDirectory() {
	s.out.directory = s.config.Role == RoleHub && s.agreed[exchangev1.Capability_CAPABILITY_DIRECTORY] && s.directory != nil
}

// changed looks whether something was taken away: that leaves at once; the rest may wait for more.
func (s *Session) changed(now time.Time) {
	if s.phase != established {
		return
	}
	due := now.Add(s.config.Delay)
	changes, _, ok := s.source.View().Changes(s.out.sent, gatherLimit)
	if !ok || len(changes) == gatherLimit {
		due = now
	}
	for i := range changes {
		if changes[i].Urgent {
			due = now
		}
	}
	if s.out.flushAt.IsZero() || due.Before(s.out.flushAt) {
		s.out.flushAt = due
	}
}

// flush sends what is due as far as the credit goes.
func (s *Session) flush(now time.Time) {
	for len(s.out.frames) > 0 && s.pay(s.out.frames[0]) {
		s.out.frames = s.out.frames[1:]
	}
	if s.out.directory && s.pay(s.directoryFrame()) {
		s.out.directory = false
	}
	due := s.out.blocked || len(s.out.refresh) > 0 || !s.out.announced || !s.out.flushAt.IsZero() && !now.Before(s.out.flushAt)
	if !due || s.phase != established {
		return
	}
	s.out.flushAt = time.Time{}
	view := s.source.View()
	for s.out.blocked = true; s.out.blocked && s.out.credit >= minCredit; {
		s.out.blocked = s.step(view)
	}
}

// step sends one thing. False: nothing is left to send.
func (s *Session) step(view View) bool {
	if len(s.out.refresh) > 0 && !s.out.refresh[0].begun {
		r := &s.out.refresh[0]
		r.begun = true
		s.mustPay(&exchangev1.Frame{Kind: &exchangev1.Frame_BeginRefresh{
			BeginRefresh: &exchangev1.BeginRefresh{Family: exchangev1.Family(r.family), Filter: r.filter},
		}})
		return true
	}
	if s.out.sent < view.Revision() {
		s.sendChanges(view)
		return true
	}
	if len(s.out.refresh) > 0 {
		s.sendRefresh(view)
		return true
	}
	if !s.out.announced && s.out.sent >= s.out.target {
		s.out.announced = true
		s.mustPay(&exchangev1.Frame{Kind: &exchangev1.Frame_EndOfRib{EndOfRib: &exchangev1.EndOfRib{Version: s.out.sent}}})
		return true
	}
	return false
}

// sendChanges sends one batch of what changed. Several changes of one NLRI give its newest state once.
func (s *Session) sendChanges(view View) {
	changes, through, ok := view.Changes(s.out.sent, gatherLimit)
	if !ok {
		s.out.sent = view.Revision()
		s.out.refresh = []outRefresh{{}}
		return
	}
	merged := merge(changes)
	b := s.newBatch()
	for i := range merged {
		c := &merged[i]
		if !s.families[c.NLRI.Family] {
			continue
		}
		if b.full() {
			through = c.Revision - 1
			break
		}
		b.put(c.NLRI, view.Routes(c.NLRI, s.peer.MaxPaths), c.Had, c.Cause)
	}
	s.out.sent = through
	b.send(s.version())
}

// merge keeps the first change of each NLRI: what the neighbour had, at the most.
func merge(changes []Change) []Change {
	first := make(map[federation.NLRI]int, len(changes))
	merged := changes[:0:0]
	for _, c := range changes {
		at, seen := first[c.NLRI]
		if !seen {
			first[c.NLRI] = len(merged)
			merged = append(merged, c)
			continue
		}
		merged[at].Had = max(merged[at].Had, c.Had)
		merged[at].Cause = c.Cause
	}
	return merged
}

// sendRefresh sends one batch of the refresh that is on, or its end.
func (s *Session) sendRefresh(view View) {
	r := &s.out.refresh[0]
	b := s.newBatch()
	after := r.after
	whole := true
	for n := range view.Keys(after) {
		if b.full() {
			whole = false
			break
		}
		after = n
		if s.families[n.Family] && r.concerns(n) {
			b.put(n, view.Routes(n, s.peer.MaxPaths), 0, federation.Cause{})
		}
	}
	r.after = after
	b.send(0)
	if !whole || s.out.credit < minCredit {
		return
	}
	end := &exchangev1.EndRefresh{Family: exchangev1.Family(r.family), Filter: r.filter}
	s.out.refresh = s.out.refresh[1:]
	end.Version = s.version()
	s.mustPay(&exchangev1.Frame{Kind: &exchangev1.Frame_EndRefresh{EndRefresh: end}})
}

// version is what an update may state: nothing while the neighbour's state is known only in part.
func (s *Session) version() uint64 {
	if len(s.out.refresh) > 0 {
		return 0
	}
	return s.out.sent
}

// state tells how far the neighbour is when what changed did not concern it: it could not resume from a
// version that is too old.
func (s *Session) state() {
	if v := s.version(); s.out.announced && v > s.out.stated {
		s.pay(&exchangev1.Frame{Kind: &exchangev1.Frame_Update{Update: &exchangev1.Update{Version: v}}})
	}
}

// pay sends a frame if the credit allows it.
func (s *Session) pay(f *exchangev1.Frame) bool {
	if s.phase != established || uint64(proto.Size(f)) > s.out.credit {
		return false
	}
	s.mustPay(f)
	return true
}

// mustPay sends a frame that is known to be covered.
func (s *Session) mustPay(f *exchangev1.Frame) {
	s.out.credit -= min(s.out.credit, uint64(proto.Size(f)))
	s.out.stated = max(s.out.stated, f.GetUpdate().GetVersion(), f.GetEndRefresh().GetVersion(), f.GetEndOfRib().GetVersion())
	s.send(f)
}

func (s *Session) directoryFrame() *exchangev1.Frame {
	d := &exchangev1.Directory{Version: s.dirVersion}
	for _, h := range s.directory {
		d.Hubs = append(d.Hubs, &exchangev1.Hub{
			Id: string(h.ID), Grpc: h.GRPC, GrpcAlso: h.GRPCAlso, Sip: encodeAddresses(h.SIP), Software: h.Software,
		})
	}
	return &exchangev1.Frame{Kind: &exchangev1.Frame_Directory{Directory: d}}
}
