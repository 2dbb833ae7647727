package siptransport

import "sync/atomic"

// counters are what an endpoint counts. Each is one atomic, since all readers and senders meet here.
type counters struct {
	datagramsIn, datagramsOut atomic.Uint64
	messagesIn, messagesOut   atomic.Uint64
	bytesIn, bytesOut         atomic.Uint64
	keepAlives                atomic.Uint64
	readErrors, sendErrors    atomic.Uint64

	accepted, acceptErrors      atomic.Uint64
	refusedPerIP, refusedUnkept atomic.Uint64
	dials, dialErrors           atomic.Uint64
	refusedDials                atomic.Uint64
	framingErrors               atomic.Uint64
	handshakeErrors             atomic.Uint64
	timedOut, queueFull         atomic.Uint64

	open, dialledOpen atomic.Int64
}

// Stats is what an endpoint has counted since it was made.
type Stats struct {
	DatagramsIn, DatagramsOut uint64 // UDP, without keep-alives
	MessagesIn, MessagesOut   uint64 // on streams: whole ones in, queued ones out
	BytesIn, BytesOut         uint64 // payload on all transports
	KeepAlives                uint64 // datagrams of line ends or zeros, and pings on streams
	ReadErrors                uint64 // UDP reads that failed
	SendErrors                uint64 // UDP writes that failed

	Accepted      uint64 // connections
	AcceptErrors  uint64
	RefusedPerIP  uint64 // connections over MaxConnsPerIP or MaxConnsPerPrivateIP
	RefusedUnkept uint64 // connections over MaxUnkept
	Dials         uint64
	DialErrors    uint64
	RefusedDials  uint64 // over MaxDialled
	FramingErrors uint64
	// HandshakeErrors counts TLS connections, either way, that never opened.
	HandshakeErrors uint64
	TimedOut        uint64 // connections ended by FirstByte, PerMessage or an idle limit
	QueueFull       uint64 // messages refused because of WriteQueue

	Open   int64 // connections now
	Unkept int64 // accepted ones that nobody keeps, now
}

// Stats reads the counters, one after the other.
func (e *Endpoint) Stats() Stats {
	c := &e.stats
	return Stats{
		DatagramsIn: c.datagramsIn.Load(), DatagramsOut: c.datagramsOut.Load(),
		MessagesIn: c.messagesIn.Load(), MessagesOut: c.messagesOut.Load(),
		BytesIn: c.bytesIn.Load(), BytesOut: c.bytesOut.Load(),
		KeepAlives: c.keepAlives.Load(),
		ReadErrors: c.readErrors.Load(), SendErrors: c.sendErrors.Load(),
		Accepted: c.accepted.Load(), AcceptErrors: c.acceptErrors.Load(),
		RefusedPerIP: c.refusedPerIP.Load(), RefusedUnkept: c.refusedUnkept.Load(),
		Dials: c.dials.Load(), DialErrors: c.dialErrors.Load(), RefusedDials: c.refusedDials.Load(),
		FramingErrors: c.framingErrors.Load(), HandshakeErrors: c.handshakeErrors.Load(),
		TimedOut: c.timedOut.Load(), QueueFull: c.queueFull.Load(),
		Open: c.open.Load(), Unkept: e.unkept.Load(),
	}
}
