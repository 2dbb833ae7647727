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
			r.tell(n.Caller, n.Refusal)
		}
		for _, ringing := range n.Ringing {
			r.tell(ringing.Phone, siptx.CancelFor(ringing.Invite, nil))
		}
	})
}

// The gaps between the repeated messages: T1, doubled, three times.
const (
	aftermathFirst = 500 * time.Millisecond
	aftermathLast  = 2 * time.Second
)

// tell sends a message of an earlier process to a phone.
func (r *Runner) tell(phone Phone, msg []byte) {
	if phone.Flow.Transport.Stream() {
		r.tellBack(phone, msg, r.Now().Add(r.deps.Config.Reconnect))
		return
	}
	r.tellAgain(phone.Flow, msg, aftermathFirst)
}

func (r *Runner) tellAgain(flow siptransport.Flow, msg []byte, gap time.Duration) {
	r.SendRaw(flow, msg)
	if gap <= aftermathLast {
		r.After(gap, func() { r.tellAgain(flow, msg, 2*gap) })
	}
}

// tellBack waits for a phone whose connection went with the process.
func (r *Runner) tellBack(phone Phone, msg []byte, deadline time.Time) {
	if flow, ok := r.deps.Find(phone); ok {
		r.SendRaw(flow, msg)
		return
	}
	if r.Now().Before(deadline) {
		r.After(reconnectStep, func() { r.tellBack(phone, msg, deadline) })
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
