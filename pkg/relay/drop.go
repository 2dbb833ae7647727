package relay

// Drop is why a packet was not passed on. The same words stand in reports and metrics.
type Drop uint8

const (
	// Passed means that it was passed on.
	Passed Drop = iota
	// Malformed means that it was not RTP on the RTP port or not RTCP on the RTCP port.
	Malformed
	// Stranger means that it came from an address that may not speak here.
	Stranger
	// Probation means that it came from an address that may yet be learned.
	Probation
	// Held means that the SDP does not expect voice from the far end.
	Held
	// Muted means that the SDP forbids voice to the far end.
	Muted
	// Unjoined means that there is nobody to pass it to.
	Unjoined
	// Unaimed means that the far end's address is not known.
	Unaimed
	// Unsent means that the kernel refused to send it.
	Unsent
	// Keepalive means that it only kept a NAT's way open.
	Keepalive

	drops = iota
)

var dropNames = [drops]string{"passed", "malformed", "stranger", "probation", "held", "muted", "unjoined", "unaimed", "unsent", "keepalive"}

// String is the reason's stable word.
func (d Drop) String() string {
	if int(d) < len(dropNames) {
		return dropNames[d]
	}
	return "unknown"
}
