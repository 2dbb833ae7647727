// Package cdr is the call detail record: what remains of a call when it is over. It owns no storage (see
// store) and decides nothing. Start at [Record].
package cdr

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"time"

	"github.com/mss-federation/mss/pkg/federation"
)

// ID names one record, once and for ever: 26 lower-case characters of which the first ten are the time
// of making, so that ids sort as the calls began. Unique over nodes and restarts by 80 random bits.
type ID string

var idText = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// NewID makes an id for a call that begins at now.
func NewID(now time.Time) ID {
	var raw [16]byte
	binary.BigEndian.PutUint64(raw[:8], uint64(now.UnixMilli())<<16)
	_, _ = rand.Read(raw[6:]) // crypto/rand.Read never fails: it ends the process instead
	return ID(idText.EncodeToString(raw[:]))
}

// Record is one call. Zero times mean that it did not happen. It is a value; whoever holds one does not
// change LegCallIDs in place.
type Record struct {
	ID        ID
	SessionID federation.SessionID
	// CallID is the Call-ID of the caller's leg; LegCallIDs those of all other legs, in the order in
	// which they were tried.
	CallID     string
	LegCallIDs []string

	// Caller and Called are as the first INVITE had them, Callee is who answered (or was tried last).
	Caller string
	Called string
	Callee string
	// Source and Destination are the signalling addresses of the two parties: "udp 192.0.2.7:5060".
	Source      string
	Destination string

	SetupAt  time.Time // the INVITE was accepted for processing
	RingAt   time.Time // the first 18x left towards the caller
	AnswerAt time.Time // the 200 left towards the caller
	EndAt    time.Time

	// Termination is empty while the call lives.
	Termination federation.Termination
	// Status is the final SIP status that the caller got: 200 when answered. Zero is none.
	Status int
	// Recovered says that the call lived through a restart of the signalling process, or was closed by it.
	Recovered bool
	// Unprotected says that the 200 left before the store had the call.
	Unprotected bool

	// CallerVoice and CalleeVoice are what the relay counted on the two legs.
	CallerVoice Voice
	CalleeVoice Voice
}

// Voice is what the relay counted on one leg, seen from here: received from the phone, sent to it.
type Voice struct {
	Sent     uint64 // RTP packets
	Received uint64 // RTP packets
	Lost     uint64 // RTP packets missing among the received
	Jitter   time.Duration
	Codec    string
}

// Answered says whether the call was ever up.
func (r *Record) Answered() bool { return !r.AnswerAt.IsZero() }

// Duration is from answer to end; zero while the call lives or when it was never answered.
func (r *Record) Duration() time.Duration { return between(r.AnswerAt, r.EndAt) }

// RingTime is from set-up to the answer, or to the end of a call that was not answered.
func (r *Record) RingTime() time.Duration {
	if r.Answered() {
		return between(r.SetupAt, r.AnswerAt)
	}
	return between(r.SetupAt, r.EndAt)
}

// between never is negative: a record that was read back has wall-clock times, which may have been set back.
func between(from, to time.Time) time.Duration {
	if from.IsZero() || to.IsZero() {
		return 0
	}
	return max(0, to.Sub(from))
}
