package ingress

import "sync/atomic"

// Counters count what came through the door.
type Counters struct {
	Requests     atomic.Uint64 // requests outside transactions
	AuthFailures atomic.Uint64 // wrong passwords and unknown users
	Panics       atomic.Uint64 // messages whose handling panicked
}
