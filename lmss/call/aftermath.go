package call

import (
	"time"

	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/sipgate"
	"github.com/mss-federation/mss/pkg/siptransport"
	"github.com/mss-federation/mss/pkg/siptx"
)

// EndNoted ends, after a restart, a call of which only a note is left: the caller gets its 480, the phones
// that ring a CANCEL, the CDR its end. There is no transaction any more: over UDP each message is sent a
// few times, as an unanswered one would have been; phones of a connection get it when they are back. It
// may be called from any goroutine.
func (r *Runner) EndNoted(id string, n *Note) {
	r.post(func() {
		r.closeNoted(id, n)
		if n.Ended != nil {
			return
		}
		r.remember(n)
		if len(n.Refusal) > 0 {
			r.refuseNoted(n)
		}
		for _, ringing := range n.Ringing {
			r.cancelNoted(&ringing)
		}
	})
}

// The gaps between the repeated messages: T1, doubled, three times.
const (
	aftermathFirst = 500 * time.Millisecond
	aftermathLast  = 2 * time.Second
)

// refuseNoted sends the caller its final answer, over UDP until it is acknowledged.
func (r *Runner) refuseNoted(n *Note) {
	callID := n.CDR.CallID
	r.refusing[callID] = true
	r.After(timeout64T1, func() { delete(r.refusing, callID) })
	r.reach(n.Caller, func(flow siptransport.Flow) { r.refuseAgain(callID, flow, n.Refusal, aftermathFirst) })
}

func (r *Runner) refuseAgain(callID string, flow siptransport.Flow, msg []byte, gap time.Duration) {
	if !r.refusing[callID] {
		return
	}
	r.SendRaw(flow, msg)
	if gap <= aftermathLast && flow.Transport == siptransport.UDP {
		r.After(gap, func() { r.refuseAgain(callID, flow, msg, 2*gap) })
	}
}

// cancelNoted stops a phone that rings for an INVITE of an earlier process. The CANCEL shares that one's
// branch (RFC 3261 §9.1).
func (r *Runner) cancelNoted(ringing *Ringing) {
	var head sipgate.Head
	if sipgate.Scan(ringing.Invite, &head) != nil {
		return
	}
	branch, ok := siptx.ParseBranch(head.Branch.Of(ringing.Invite))
	if !ok {
		return
	}
	msg := siptx.CancelFor(ringing.Invite, nil)
	r.reach(ringing.Phone, func(flow siptransport.Flow) { r.SendRequest(flow, "CANCEL", branch, msg, nil) })
}

// reach calls back with the way to a phone: at once over UDP, else when it is connected again.
func (r *Runner) reach(phone Phone, then func(siptransport.Flow)) {
	if !phone.Flow.Transport.Stream() {
		then(phone.Flow)
		return
	}
	r.reachBack(phone, then, r.Now().Add(r.deps.Config.Reconnect))
}

func (r *Runner) reachBack(phone Phone, then func(siptransport.Flow), deadline time.Time) {
	if flow, ok := r.deps.Find(phone); ok {
		then(flow)
		return
	}
	if r.Now().Before(deadline) {
		r.After(reconnectStep, func() { r.reachBack(phone, then, deadline) })
	}
}

// remember keeps the INVITEs for the ACKs of the 487s that will come.
func (r *Runner) remember(n *Note) {
	for _, ringing := range n.Ringing {
		var head sipgate.Head
		if sipgate.Scan(ringing.Invite, &head) == nil {
			id := string(head.CallID.Of(ringing.Invite))
			r.noted[id] = ringing.Invite
			r.After(timeout64T1, func() { delete(r.noted, id) })
		}
	}
}

// ackNoted acknowledges the failure of an INVITE that an earlier process sent.
func (r *Runner) ackNoted(res *siptx.Response) {
	if invite := r.noted[string(res.Head.CallID.Of(res.Raw))]; invite != nil {
		r.SendRaw(res.Flow, siptx.AckFor(invite, res.Head.To.Of(res.Raw)))
	}
}

func (r *Runner) closeNoted(id string, n *Note) {
	record := n.CDR
	record.Recovered = true
	record.EndAt = r.Now()
	record.Termination = federation.Termination{Class: federation.Failed, Reason: "restarted", By: federation.BySystem}
	record.Status = 480
	if n.Ended != nil {
		record.EndAt, record.Termination, record.Status = n.At, *n.Ended, n.CDR.Status
	}
	r.deps.Ended(record)
	done := func(err error) {
		if err != nil {
			r.deps.Logger.Error("cdr not stored", "call", id, "err", err)
			return
		}
		r.DropNote(id)
	}
	if err := r.deps.Store.CloseCall(id, record, done); err != nil {
		done(err)
	}
}
