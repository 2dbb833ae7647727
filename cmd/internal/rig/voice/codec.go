package voice

import "github.com/mss-federation/mss/cmd/internal/rig/tone"

// Codec is a static RTP payload type (RFC 3551 §6). The zero value is PCMU.
type Codec uint8

// The codecs that a test phone speaks.
const (
	PCMU Codec = 0
	PCMA Codec = 8
)

// EventPayload is the payload type that test phones offer for telephone events (RFC 4733).
const EventPayload = 101

// String is the codec's name in SDP.
func (c Codec) String() string {
	if c == PCMA {
		return "PCMA"
	}
	return "PCMU"
}

func (c Codec) encode(samples []int16) []byte {
	out := make([]byte, len(samples))
	for i, v := range samples {
		if c == PCMA {
			out[i] = tone.EncodeALaw(v)
		} else {
			out[i] = tone.EncodeULaw(v)
		}
	}
	return out
}

func (c Codec) decode(payload []byte) []int16 {
	out := make([]int16, len(payload))
	for i, b := range payload {
		if c == PCMA {
			out[i] = tone.DecodeALaw(b)
		} else {
			out[i] = tone.DecodeULaw(b)
		}
	}
	return out
}
