package siptransport

import "sync"

// Inbound is one whole message as it arrived: one datagram, or one framed part of a stream. It belongs
// to whoever received it until Release.
type Inbound struct {
	// Flow is where the message came from, and where its response goes.
	Flow Flow
	// Data is the message. It may be changed in place.
	Data []byte

	buf   []byte // pooled; nil in an Inbound that was not made here
	class int
}

// classes are the sizes of pooled buffers: most messages, messages with large SDP, the largest.
var classes = [...]int{2 << 10, 8 << 10, maxMessage}

var pools [len(classes)]sync.Pool

// newInbound copies data, at most maxMessage bytes, into the smallest buffer that holds it.
func newInbound(flow Flow, data []byte) *Inbound {
	class := 0
	for len(data) > classes[class] {
		class++
	}
	in, ok := pools[class].Get().(*Inbound)
	if !ok {
		in = &Inbound{buf: make([]byte, classes[class]), class: class}
	}
	in.Flow = flow
	in.Data = in.buf[:copy(in.buf, data)]
	return in
}

// Release gives the buffer back: neither the Inbound nor its Data may be used after. It is called
// exactly once, from any goroutine.
func (in *Inbound) Release() {
	in.Data = nil
	if in.buf != nil {
		pools[in.class].Put(in)
	}
}

// Receiver is who the endpoint works for. Its methods are called from many readers at once, each
// connection's in order; they must not block.
type Receiver interface {
	// Receive takes one message and owns in until it calls in.Release.
	Receive(in *Inbound)
	// FlowClosed says that a stream connection that had been open ended. It comes once, after the
	// connection's last message. Sends to the flow fail from now on.
	FlowClosed(flow Flow, cause error)
	// Refused says that a stream's framing broke. msg is what was read of the message, valid during
	// the call. The connection is closed after it returns, and what was sent on it by then still leaves.
	Refused(flow Flow, msg []byte, reason string)
}
