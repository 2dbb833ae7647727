package relay

// Drop is why a packet was not passed on. The same words stand in reports and metrics.
type Drop uint8

const (
	// Passed: it was passed on.
	Passed Drop = iota
	// Malformed: not RTP on the RTP port or not RTCP on the RTCP port.
	Malformed
	// Stranger: from an address that may not speak here.
	Stranger
	// Probation: from an address that may yet be learned.
	Probation
	// Held: the SDP does not expect voice from the far end.
	Held
	// Muted: the SDP forbids voice to the far end.
	Muted
	// Unjoined: nobody to pass it to.
	Unjoined
	// Unaimed: the far end's address is not known.
	Unaimed
	// Unsent: the kernel refused to send it.
	Unsent

	drops = iota
)

var dropNames = [drops]string{"passed", "malformed", "stranger", "probation", "held", "muted", "unjoined", "unaimed", "unsent"}

// String is the reason's stable word.
func (d Drop) String() string {
	if int(d) < len(dropNames) {
		return dropNames[d]
	}
	return "unknown"
}
