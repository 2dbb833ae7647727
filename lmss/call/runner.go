package call

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"github.com/mss-federation/mss/lmss/cdr"
	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/media"
	"github.com/mss-federation/mss/pkg/sipheader"
	"github.com/mss-federation/mss/pkg/siptransport"
	"github.com/mss-federation/mss/pkg/siptx"
)

// Media carries voice; *media.Client is one.
type Media interface {
	NewID() uint64
	Open(spec media.EndpointSpec, done func(port int, err error))
	Aim(id uint64, aim media.Aim)
	Join(a, b uint64)
	Close(id uint64, done func(media.Report))
}

// Store keeps records and CDRs; *store.Store is one. Done functions come from its own goroutine; after an
// error nothing was queued and done is not called.
type Store interface {
	SaveCall(id string, data []byte, open cdr.Record, done func(error)) error
	CloseCall(id string, closed cdr.Record, done func(error)) error
}

// Notes keeps the unsynced notes of calls in set-up; *store.Notes is one. Put does not keep data.
type Notes interface {
	Put(id string, data []byte) error
	Drop(id string) error
}

// Deps is what the calls of a site are built from. All fields but Store and Notes (nil: the store is
// off) are required; Media may be nil when Config.Anchor is false.
type Deps struct {
	Config *Config
	Media  Media
	Store  Store
	Notes  Notes
	Logger *slog.Logger
	// SentBy is the address to show in Via and Contact for a flow.
	SentBy func(siptransport.Flow) netip.AddrPort
	// VoiceAddr is the address to bind for voice with the peer of a flow, and the one to show in SDP: see [Env].
	VoiceAddr func(flow siptransport.Flow, peer netip.Addr) (bind, shown netip.Addr)
	// Find is the flow of a registered phone, or of the hub that a Phone names.
	Find func(Phone) (siptransport.Flow, bool)
	// Names finds peers by host name. Nil: none is found.
	Names Names
	// Uplink leads to other sites. Nil: there are none.
	Uplink Uplink
	// Hold keeps a connection open for a leg, or ends that. Holds are counted.
	Hold func(flow siptransport.Flow, on bool)
	// Ended hears of every call's end, on the owner's goroutine; it must not block.
	Ended func(cdr.Record)
}

// Runner owns the calls of one worker: it finds the leg that a message belongs to and carries out what
// the calls want. Its methods run on the worker's goroutine, except where they say otherwise.
type Runner struct {
	deps     *Deps
	worker   *siptx.Worker
	legs     map[string]*Leg // by Call-ID
	calls    map[string]*Call
	voices   map[uint64]*Leg   // by endpoint
	refusing map[string]bool   // callers of an earlier process whose ACK to our refusal has not come, by Call-ID
	noted    map[string][]byte // INVITEs of an earlier process, by Call-ID, until their failures were ACKed
	scratch  []byte            // of the record or note that is being written
	endings  map[string]ending // of calls from other sites, by Call-ID and tag, for 32 s
	ghosts   map[string]bool   // dialogs of stray 2xx that were ended, by Call-ID and tag, for 64*T1
	metrics  runnerMetrics
}

// NewRunner makes the runner of one worker.
func NewRunner(deps *Deps, worker *siptx.Worker) *Runner {
	return &Runner{
		deps: deps, worker: worker,
		legs: map[string]*Leg{}, calls: map[string]*Call{}, voices: map[uint64]*Leg{}, noted: map[string][]byte{}, refusing: map[string]bool{},
		ghosts: map[string]bool{}, endings: map[string]ending{},
	}
}

// Invite starts the call of an INVITE that ingress let through.
func (r *Runner) Invite(tx *siptx.ServerTx, req *siptx.Request, plan Plan) {
	id := string(cdr.NewID(r.worker.Now()))
	c := newCall(r, r.deps.Config, id, sessionOf(req), tx, req, plan)
	r.calls[id] = c
	r.metrics.begun.Add(1)
	r.metrics.live.Store(int64(len(r.calls)))
	c.begin(req, plan.Caller, plan.Called)
}

// sessionOf takes the caller's half of a Session-ID (RFC 7989), or makes one: the first L-MSS does.
func sessionOf(req *siptx.Request) federation.SessionID {
	value, _, _ := strings.Cut(sipheader.First(req.Raw, req.Head, "session-id"), ";")
	value = strings.TrimSpace(value)
	if len(value) == 32 && strings.Trim(value, "0123456789abcdef") == "" && strings.Trim(value, "0") != "" {
		return federation.SessionID(value)
	}
	var raw [16]byte
	_, _ = rand.Read(raw[:]) // never fails
	return federation.SessionID(hex.EncodeToString(raw[:]))
}

// Merged says whether an INVITE outside a dialog is a second copy of one that is being handled
// (RFC 3261 §8.2.2.2).
func (r *Runner) Merged(req *siptx.Request) bool {
	for l := r.legs[string(req.Head.CallID.Of(req.Raw))]; l != nil; l = l.next {
		if l.caller && l.inviteSeq == req.Head.CSeq && l.remoteTag == string(req.Head.FromTag.Of(req.Raw)) {
			return true
		}
	}
	return false
}

// Leg finds the leg whose dialog a request is in, or nil.
func (r *Runner) Leg(req *siptx.Request) *Leg {
	return r.find(req.Head.CallID.Of(req.Raw), req.Head.ToTag.Of(req.Raw), req.Head.FromTag.Of(req.Raw))
}

func (r *Runner) find(callID, local, remote []byte) *Leg {
	for l := r.legs[string(callID)]; l != nil; l = l.next {
		if l.localTag == string(local) && (l.remoteTag == string(remote) || l.remoteTag == "") {
			return l
		}
	}
	return nil
}

// User is the user at the far end of the leg, and Flow where it was last heard.
func (l *Leg) User() federation.User { return l.user }

// Flow is where the leg's peer was last heard.
func (l *Leg) Flow() siptransport.Flow { return l.flow }

// InDialog gives a request to the leg that ingress found and cleared.
func (r *Runner) InDialog(l *Leg, tx *siptx.ServerTx, req *siptx.Request) {
	if l.node != "" {
		l.node = r.hubOf(req.Flow) // dialogs move between hubs
	}
	l.inDialog(tx, req)
}

// Ack takes the ACK to a 2xx.
func (r *Runner) Ack(req *siptx.Request) {
	if l := r.Leg(req); l != nil {
		l.onAck(req)
		return
	}
	delete(r.refusing, string(req.Head.CallID.Of(req.Raw)))
}

// Cancel takes the CANCEL of an INVITE that is still open.
func (r *Runner) Cancel(tx *siptx.ServerTx, req *siptx.Request) {
	l, ok := tx.User().(*Leg)
	if !ok || !l.isInvite(tx) {
		return
	}
	if l.state == legEarly {
		l.call.cancelled(sipheader.First(req.Raw, req.Head, "reason"))
		return
	}
	l.cancelReinvite()
}

// Stray takes a final response to an INVITE whose transaction is gone: a callee that repeats it after a
// restart, or one who answered when nobody waited any more.
func (r *Runner) Stray(res *siptx.Response) {
	if res.Head.Status >= 300 {
		r.ackNoted(res)
		return
	}
	l := r.find(res.Head.CallID.Of(res.Raw), res.Head.FromTag.Of(res.Raw), res.Head.ToTag.Of(res.Raw))
	if l != nil && l.node != "" && l.inviteOpen() && l.outSeq == res.Head.CSeq {
		// The hub's answer to a copy whose connection ended came over its next connection.
		l.heardThrough(r.hubOf(res.Flow), res.Flow)
		l.answered(res)
		return
	}
	// In a dialog that is up, or whose BYE is under way, it wants its ACK alone.
	if l != nil && (l.state == legConfirmed || l.state == legEnding) && l.remoteTag == string(res.Head.ToTag.Of(res.Raw)) {
		again := *l
		again.outSeq = res.Head.CSeq
		again.sendAck()
		return
	}
	c := &Call{env: r, cfg: r.deps.Config, phase: Over}
	c.a = &Leg{call: c, state: legGone}
	ghost := &Leg{call: c, state: legConfirmed, node: r.hubOf(res.Flow)}
	ghost.dialog = dialog{
		callID: string(res.Head.CallID.Of(res.Raw)), localTag: string(res.Head.FromTag.Of(res.Raw)),
		local: sipheader.WithoutTag(string(res.Head.From.Of(res.Raw))), flow: res.Flow,
	}
	if l != nil {
		ghost.call = l.call
	}
	tag := string(res.Head.ToTag.Of(res.Raw))
	if r.haunted(ghost.callID + " " + tag) {
		ghost.dismissed = []string{tag}
	}
	ghost.dismiss(res)
}

// maxGhosts bounds the memory of stray answers: anybody can send one.
const maxGhosts = 4096

// haunted says whether the dialog of a stray 2xx was ended before, and remembers that it is now: a
// repetition of the 2xx gets its ACK, but no second BYE with the same CSeq.
func (r *Runner) haunted(key string) bool {
	if r.ghosts[key] {
		return true
	}
	if len(r.ghosts) < maxGhosts {
		r.ghosts[key] = true
		r.After(timeout64T1, func() { delete(r.ghosts, key) })
	}
	return false
}

// FlowClosed tells the legs of a connection that it ended.
func (r *Runner) FlowClosed(flow siptransport.Flow) {
	var hit []*Leg
	for _, l := range r.legs {
		for ; l != nil; l = l.next {
			if l.flow.ID == flow.ID && l.flow.Transport == flow.Transport {
				hit = append(hit, l)
			}
		}
	}
	for _, l := range hit {
		l.flowClosed()
	}
}

// Silent tells that an endpoint heard nothing for the media timeout.
func (r *Runner) Silent(endpoint uint64) {
	if l := r.voices[endpoint]; l != nil {
		l.voiceSilent()
	}
}

// Voice is the endpoint and the wishes of a restored leg, to be given to the media client before it runs.
type Voice struct {
	Spec media.EndpointSpec
	Peer uint64 // the endpoint it is joined with
}

// Restore brings back the call of a stored record; its voices are for Media.Restore. The call works as
// soon as Resume was called. Restore runs before the worker does.
func (r *Runner) Restore(data []byte) (*Call, []Voice, error) {
	c, err := restore(r, r.deps.Config, data)
	if err != nil {
		return nil, nil, err
	}
	r.calls[c.id] = c
	r.metrics.live.Store(int64(len(r.calls)))
	var voices []Voice
	for _, l := range []*Leg{c.a, c.winner} {
		if spec, ok := l.voice(); ok {
			r.voices[l.media.endpoint] = l
			voices = append(voices, Voice{spec, c.other(l).media.endpoint})
		}
	}
	return c, voices, nil
}

// CallIDs are the Call-IDs of the legs, for the index of calls whose hash names another worker.
func (c *Call) CallIDs() []string { return []string{c.a.callID, c.winner.callID} }

// Resume puts a restored call to work. If its end had been noted, it is ended at once, with the time and
// reason of the note: a BYE may have been lost. It may be called from any goroutine.
func (r *Runner) Resume(c *Call, ended *Note) {
	r.post(func() {
		c.resume()
		if ended != nil {
			c.endedAt = ended.At
			c.hangUp(*ended.Ended)
		}
	})
}

// Sizes are the numbers of calls and of Call-IDs that are known.
func (r *Runner) Sizes() (calls, legs int) { return len(r.calls), len(r.legs) }

// Env, for the calls.

// Now is the time of the batch being handled.
func (r *Runner) Now() time.Time { return r.worker.Now() }

// NewBranch makes a branch of our own.
func (r *Runner) NewBranch() siptx.Branch { return r.worker.NewBranch() }

// NewCallID makes a Call-ID whose messages come back to this worker.
func (r *Runner) NewCallID() string { return r.worker.NewCallID() }

// NewTag makes a tag.
func (r *Runner) NewTag() string { return r.worker.NewTag() }

// SendRequest starts a client transaction.
func (r *Runner) SendRequest(flow siptransport.Flow, method string, branch siptx.Branch, msg []byte, user siptx.ClientUser) *siptx.ClientTx {
	return r.worker.SendRequest(flow, method, branch, msg, user)
}

// SendRaw sends a message without a transaction.
func (r *Runner) SendRaw(flow siptransport.Flow, msg []byte) { r.worker.SendRaw(flow, msg) }

// After starts a timer.
func (r *Runner) After(d time.Duration, fn func()) Timer { return r.worker.After(d, fn) }

// SentBy is the address that Via and Contact show.
func (r *Runner) SentBy(flow siptransport.Flow) netip.AddrPort { return r.deps.SentBy(flow) }

// VoiceAddr is the address for voice.
func (r *Runner) VoiceAddr(flow siptransport.Flow, peer netip.Addr) (bind, shown netip.Addr) {
	return r.deps.VoiceAddr(flow, peer)
}

// Find looks a phone up.
func (r *Runner) Find(phone Phone) (siptransport.Flow, bool) { return r.deps.Find(phone) }

// NewEndpointID makes an id for a leg's voice and SDP.
func (r *Runner) NewEndpointID() uint64 {
	if r.deps.Media == nil {
		var raw [8]byte
		_, _ = rand.Read(raw[:]) // never fails
		return uint64(raw[0])<<40 | uint64(raw[1])<<32 | uint64(raw[2])<<24 | uint64(raw[3])<<16 | uint64(raw[4])<<8 | uint64(raw[5])
	}
	return r.deps.Media.NewID()
}

// OpenMedia opens a leg's endpoint.
func (r *Runner) OpenMedia(l *Leg, spec media.EndpointSpec) {
	r.voices[spec.ID] = l
	r.deps.Media.Open(spec, func(port int, err error) {
		r.post(func() { l.opened(port, err) })
	})
}

// AimMedia says where a leg's peer listens.
func (r *Runner) AimMedia(id uint64, aim media.Aim) { r.deps.Media.Aim(id, aim) }

// JoinMedia connects two endpoints.
func (r *Runner) JoinMedia(a, b uint64) { r.deps.Media.Join(a, b) }

// CloseMedia closes a leg's endpoint.
func (r *Runner) CloseMedia(l *Leg) {
	delete(r.voices, l.media.endpoint)
	r.deps.Media.Close(l.media.endpoint, func(report media.Report) {
		v := cdr.Voice{
			Sent: report.PacketsOut, Received: report.PacketsIn, Lost: report.Lost, Jitter: report.Jitter,
		}
		r.post(func() { l.reported(v) })
	})
}

// post runs fn on the worker. After the worker's end nobody is left to care.
func (r *Runner) post(fn func()) {
	if err := r.worker.Post(fn); err != nil {
		r.deps.Logger.Debug("event after the end of its worker", "err", err)
	}
}

// Save writes the record of a call.
func (r *Runner) Save(c *Call, wait bool) {
	if r.deps.Store == nil {
		if wait {
			c.persisted(nil)
		}
		return
	}
	done := func(err error) {
		if err != nil {
			r.deps.Logger.Error("call not stored; it would not survive a restart", "call", c.id, "err", err)
		}
		if wait {
			r.post(func() { c.persisted(err) })
		}
	}
	r.scratch = c.appendRecord(r.scratch[:0])
	if err := r.deps.Store.SaveCall(c.id, bytes.Clone(r.scratch), c.cdr, done); err != nil {
		done(err)
	}
}

// Finish writes the closed CDR.
func (r *Runner) Finish(c *Call, closed cdr.Record) {
	r.deps.Ended(closed)
	if r.deps.Store == nil {
		return
	}
	id := c.id
	done := func(err error) {
		if err != nil {
			r.deps.Logger.Error("cdr not stored", "call", id, "err", err)
			return
		}
		r.DropNote(id)
	}
	if err := r.deps.Store.CloseCall(id, closed, done); err != nil {
		done(err)
	}
}

// TakesNotes says whether there is anywhere to keep them.
func (r *Runner) TakesNotes() bool { return r.deps.Notes != nil }

// Note keeps a note.
func (r *Runner) Note(id string, note *Note) {
	r.scratch = note.Append(r.scratch[:0])
	if err := r.deps.Notes.Put(id, r.scratch); err != nil {
		r.deps.Logger.Warn("note of a call not written", "call", id, "err", err)
	}
}

// DropNote forgets a note. It may be called from any goroutine.
func (r *Runner) DropNote(id string) {
	if r.deps.Notes == nil {
		return
	}
	if err := r.deps.Notes.Drop(id); err != nil {
		r.deps.Logger.Warn("note of a call not dropped", "call", id, "err", err)
	}
}

// Track makes a leg known.
func (r *Runner) Track(l *Leg) {
	r.Moved(l)
	l.next = r.legs[l.callID]
	r.legs[l.callID] = l
}

// Moved tells that a leg may be on another connection now: the old one may go, the new one must stay.
func (r *Runner) Moved(l *Leg) {
	if l.holding == l.flow.ID || l.node != "" {
		return // a hub's connection is kept open by the uplink
	}
	r.release(l)
	if l.flow.ID != 0 {
		l.holding = l.flow.ID
		r.deps.Hold(l.flow, true)
	}
}

func (r *Runner) release(l *Leg) {
	if l.holding != 0 {
		r.deps.Hold(siptransport.Flow{Transport: siptransport.TCP, ID: l.holding}, false)
		l.holding = 0
	}
}

// Forget ends that.
func (r *Runner) Forget(l *Leg) {
	r.release(l)
	r.rememberEnd(l)
	if l.call.cdr.Recovered {
		// An INVITE of the process before may still be answered: the dialog has had its BYE.
		r.haunted(l.callID + " " + l.remoteTag)
	}
	head := r.legs[l.callID]
	if head == l {
		if l.next == nil {
			delete(r.legs, l.callID)
		} else {
			r.legs[l.callID] = l.next
		}
		return
	}
	for p := head; p != nil; p = p.next {
		if p.next == l {
			p.next = l.next
			return
		}
	}
}

// Ended forgets the call.
func (r *Runner) Ended(c *Call) {
	delete(r.calls, c.id)
	r.metrics.live.Store(int64(len(r.calls)))
}

// Info is a live call for `mssctl call list`.
type Info struct {
	ID      string
	Phase   Phase
	Session federation.SessionID
	CDR     cdr.Record // still open
	Legs    []LegInfo  // the caller's first
}

// LegInfo is one dialog of a live call.
type LegInfo struct {
	CallID string
	User   federation.User
	Flow   siptransport.Flow
	State  string // trying, ringing, up or ended
	Held   bool   // by the phone at the far end
}

// states are the words for a leg's state.
var states = map[legState]string{
	legNew: "trying", legCalling: "trying", legEarly: "ringing", legCancelled: "ended",
	legConfirmed: "up", legEnding: "ended", legGone: "ended",
}

func (l *Leg) info() LegInfo {
	return LegInfo{CallID: l.callID, User: l.user, Flow: l.flow, State: states[l.state], Held: held(l)}
}

// Live lists the calls of this worker. It may be called from any goroutine.
func (r *Runner) Live(ctx context.Context) ([]Info, error) {
	out := make(chan []Info, 1)
	err := r.worker.Post(func() {
		list := make([]Info, 0, len(r.calls))
		for _, c := range r.calls {
			if c.phase == Over {
				continue
			}
			info := Info{ID: c.id, Phase: c.phase, Session: c.session, CDR: c.cdr, Legs: []LegInfo{c.a.info()}}
			for _, l := range c.b {
				info.Legs = append(info.Legs, l.info())
			}
			list = append(list, info)
		}
		out <- list
	})
	if err != nil {
		return nil, err
	}
	select {
	case list := <-out:
		return list, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Hangup ends a call by its id and says whether it was here. It may be called from any goroutine.
func (r *Runner) Hangup(ctx context.Context, id string) (bool, error) {
	out := make(chan bool, 1)
	err := r.worker.Post(func() {
		c, ok := r.calls[id]
		if ok = ok && c.phase != Over; ok {
			c.drop()
		}
		out <- ok
	})
	if err != nil {
		return false, err
	}
	select {
	case ok := <-out:
		return ok, nil
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// drop ends a call because an operator said so.
func (c *Call) drop() {
	if c.phase == Up {
		c.hangUp(federation.Termination{Class: federation.Completed, Reason: "operator", By: federation.BySystem})
		return
	}
	c.fail(480, "Temporarily Unavailable", federation.Rejected, "operator")
}

// Panicked ends the calls of a Call-ID whose handling broke. What is broken may break again: the
// second panic is the caller's to contain.
func (r *Runner) Panicked(callID string) {
	for l := r.legs[callID]; l != nil; l = l.next {
		l.call.fail(500, "Server Internal Error", federation.Failed, "internal error")
		return
	}
}
