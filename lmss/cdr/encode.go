package cdr

import (
	"fmt"
	"time"

	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/tagged"
)

// recordVersion is the format of a stored record. Fields may be added with new numbers; a change that an earlier build
// would misread takes a new version.
const recordVersion = 1

// Append appends the record as it is stored.
func (r *Record) Append(dst []byte) []byte {
	dst = tagged.Append(dst, recordVersion)
	dst = tagged.String(dst, 1, r.ID)
	dst = tagged.String(dst, 2, r.SessionID)
	dst = tagged.String(dst, 3, r.CallID)
	dst = tagged.Strings(dst, 4, r.LegCallIDs)
	dst = tagged.String(dst, 5, r.Caller)
	dst = tagged.String(dst, 6, r.Called)
	dst = tagged.String(dst, 7, r.Callee)
	dst = tagged.String(dst, 8, r.Source)
	dst = tagged.String(dst, 9, r.Destination)
	dst = tagged.Time(dst, 10, r.SetupAt)
	dst = tagged.Time(dst, 11, r.RingAt)
	dst = tagged.Time(dst, 12, r.AnswerAt)
	dst = tagged.Time(dst, 13, r.EndAt)
	dst = tagged.String(dst, 14, r.Termination.Class)
	dst = tagged.String(dst, 15, r.Termination.Reason)
	dst = tagged.String(dst, 16, r.Termination.By)
	dst = tagged.Uint(dst, 17, r.Status)
	dst = tagged.Bool(dst, 18, r.Recovered)
	dst = tagged.Bool(dst, 19, r.Unprotected)
	dst, begin := tagged.Open(dst, 20)
	dst = tagged.Close(r.CallerVoice.append(dst), begin)
	dst, begin = tagged.Open(dst, 21)
	return tagged.Close(r.CalleeVoice.append(dst), begin)
}

// Read takes what Append wrote. r is to be zero.
func (r *Record) Read(data []byte) error {
	if err := tagged.Read(data, recordVersion, r.take); err != nil {
		return fmt.Errorf("read call record: %w", err)
	}
	return nil
}

func (r *Record) take(f tagged.Field) error {
	switch f.Number {
	case 1:
		r.ID = ID(f.String())
	case 2:
		r.SessionID = federation.SessionID(f.String())
	case 3:
		r.CallID = f.String()
	case 4:
		r.LegCallIDs = append(r.LegCallIDs, f.String())
	case 5:
		r.Caller = f.String()
	case 6:
		r.Called = f.String()
	case 7:
		r.Callee = f.String()
	case 8:
		r.Source = f.String()
	case 9:
		r.Destination = f.String()
	case 10:
		r.SetupAt = f.Time()
	case 11:
		r.RingAt = f.Time()
	case 12:
		r.AnswerAt = f.Time()
	case 13:
		r.EndAt = f.Time()
	case 14:
		r.Termination.Class = federation.TerminationClass(f.String())
	case 15:
		r.Termination.Reason = f.String()
	case 16:
		r.Termination.By = federation.Releaser(f.String())
	case 17:
		r.Status = f.Int()
	case 18:
		r.Recovered = f.Bool()
	case 19:
		r.Unprotected = f.Bool()
	case 20:
		return tagged.ReadFields(f.Inside(), r.CallerVoice.take)
	case 21:
		return tagged.ReadFields(f.Inside(), r.CalleeVoice.take)
	}
	return nil
}

func (v *Voice) append(dst []byte) []byte {
	dst = tagged.Uint(dst, 1, v.Sent)
	dst = tagged.Uint(dst, 2, v.Received)
	dst = tagged.Uint(dst, 3, v.Lost)
	dst = tagged.Uint(dst, 4, v.Jitter)
	return tagged.String(dst, 5, v.Codec)
}

func (v *Voice) take(f tagged.Field) error {
	switch f.Number {
	case 1:
		v.Sent = f.Uint()
	case 2:
		v.Received = f.Uint()
	case 3:
		v.Lost = f.Uint()
	case 4:
		v.Jitter = time.Duration(f.Int())
	case 5:
		v.Codec = f.String()
	}
	return nil
}
