package call

import (
	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/siptx"
)

// lateAnswer takes what may still come to the INVITE of a leg whose call is over: for 64*T1 a 2xx may be repeated, or
// come from another branch of a fork (RFC 6026 §7.2). It has what an ACK and a BYE need and lets the call go, which is
// five times larger.
type lateAnswer struct {
	env       Env
	cfg       *Config
	won       bool // the 2xx of this dialog was taken
	elsewhere bool // that of another leg was
	acked     bool
	seq       uint32
	ackBody   []byte
	node      federation.NodeID
	dismissed []string
	dialog    dialog
}

// settle leaves the INVITEs of the callees' legs with no more than that.
func (c *Call) settle() {
	for _, l := range c.b {
		if l.out == nil {
			continue
		}
		l.out.Settle(&lateAnswer{
			env: c.env, cfg: c.cfg, won: l == c.winner, elsewhere: c.winner != nil && l != c.winner,
			acked: l.acked, seq: l.outSeq, ackBody: l.ackBody, node: l.node, dismissed: l.dismissed, dialog: l.dialog,
		})
		l.out = nil
	}
}

// OnResponse answers as the leg would have.
func (a *lateAnswer) OnResponse(_ *siptx.ClientTx, res *siptx.Response) {
	c := &Call{env: a.env, cfg: a.cfg, phase: Over}
	l := &Leg{
		call: c, state: legGone, acked: a.acked, outSeq: a.seq, outOver: true, ackBody: a.ackBody, node: a.node,
		dismissed: a.dismissed, dialog: a.dialog,
	}
	c.a = &Leg{call: c, state: legGone}
	switch {
	case a.won:
		c.winner = l
	case a.elsewhere:
		c.winner = c.a // nobody asks which
	}
	l.answered(res)
	a.dismissed = l.dismissed
}

// OnTimeout and OnSendError do not come after a 2xx.
func (a *lateAnswer) OnTimeout(*siptx.ClientTx) {}

// OnSendError does nothing.
func (a *lateAnswer) OnSendError(*siptx.ClientTx, error) {}
