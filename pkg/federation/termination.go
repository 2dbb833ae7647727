package federation

// TerminationClass says what kind of end a call had. The same words stand in log, metric, CDR and event.
type TerminationClass string

// The classes. Every call ends with exactly one.
const (
	// Completed: the call was answered and a party hung up.
	Completed TerminationClass = "completed"
	// Cancelled: the caller gave up before an answer.
	Cancelled TerminationClass = "cancelled"
	// Unanswered: the callee rang and nobody answered in time.
	Unanswered TerminationClass = "unanswered"
	// Busy: the callee was busy or declined.
	Busy TerminationClass = "busy"
	// Rejected: policy, rights or the message itself forbade the call.
	Rejected TerminationClass = "rejected"
	// Unreachable: there was nobody to send the call to.
	Unreachable TerminationClass = "unreachable"
	// Failed: something broke on the way.
	Failed TerminationClass = "failed"
	// Lost: a party vanished (no ACK, no voice, no answer inside the dialog).
	Lost TerminationClass = "lost"
)

// Releaser says who ended a call.
type Releaser string

// The releasers.
const (
	ByCaller Releaser = "caller"
	ByCallee Releaser = "callee"
	BySystem Releaser = "system"
)

// Termination is the end of a call: its class, a short stable reason, and who released it.
type Termination struct {
	Class  TerminationClass
	Reason string   // short and stable, such as "hang-up", "486 Busy Here", "no ACK", "media timeout"
	By     Releaser // empty while the call lives
}
