package baresip

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/mss-federation/mss/cmd/internal/rig/phone"
	"github.com/mss-federation/mss/cmd/internal/rig/tone"
)

// TestCallsOurPhone proves two things on each other: the driver, and the test phone against somebody else's SIP.
func TestCallsOurPhone(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	p, err := phone.New(phone.Options{
		Name: "4002", Registrar: netip.MustParseAddrPort("127.0.0.1:9"), Tone: 620,
		AutoAnswer: true, AnswerAfter: 300 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	a, err := Start(ctx, Options{Tone: 440})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	defer func() {
		if t.Failed() {
			t.Log(a.Output(), p.TranscriptText())
		}
	}()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(a.Register(ctx, Account{User: "4001", Registrar: p.Local(), Transport: "udp", NoRegister: true}))
	must(a.Dial(ctx, "sip:4002@"+p.Local().String()))
	_, seen, err := a.Wait(ctx, 0, "CALL_RINGING")
	must(err)
	_, seen, err = a.Wait(ctx, seen, "CALL_ESTABLISHED")
	must(err)
	call := p.Calls()[0]
	must(call.Voice().WaitTone(ctx, 440))
	until(ctx, func() bool { return call.Stats().Sent > 75 }) // 1.5 s for the recording, which ends with the first re-INVITE
	must(a.Hold(ctx))
	must(call.Voice().WaitSilence(ctx))
	must(a.Resume(ctx))
	must(call.Voice().WaitTone(ctx, 440))
	must(a.Digit(ctx, '5'))
	call.Voice().SendDigits("7")
	e, _, err := a.Wait(ctx, seen, "CALL_DTMF_START")
	must(err)
	if e.Param != "7" {
		t.Errorf("baresip saw digit %q", e.Param)
	}
	until(ctx, func() bool { return call.Stats().Digits == "5" })
	must(a.Hangup(ctx))
	must(call.WaitEnded(ctx))
	_, _, err = a.Wait(ctx, 0, "CALL_CLOSED")
	must(err)
	heard, err := a.Heard()
	must(err)
	if tone.Share(heard.Samples, heard.Rate, 620, heard.Rate/10) < 0.9 || len(heard.Samples) < heard.Rate || tone.Contains(heard.Samples, heard.Rate, 440) {
		t.Errorf("baresip recorded %d samples, 620 Hz in %v of them, 440 Hz at %v", len(heard.Samples),
			tone.Share(heard.Samples, heard.Rate, 620, heard.Rate/10), tone.Power(heard.Samples, heard.Rate, 440))
	}
	for _, v := range p.Violations() {
		t.Error(v)
	}
}

func until(ctx context.Context, condition func() bool) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
