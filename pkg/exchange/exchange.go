// Package exchange is one session of mss.exchange.v1, by which hubs and sites tell each other who can be
// reached where. [Session] is pure: events go in, actions come out, and what is to be announced is read
// from a [Source]; [Run] carries one over a stream. It does not keep routes (see tmss/routetable), does
// not decide what may come in or go out (see tmss/policy) and dials nobody. Start at [Session.Handle].
package exchange

import (
	"time"

	"github.com/mss-federation/mss/pkg/federation"
	exchangev1 "github.com/mss-federation/mss/proto/mss/exchange/v1"
)

// The protocol versions that this build speaks.
const (
	MinVersion = 1
	MaxVersion = 1
)

// Limits of the protocol.
const (
	// MaxBatch is the size of an Update at which it is closed, in bytes.
	MaxBatch = 64 << 10
	// MaxAttributes and maxAnnounce are the encoded sizes above which a route is not sent, in bytes.
	MaxAttributes = 4 << 10
	maxAnnounce   = 1 << 10
	maxRoute      = MaxAttributes + maxAnnounce
	// minCredit is what must be granted before a batch is begun: all paths of any NLRI fit, and more.
	minCredit = (topMaxPaths + 1) * maxRoute
	// maxQueued bounds frames and refreshes that wait for credit.
	maxQueued = 64
	// maxInterned bounds the sets of attributes that a session shares between routes.
	maxInterned = 65_536
	// gatherLimit is how many changes are looked at for one batch.
	gatherLimit = 1024
)

// phase is how far a session has come.
type phase uint8

const (
	idle phase = iota
	opening
	established
	ended
)

// Session is one neighbour's session. It belongs to one goroutine.
type Session struct {
	config Config
	source Source
	phase  phase
	peer   Peer
	stats  Stats

	confirmed   bool // the neighbour's OpenConfirm came
	confirm     bool // ours left
	agreed      map[exchangev1.Capability]bool
	families    map[federation.Family]bool
	hold        time.Duration
	heardAt     time.Time
	keepaliveAt time.Time
	status      Status
	directory   []Hub
	dirVersion  uint64

	in  inbound
	out outbound

	actions []Action
}

// New makes a session that has not begun. The config must be valid.
func New(config Config, source Source) *Session {
	config.EnsureDefaults()
	return &Session{
		config: config, source: source, hold: config.Hold,
		in: inbound{interned: make(map[string]*federation.Attributes), resume: config.Resume},
	}
}

// Peer is what the neighbour said of itself; meaningful once established.
func (s *Session) Peer() Peer { return s.peer }

// Established says whether routes flow.
func (s *Session) Established() bool { return s.phase == established }

// Stats counts what happened.
func (s *Session) Stats() Stats { return s.stats }

// Resume is what the next session with this neighbour may take up from. It is zero when the neighbour's
// state is known only in part.
func (s *Session) Resume() Resume {
	if len(s.in.refreshing) > 0 {
		return Resume{}
	}
	return s.in.resume
}

// Deadline is when Tick must come at the latest; zero: never.
func (s *Session) Deadline() time.Time {
	if s.phase == idle || s.phase == ended {
		return time.Time{}
	}
	at := s.heardAt.Add(s.hold)
	if s.phase == established && s.keepaliveAt.Before(at) {
		at = s.keepaliveAt
	}
	if !s.out.flushAt.IsZero() && s.out.flushAt.Before(at) {
		at = s.out.flushAt
	}
	return at
}

// Handle takes one event and says what to do, in order. After an End it does nothing any more.
func (s *Session) Handle(event Event, now time.Time) []Action {
	if s.phase == ended {
		return nil
	}
	s.actions = nil
	switch e := event.(type) {
	case Start:
		s.start(now)
	case Received:
		s.receive(e.Frame, now)
	case Changed:
		s.changed(now)
	case PolicyChanged:
		s.queueRefresh(outRefresh{})
	case RequestRefresh:
		s.requestRefresh(e)
	case Status:
		s.status = e
	case DirectoryChanged:
		s.directory = e.Hubs
		s.dirVersion++
		s.queueDirectory()
	case Stop:
		s.cease(e.Code, e.Text, e.Graceful, e.Restart)
	case Tick:
	}
	s.tick(now)
	return s.actions
}

// tick does what is due.
func (s *Session) tick(now time.Time) {
	switch {
	case s.phase != opening && s.phase != established:
		return
	case !now.Before(s.heardAt.Add(s.hold)):
		s.cease(exchangev1.CeaseCode_CEASE_CODE_HOLD_EXPIRED, "nothing heard for "+s.hold.String(), false, 0)
		return
	case s.phase != established:
		return
	}
	if !now.Before(s.keepaliveAt) {
		s.keepalive(now)
	}
	s.flush(now)
}

func (s *Session) keepalive(now time.Time) {
	s.keepaliveAt = now.Add(min(s.config.Keepalive, s.hold/3))
	k := &exchangev1.Keepalive{ClockUs: now.UnixMicro(), Load: &exchangev1.Load{
		CpuPercent: s.status.CPUPercent, Calls: s.status.Calls, CallsPerSecond: s.status.CallsPerSecond,
	}}
	for _, hub := range s.status.CoreSessions {
		k.CoreSessions = append(k.CoreSessions, string(hub))
	}
	s.send(&exchangev1.Frame{Kind: &exchangev1.Frame_Keepalive{Keepalive: k}})
	s.acknowledge()
	s.state()
}

func (s *Session) do(a Action) { s.actions = append(s.actions, a) }

func (s *Session) send(f *exchangev1.Frame) {
	s.stats.FramesOut++
	s.do(Send{Frame: f})
}

// cease ends the session from this side.
func (s *Session) cease(code exchangev1.CeaseCode, text string, graceful bool, restart time.Duration) {
	if s.phase == ended {
		return
	}
	s.send(&exchangev1.Frame{Kind: &exchangev1.Frame_Cease{Cease: &exchangev1.Cease{
		Code: code, Text: text, Graceful: graceful, RestartSeconds: uint32(restart / time.Second),
	}}})
	s.phase = ended
	s.do(End{Code: code, Text: text, Local: true, Graceful: graceful, Restart: restart})
}
