// Package media is the media process and the client by which signalling drives it. The process owns the
// voice of calls (package relay); the client keeps the desired state of every endpoint, so that whichever
// of the two dies, one Sync makes them agree again: on the same ports, with what was learned. It does not
// read SDP or know calls. Start at [Serve] for the process, at [Dial] for the client.
package media

import (
	"time"

	"github.com/mss-federation/mss/pkg/relay"
)

type (
	// EndpointSpec describes an endpoint to open. Aim may be given at once when the far end's SDP is known.
	EndpointSpec = relay.Spec
	// Aim is what the far end's SDP says about an endpoint.
	Aim = relay.Aim
	// Learn says who may speak to an endpoint.
	Learn = relay.Learn
	// Report counts what went through an endpoint.
	Report = relay.Report
)

// Who may speak to an endpoint besides the address of the SDP.
const (
	LearnNone   = relay.LearnNone
	LearnSource = relay.LearnSource
)

// The defaults of both ends.
const (
	// DefaultOrphanTime is how long endpoints live on without anybody who controls them.
	DefaultOrphanTime = 60 * time.Second
	// DefaultAnswerTime is how long the client waits for an answer: a caller hears ringing or a refusal soon.
	DefaultAnswerTime = time.Second

	// firstRetry and lastRetry bound the wait between attempts to connect: a restarted process must be found
	// well within the 300 ms of silence that its death may cost.
	firstRetry = 20 * time.Millisecond
	lastRetry  = 100 * time.Millisecond

	// pace is the least time between two messages of either end: what comes meanwhile goes in one, since waking up
	// the other process costs more than carrying a command out. The first after a pause leaves at once.
	pace = 5 * time.Millisecond

	// syncChunk and eventChunk bound what one message holds, far below the 4 MB that gRPC takes.
	syncChunk    = 2000
	commandChunk = 2000
	eventChunk   = 2000
)
