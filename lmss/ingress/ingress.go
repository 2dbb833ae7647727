// Package ingress is the door of a site: every message that passed the gate and belongs to no
// transaction comes here and goes through an ordered chain of small stages (Kamailio's order): required
// extensions and scheme, inside a dialog, who is it, may they, and then to the registrar or the call
// control. It keeps no call and no binding. Start at [Handler.Request].
package ingress

import (
	"log/slog"
	"net/netip"
	"time"

	"github.com/mss-federation/mss/lmss/call"
	"github.com/mss-federation/mss/lmss/dialplan"
	"github.com/mss-federation/mss/lmss/registrar"
	"github.com/mss-federation/mss/lmss/user"
	"github.com/mss-federation/mss/pkg/digest"
	"github.com/mss-federation/mss/pkg/siptransport"
	"github.com/mss-federation/mss/pkg/siptx"
)

// Deps is what the workers of a site share.
type Deps struct {
	Users     *user.Directory
	Plan      func() *dialplan.Plan // the current one
	Registrar *registrar.Registrar
	Authority *digest.Authority
	// Persist keeps changed bindings; it must not block. done is called from another goroutine when they
	// are safe or cannot be. Nil keeps none.
	Persist func(changes []registrar.Change, done func())
	// PersistWait bounds how long a 200 to REGISTER waits for that.
	PersistWait time.Duration
	// Keep marks a connection that a phone registered over, so that it is not closed as idle.
	Keep func(siptransport.Flow, bool)
	// LocalFor is our address towards a peer.
	LocalFor func(siptransport.Transport, netip.Addr) (netip.AddrPort, bool)
	// Domain is the federation's: the host of what is called at other sites.
	Domain string
	// Uplink says whether a message came from a hub. Nil: none does.
	Uplink   call.Uplink
	Logger   *slog.Logger
	Counters *Counters
}

// Handler is the siptx.Handler of one worker.
type Handler struct {
	*Deps
	worker *siptx.Worker
	calls  *call.Runner
}

// New makes the handler of a worker whose calls are owned by runner.
func New(deps *Deps, worker *siptx.Worker, runner *call.Runner) *Handler {
	return &Handler{Deps: deps, worker: worker, calls: runner}
}

// stage is one step of the chain. It says whether it has dealt with the request.
type stage func(*Handler, *siptx.ServerTx, *siptx.Request) (done bool)

// chain is the order in which a request is looked at.
var chain = [...]stage{
	(*Handler).extensions,
	(*Handler).scheme,
	(*Handler).inDialog,
	(*Handler).fromHub,
	(*Handler).dispatch,
}

// Request takes a new request through the chain.
func (h *Handler) Request(tx *siptx.ServerTx, req *siptx.Request) {
	h.Counters.Requests.Add(1)
	for _, s := range chain {
		if s(h, tx, req) {
			return
		}
	}
}

// Cancel passes a CANCEL on.
func (h *Handler) Cancel(tx *siptx.ServerTx, req *siptx.Request) { h.calls.Cancel(tx, req) }

// Ack passes the ACK to a 2xx on.
func (h *Handler) Ack(req *siptx.Request) { h.calls.Ack(req) }

// Stray passes a late 2xx on.
func (h *Handler) Stray(res *siptx.Response) { h.calls.Stray(res) }

// FlowClosed tells registrar and calls that a connection is gone.
func (h *Handler) FlowClosed(flow siptransport.Flow, _ error) {
	h.Registrar.FlowClosed(flow)
	h.Keep(flow, false)
	h.calls.FlowClosed(flow)
}

// Panicked ends what a message broke: that call alone.
func (h *Handler) Panicked(callID string, msg []byte, v any) {
	h.Counters.Panics.Add(1)
	h.calls.Panicked(callID)
	h.Logger.Error("handling a message panicked; its call was ended", "call_id", callID, "bytes", len(msg), "panic", v)
}
