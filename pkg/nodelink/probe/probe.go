// Package probe asks SIP peers over UDP whether they are there, with an OPTIONS that goes no further
// (RFC 3261 §11). It decides nothing: nodelink says whom to ask and judges the silence. Start at [New].
package probe

import (
	"net/netip"
	"time"

	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/sipheader"
	"github.com/mss-federation/mss/pkg/siptransport"
	"github.com/mss-federation/mss/pkg/siptx"
)

// patience is how long an OPTIONS is repeated: the next one follows then.
const patience = time.Second

// Prober sends the questions of one process.
type Prober struct {
	sentBy func(siptransport.Flow) netip.AddrPort
	stack  *siptx.Stack
	heard  func(federation.NodeID)
}

// New makes a prober. sentBy is the address that the peers of a flow see.
func New(sentBy func(siptransport.Flow) netip.AddrPort) *Prober {
	return &Prober{sentBy: sentBy}
}

// Attach says what carries the questions and who is told of answers. It comes before the first question; heard is
// called on a worker and must not block.
func (p *Prober) Attach(stack *siptx.Stack, heard func(federation.NodeID)) {
	p.stack, p.heard = stack, heard
}

// Ask sends a question. Every final response is an answer but a 503, by which a peer says that it cannot serve now.
// It does not block and may be called from any goroutine.
func (p *Prober) Ask(node federation.NodeID, flow siptransport.Flow) {
	w := p.stack.Worker(0)
	// A worker that has no room for this has none for calls either: the peer is asked again.
	_ = w.Post(func() { p.send(w, node, flow) })
}

func (p *Prober) send(w *siptx.Worker, node federation.NodeID, flow siptransport.Flow) {
	branch, us := w.NewBranch(), p.sentBy(flow)
	msg := append(make([]byte, 0, 512), "OPTIONS sip:"...)
	msg = flow.Remote.AppendTo(msg)
	msg = append(msg, " SIP/2.0\r\n"...)
	msg = sipheader.Via(msg, flow.Transport, us, branch.AppendTo(nil))
	msg = sipheader.Line(msg, "From", "<sip:"+us.String()+">;tag="+w.NewTag())
	msg = sipheader.Line(msg, "To", "<sip:"+flow.Remote.String()+">")
	msg = sipheader.Line(msg, "Call-ID", w.NewCallID())
	msg = sipheader.CSeq(msg, 1, "OPTIONS")
	msg = sipheader.Line(msg, "Max-Forwards", "0")
	msg = sipheader.Body(msg, "", nil)
	w.SendRequest(flow, "OPTIONS", branch, msg, &question{p, node}).SetTimeout(patience)
}

// question waits for its answer.
type question struct {
	p    *Prober
	node federation.NodeID
}

func (q *question) OnResponse(_ *siptx.ClientTx, res *siptx.Response) {
	if status := res.Head.Status; status >= 200 && status != 503 {
		q.p.heard(q.node)
	}
}

// OnTimeout says nothing: silence is judged by who asked.
func (*question) OnTimeout(*siptx.ClientTx) {}

// OnSendError says nothing either.
func (*question) OnSendError(*siptx.ClientTx, error) {}
