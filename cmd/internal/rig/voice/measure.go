package voice

import (
	"context"
	"fmt"
	"time"

	"github.com/mss-federation/mss/cmd/internal/rig/tone"
)

// Stats is what a session sent and got.
type Stats struct {
	Sent, Received uint64 // RTP packets; Received without duplicates and strangers
	Lost           int64  // packets between the first and the last that never came
	Duplicates     uint64
	Reordered      uint64
	Strangers      uint64 // packets from another address than the SDP's
	Malformed      uint64
	SSRCs          int
	Jitter         time.Duration // RFC 3550 §6.4.1
	First, Last    time.Time     // arrival of packets; zero: none came
	// MaxSeqGap is the largest number of packets missing in a row, and MaxSilence the longest time without a
	// packet, since the last [Session.Mark] (or the first packet).
	MaxSeqGap              int
	MaxSilence             time.Duration
	RTCPSent, RTCPReceived uint64
	Digits                 string // telephone events that came (RFC 4733)
}

// Stats is the count so far.
func (s *Session) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	in := &s.mu.in
	out := Stats{
		Sent: s.mu.sent, Received: in.received, Lost: in.missing, Duplicates: in.duplicates,
		Reordered: in.reordered, Strangers: in.strangers, Malformed: in.malformed, SSRCs: in.ssrcs,
		Jitter: time.Duration(in.jitter / tone.Rate * float64(time.Second)),
		First:  in.first, Last: in.last, MaxSeqGap: in.maxSeqGap, MaxSilence: in.maxSilence,
		RTCPSent: s.mu.rtcpSent, RTCPReceived: in.rtcp, Digits: string(in.digits),
	}
	if !in.first.IsZero() {
		until := time.Now()
		if !in.end.IsZero() {
			until = in.end
		}
		out.MaxSilence = max(out.MaxSilence, until.Sub(later(in.last, in.mark)))
	}
	return out
}

// Mark starts a new interval for MaxSeqGap and MaxSilence.
func (s *Session) Mark() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.in.maxSeqGap, s.mu.in.maxSilence, s.mu.in.mark = 0, 0, time.Now()
}

// Hears says whether the last 300 ms were mostly a tone of freq hertz.
func (s *Session) Hears(freq float64) bool {
	samples, ok := s.lately()
	return ok && tone.Hears(samples, tone.Rate, freq)
}

// Contains says whether any audible part of the last 300 ms was at freq hertz.
func (s *Session) Contains(freq float64) bool {
	samples, _ := s.lately()
	return tone.Contains(samples, tone.Rate, freq)
}

// Silent says whether nothing audible came in the last 300 ms.
func (s *Session) Silent() bool {
	samples, _ := s.lately()
	return tone.Silent(samples)
}

func (s *Session) lately() ([]int16, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.in.lately(time.Now())
}

// WaitTone waits until freq is heard.
func (s *Session) WaitTone(ctx context.Context, freq float64) error {
	if err := wait(ctx, func() bool { return s.Hears(freq) }); err != nil {
		return fmt.Errorf("tone of %.0f Hz not heard: %w (%+v)", freq, err, s.Stats())
	}
	return nil
}

// WaitSilence waits until nothing is heard.
func (s *Session) WaitSilence(ctx context.Context) error {
	if err := wait(ctx, s.Silent); err != nil {
		return fmt.Errorf("no silence: %w (%+v)", err, s.Stats())
	}
	return nil
}

func wait(ctx context.Context, condition func() bool) error {
	ticker := time.NewTicker(frame)
	defer ticker.Stop()
	for !condition() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait: %w", ctx.Err())
		case <-ticker.C:
		}
	}
	return nil
}
