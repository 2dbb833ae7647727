package siptx

import (
	"github.com/emiago/sipgo/sip"

	"github.com/mss-federation/mss/pkg/sipgate"
	"github.com/mss-federation/mss/pkg/siptransport"
)

// Handler is the user of one worker. All calls come from that worker's goroutine, one at a time; those of
// one Call-ID in the order in which its messages were read. A Handler may also have a method
// Panicked(callID string, msg []byte, v any): it is told when the handling of a message panicked, after
// the transaction in question was ended; msg is valid only during the call and nil if it was not a message.
type Handler interface {
	// Request brings a request that is not a repetition: neither ACK nor CANCEL. The user answers it
	// through tx, now or later. An INVITE without an answer gets a 100 after [Timers].Trying; any other
	// request without one is forgotten after 64*T1 (RFC 4320: no 408).
	Request(tx *ServerTx, req *Request)
	// Cancel says that the caller cancelled the INVITE tx, which has no final response yet; the CANCEL
	// itself is answered. The user ends tx with 487.
	Cancel(tx *ServerTx, req *Request)
	// Ack brings an ACK that does not belong to a failure: the ACK to a 2xx.
	Ack(req *Request)
	// Stray brings a final response to one of our INVITEs whose transaction is gone or was given up: late,
	// or after a restart. The user answers a 2xx with ACK and BYE, or with the ACK that it remembers; a
	// failure with [AckFor], if it still has the INVITE, so that the peer stops repeating it.
	Stray(res *Response)
	// FlowClosed is told to every worker when a stream connection ended, after everything read from it
	// was handled and the client transactions on it got their OnSendError.
	FlowClosed(flow siptransport.Flow, cause error)
}

// Request is a request that passed the gate. It and all it points to are valid only during the call, except
// for strings and *sip.Request, which may be kept.
type Request struct {
	*sip.Request                   // nil if the stack is Unparsed
	Head         *sipgate.Head     // positions in Raw
	Raw          []byte            // the message, cut after its body
	Flow         siptransport.Flow // where it came from
}

// Body is the message's body, empty without one.
func (r *Request) Body() []byte { return r.Head.Body.Of(r.Raw) }

// Via is the host that the top Via names as its sender's, without brackets, and whether it asks for rport (RFC 3581).
func (r *Request) Via() (host []byte, rport bool) {
	value := r.Head.Vias[0].Of(r.Raw)
	by := readSentBy(value[:elementEnd(value)])
	return unbracket(by.host), by.rport
}

// Response is a response that passed the gate. What holds for [Request] holds for it.
type Response struct {
	*sip.Response // nil if the stack is Unparsed
	Head          *sipgate.Head
	Raw           []byte
	Flow          siptransport.Flow
}

// Body is the message's body, empty without one.
func (r *Response) Body() []byte { return r.Head.Body.Of(r.Raw) }

// ClientUser is told how a request fared. Exactly one of these ends it: a final response, OnTimeout or
// OnSendError. After a 2xx to an INVITE more 2xx may follow for 64*T1, repeated or from other branches of a
// fork. All calls come from the worker's goroutine, never from within SendRequest.
type ClientUser interface {
	// OnResponse brings every provisional response and the final one.
	OnResponse(tx *ClientTx, res *Response)
	// OnTimeout says that no final response came in time: timers B, C and F of RFC 3261, 64*T1 after a
	// CANCEL, or what SetTimeout asked for.
	OnTimeout(tx *ClientTx)
	// OnSendError says that the request could not be sent, or that the connection it was sent on ended
	// before the final response ([ErrFlowClosed]).
	OnSendError(tx *ClientTx, err error)
}

// TimerUser is called when a timer that was started for it ends, with the id that was given.
type TimerUser interface {
	OnTimer(id int)
}
