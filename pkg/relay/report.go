package relay

import (
	"net/netip"
	"time"
)

// Report counts what went through an endpoint.
type Report struct {
	// Endpoint is the endpoint's number.
	Endpoint uint64
	// Found is false when there was no such endpoint, or it was lost with its process; then all else is zero.
	Found bool
	// Final: the endpoint is closed.
	Final bool
	// Accepted from the far end; bytes are those of whole RTP packets.
	PacketsIn, BytesIn, RTCPIn uint64
	// Sent to the far end.
	PacketsOut, BytesOut, RTCPOut uint64
	// Lost packets on the way to us, over all SSRCs (RFC 3550 §A.3).
	Lost uint64
	// Jitter on the way to us (RFC 3550 §A.8).
	Jitter time.Duration
	// SSRCChanges counts new senders after the first one.
	SSRCChanges uint64
	// Dropped counts packets that were not passed on, by [Drop].
	Dropped [drops]uint64
	// Source is who is heard; not valid while nobody is.
	Source netip.AddrPort
}

// Report gives the counts so far.
func (f *Flow) Report() Report {
	return Report{
		Found:       true,
		PacketsIn:   f.in.packets,
		BytesIn:     f.in.bytes,
		RTCPIn:      f.rtcpIn,
		PacketsOut:  f.packetsOut,
		BytesOut:    f.bytesOut,
		RTCPOut:     f.rtcpOut,
		Lost:        f.in.lost(),
		Jitter:      f.in.jitterTime(max(f.rate, 1)),
		SSRCChanges: f.in.ssrcChanges,
		Dropped:     f.dropped,
		Source:      f.rtp.locked,
	}
}
