package exchange

import (
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/mss-federation/mss/pkg/federation"
	exchangev1 "github.com/mss-federation/mss/proto/mss/exchange/v1"
)

// inbound is what the neighbour told.
type inbound struct {
	granted  uint64 // bytes that the neighbour may still send
	consumed uint64 // bytes handled and not yet granted again

	resume     Resume
	acked      uint64
	refreshing map[limits]bool // begun and not ended
	interned   map[string]*federation.Attributes
}

// limits are those of a refresh.
type limits struct {
	family federation.Family
	filter string
}

// free are the frames that cost no credit.
func free(f *exchangev1.Frame) bool {
	switch f.GetKind().(type) {
	case *exchangev1.Frame_Open, *exchangev1.Frame_OpenConfirm, *exchangev1.Frame_Cease, *exchangev1.Frame_Keepalive,
		*exchangev1.Frame_Ack, *exchangev1.Frame_Credit:
		return true
	default:
		return false
	}
}

// needs is the capability without which a frame must not be sent; unspecified: none.
func needs(f *exchangev1.Frame) exchangev1.Capability {
	switch f.GetKind().(type) {
	case *exchangev1.Frame_RefreshRequest:
		return exchangev1.Capability_CAPABILITY_REFRESH
	case *exchangev1.Frame_Digest:
		return exchangev1.Capability_CAPABILITY_DIGEST
	case *exchangev1.Frame_Directory:
		return exchangev1.Capability_CAPABILITY_DIRECTORY
	case *exchangev1.Frame_Health:
		return exchangev1.Capability_CAPABILITY_HEALTH
	default:
		return exchangev1.Capability_CAPABILITY_UNSPECIFIED
	}
}

// frameName is a frame's kind in words, also that of a frame which this version does not know.
func frameName(f *exchangev1.Frame) string {
	m := f.ProtoReflect()
	if kind := m.WhichOneof(m.Descriptor().Oneofs().ByName("kind")); kind != nil {
		return string(kind.Message().Name())
	}
	number, _, n := protowire.ConsumeTag(m.GetUnknown())
	if n <= 0 {
		return "an empty frame"
	}
	return fmt.Sprintf("frame %d, which this version does not know", number)
}

func (s *Session) receive(f *exchangev1.Frame, now time.Time) {
	if s.phase == idle {
		s.cease(exchangev1.CeaseCode_CEASE_CODE_PROTOCOL_ERROR, "a frame before the start", false, 0)
		return
	}
	s.heardAt = now
	s.stats.FramesIn++
	switch kind := f.GetKind().(type) {
	case *exchangev1.Frame_Cease:
		s.ceased(kind.Cease)
	case *exchangev1.Frame_Open:
		s.handleOpen(kind.Open, now)
	case *exchangev1.Frame_OpenConfirm:
		s.handleConfirm(kind.OpenConfirm, now)
	default:
		if s.permits(f) {
			s.handle(f)
			s.grant(f)
		}
	}
}

// permits ends the session where a frame has no place in it.
func (s *Session) permits(f *exchangev1.Frame) bool {
	if s.phase != established {
		s.cease(exchangev1.CeaseCode_CEASE_CODE_PROTOCOL_ERROR, frameName(f)+" before both sides confirmed", false, 0)
		return false
	}
	if f.GetKind() == nil {
		s.cease(exchangev1.CeaseCode_CEASE_CODE_CAPABILITY_NOT_AGREED, frameName(f), false, 0)
		return false
	}
	if c := needs(f); c != 0 && !s.agreed[c] {
		name := strings.ToLower(strings.TrimPrefix(c.String(), "CAPABILITY_"))
		s.cease(exchangev1.CeaseCode_CEASE_CODE_CAPABILITY_NOT_AGREED, frameName(f)+" needs the capability "+name, false, 0)
		return false
	}
	if free(f) {
		return true
	}
	size := uint64(proto.Size(f))
	if size > s.in.granted {
		s.cease(exchangev1.CeaseCode_CEASE_CODE_FLOW_CONTROL, fmt.Sprintf("%s of %d bytes, and %d are granted", frameName(f), size, s.in.granted), false, 0)
		return false
	}
	s.in.granted -= size
	s.in.consumed += size
	return true
}

// grant gives back what is handled, in large pieces.
func (s *Session) grant(f *exchangev1.Frame) {
	if free(f) || s.phase != established || s.in.consumed < s.config.Window/4 {
		return
	}
	s.in.granted += s.in.consumed
	s.send(&exchangev1.Frame{Kind: &exchangev1.Frame_Credit{Credit: &exchangev1.Credit{Bytes: s.in.consumed}}})
	s.in.consumed = 0
	s.acknowledge()
}

func (s *Session) handle(f *exchangev1.Frame) {
	switch kind := f.GetKind().(type) {
	case *exchangev1.Frame_Update:
		s.handleUpdate(kind.Update)
	case *exchangev1.Frame_BeginRefresh:
		s.handleBegin(limits{federation.Family(kind.BeginRefresh.GetFamily()), kind.BeginRefresh.GetFilter()})
	case *exchangev1.Frame_EndRefresh:
		s.handleEnd(limits{federation.Family(kind.EndRefresh.GetFamily()), kind.EndRefresh.GetFilter()}, kind.EndRefresh.GetVersion())
	case *exchangev1.Frame_EndOfRib:
		s.handleEndOfRib(kind.EndOfRib)
	case *exchangev1.Frame_RefreshRequest:
		s.queueRefresh(outRefresh{family: federation.Family(kind.RefreshRequest.GetFamily()), filter: kind.RefreshRequest.GetFilter()})
	case *exchangev1.Frame_Credit:
		s.out.credit += min(kind.Credit.GetBytes(), maxGrant)
	case *exchangev1.Frame_Keepalive:
		s.handleKeepalive(kind.Keepalive)
	case *exchangev1.Frame_Directory:
		s.handleDirectory(kind.Directory)
	case *exchangev1.Frame_Ack:
		s.stats.AckedOut = kind.Ack.GetVersion()
	default:
		s.cease(exchangev1.CeaseCode_CEASE_CODE_INTERNAL, frameName(f)+" is not handled", false, 0)
	}
}

// maxGrant bounds one grant, so that sums cannot overflow.
const maxGrant = 1 << 40

func (s *Session) ceased(c *exchangev1.Cease) {
	s.phase = ended
	s.do(End{Code: c.GetCode(), Text: c.GetText(), Graceful: c.GetGraceful(), Restart: time.Duration(c.GetRestartSeconds()) * time.Second})
}

func (s *Session) handleUpdate(u *exchangev1.Update) {
	decoded := make([]*federation.Attributes, len(u.GetAttributes()))
	problems := make([]error, len(decoded))
	for i, a := range u.GetAttributes() {
		decoded[i], problems[i] = s.intern(a)
	}
	deltas := make([]Delta, 0, len(u.GetAnnounce())+len(u.GetWithdraw()))
	for _, w := range u.GetWithdraw() {
		n, err := s.decodeNLRI(w.GetNlri())
		if err != nil {
			s.malformed(err)
			continue
		}
		s.stats.WithdrawnIn++
		deltas = append(deltas, Delta{Op: Withdraw, Route: federation.Route{NLRI: n, PathID: w.GetPathId(), Cause: decodeCause(w.GetCause())}})
	}
	for _, a := range u.GetAnnounce() {
		if d, ok := s.announced(a, decoded, problems); ok {
			deltas = append(deltas, d)
		}
	}
	s.deliver(deltas)
	s.advance(u.GetVersion())
}

// announced reads an announcement. One that cannot be used is treated as a withdrawal (RFC 7606's idea):
// the session goes on, and what the neighbour said before of the path is no longer true.
func (s *Session) announced(a *exchangev1.Announce, decoded []*federation.Attributes, problems []error) (Delta, bool) {
	n, err := s.decodeNLRI(a.GetNlri())
	if err != nil {
		s.malformed(err)
		return Delta{}, false
	}
	r := federation.Route{NLRI: n, PathID: a.GetPathId(), Revisions: a.GetRevisions(), Cause: decodeCause(a.GetCause())}
	switch at := int(a.GetAttributes()); {
	case at >= len(decoded):
		err = fmt.Errorf("%s: no attributes with number %d", n, at)
	case problems[at] != nil:
		err = fmt.Errorf("%s: %w", n, problems[at])
	default:
		r.Attributes = decoded[at]
		err = s.checkRoute(&r)
	}
	if err != nil {
		s.malformed(err)
		return Delta{Op: Withdraw, Route: federation.Route{NLRI: n, PathID: r.PathID}}, true
	}
	s.stats.AnnouncedIn++
	return Delta{Op: Announce, Route: r}, true
}

// checkRoute finds what only this session can know to be wrong.
func (s *Session) checkRoute(r *federation.Route) error {
	path := r.Attributes.AdvPath
	switch {
	case r.PathID == 0 || r.PathID > s.config.MaxPaths:
		return fmt.Errorf("%s: path id %d, and %d paths are taken", r.NLRI, r.PathID, s.config.MaxPaths)
	case len(path) == 0 || path[len(path)-1].Node != s.peer.Node:
		return fmt.Errorf("%s: the path does not end with the neighbour", r.NLRI)
	case len(r.Revisions) != len(path):
		return fmt.Errorf("%s: %d revisions for a path of %d nodes", r.NLRI, len(r.Revisions), len(path))
	case s.peer.Role == RoleBranch && len(path) != 1:
		return fmt.Errorf("%s: a site announces its own routes alone", r.NLRI)
	}
	return nil
}

func (s *Session) malformed(err error) {
	s.stats.Malformed++
	s.stats.MalformedLast = err.Error()
}

func (s *Session) deliver(deltas []Delta) {
	if len(deltas) > 0 {
		s.do(Deliver{Deltas: deltas})
	}
}

// advance notes that everything up to a version is here.
func (s *Session) advance(version uint64) {
	if version > 0 {
		s.in.resume = Resume{Epoch: s.peer.Epoch, Version: version}
	}
}

func (s *Session) acknowledge() {
	if v := s.in.resume.Version; v != s.in.acked && s.in.resume.Epoch == s.peer.Epoch {
		s.in.acked = v
		s.send(&exchangev1.Frame{Kind: &exchangev1.Frame_Ack{Ack: &exchangev1.Ack{Version: v}}})
	}
}

func (s *Session) handleBegin(l limits) {
	if l == (limits{}) || s.in.refreshing == nil {
		s.in.refreshing = make(map[limits]bool)
	}
	if len(s.in.refreshing) >= maxQueued {
		s.cease(exchangev1.CeaseCode_CEASE_CODE_PROTOCOL_ERROR, "too many refreshes at once", false, 0)
		return
	}
	s.in.refreshing[l] = true
	s.deliver([]Delta{{Op: BeginRefresh, Family: l.family, Filter: l.filter}})
}

func (s *Session) handleEnd(l limits, version uint64) {
	if !s.in.refreshing[l] {
		s.cease(exchangev1.CeaseCode_CEASE_CODE_PROTOCOL_ERROR, "EndRefresh without BeginRefresh", false, 0)
		return
	}
	delete(s.in.refreshing, l)
	s.deliver([]Delta{{Op: EndRefresh, Family: l.family, Filter: l.filter}})
	s.advance(version)
}

func (s *Session) handleEndOfRib(e *exchangev1.EndOfRib) {
	if s.peer.Resumed {
		s.deliver([]Delta{{Op: Fresh}})
	}
	s.advance(e.GetVersion())
	s.do(Synchronised{})
}

func (s *Session) handleKeepalive(k *exchangev1.Keepalive) {
	h := Heard{Clock: time.UnixMicro(k.GetClockUs()), Status: Status{
		CPUPercent: k.GetLoad().GetCpuPercent(), Calls: k.GetLoad().GetCalls(), CallsPerSecond: k.GetLoad().GetCallsPerSecond(),
	}}
	for _, id := range k.GetCoreSessions() {
		h.CoreSessions = append(h.CoreSessions, federation.HubID(id))
	}
	s.do(h)
}

func (s *Session) handleDirectory(d *exchangev1.Directory) {
	if s.config.Role != RoleBranch {
		s.cease(exchangev1.CeaseCode_CEASE_CODE_PROTOCOL_ERROR, "Directory goes from hub to site alone", false, 0)
		return
	}
	l := Learned{}
	for _, h := range d.GetHubs() {
		l.Hubs = append(l.Hubs, Hub{
			ID: federation.HubID(h.GetId()), GRPC: h.GetGrpc(), GRPCAlso: h.GetGrpcAlso(), SIP: decodeAddresses(h.GetSip()), Software: h.GetSoftware(),
		})
	}
	s.do(l)
}
