package store

import (
	"errors"
	"fmt"

	"github.com/mss-federation/mss/pkg/fault"
)

// State is how well the store can write.
type State uint8

// The states, from good to bad.
const (
	// Healthy: everything is written.
	Healthy State = iota
	// ReserveUsed: everything is written, but the reserve for a full disk is gone.
	ReserveUsed
	// Full: the disk takes no writes (full, over quota, locked by another program). Changes by operators
	// are refused; calls go on unprotected and their records wait in memory. It is tried again.
	Full
	// Broken: a write was lost after the kernel had taken it (a failed fsync), or the file is damaged. What
	// is on the disk is unknown, so nothing is tried again: memory only, until the process is restarted.
	Broken
)

// String is the state in an operator's words.
func (s State) String() string {
	switch s {
	case Healthy:
		return "healthy"
	case ReserveUsed:
		return "reserve used"
	case Full:
		return "full"
	case Broken:
		return "broken"
	}
	return "unknown"
}

// SQLite's result codes, https://sqlite.org/rescode.html.
const (
	codeBusy         = 5
	codeLocked       = 6
	codeFull         = 13
	codeIOError      = 10
	codeIONoMemory   = 10 | 12<<8
	codeIOWrite      = 10 | 3<<8
	codeIOShmSize    = 10 | 19<<8
	primaryCodesMask = 0xff
)

// stateOf says what a failed write means. Only failures before the data was handed to the kernel may be
// tried again: after a failed fsync the kernel marks the pages clean, and a second one would succeed
// although they are lost.
func stateOf(err error) State {
	var coded interface{ Code() int }
	if !errors.As(err, &coded) {
		return Broken
	}
	switch code := coded.Code(); code {
	case codeIOWrite, codeIOShmSize, codeIONoMemory:
		return Full
	default:
		switch code & primaryCodesMask {
		case codeFull, codeBusy, codeLocked:
			return Full
		}
	}
	return Broken
}

// State is how the store is, and why if it is not healthy.
func (s *Store) State() (State, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.state, s.mu.cause
}

// become changes the state and tells. Broken is for ever.
func (s *Store) become(state State, cause error) {
	s.mu.Lock()
	before := s.mu.state
	if before == Broken || before == state {
		s.mu.Unlock()
		return
	}
	s.mu.state, s.mu.cause = state, cause
	s.mu.Unlock()
	if state > before {
		s.options.Logger.Error("store: writing is impaired", "state", state.String(), "directory", s.dir, "error", cause)
	} else {
		s.options.Logger.Info("store: writing is restored", "state", state.String(), "directory", s.dir)
	}
	s.options.Alarm(state, cause)
	s.wakeUp()
}

// Alarm is what an operator must know of a store that is not healthy: how it is, why, and what to do. Empty is well.
func (s *Store) Alarm() string {
	state, cause := s.State()
	switch state {
	case ReserveUsed:
		return "store: " + cause.Error()
	case Full, Broken:
		return "store: " + advice(state) + " (" + cause.Error() + ")"
	case Healthy:
	}
	return ""
}

// advice says what a state is and what to do.
func advice(state State) string {
	if state == Broken {
		return "the store lost a write and is in memory only: check the disk, then restart lmss"
	}
	return "the disk takes no writes: free space in the state directory; calls go on meanwhile"
}

// refusal is the error for a change by an operator while the store cannot write; nil when it can.
func (s *Store) refusal(op, subject string) error {
	state, cause := s.State()
	if state < Full {
		return nil
	}
	return refused(op, subject, state, cause)
}

func refused(op, subject string, state State, cause error) error {
	e := &fault.Error{Op: op, Kind: fault.Exhausted, Subject: subject}
	if state == Broken {
		e.Kind = fault.Unavailable
	}
	e.Err = fmt.Errorf("%s (%w)", advice(state), cause)
	return e
}
