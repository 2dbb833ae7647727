package e2e

import (
	"testing"

	"github.com/mss-federation/mss/cmd/internal/rig/phone"
	"github.com/mss-federation/mss/cmd/internal/rig/voice"
)

// TestCall is a whole call between two phones of one office, over each pair of transports: ringing, voice, hold, codec,
// INFO, hang-up from either side.
func TestCall(t *testing.T) {
	t.Parallel()
	n := office(t, "")
	for _, c := range []struct {
		name     string
		from, to phone.Options
	}{
		{"UDP to UDP", phone.Options{Name: "4001"}, phone.Options{Name: "4002"}},
		{"TCP to UDP", phone.Options{Name: "4001", Transport: phone.TCP}, phone.Options{Name: "4003"}},
		{"UDP to TCP", phone.Options{Name: "4001"}, phone.Options{Name: "4002", Transport: phone.TCP}},
		{"TLS to UDP", phone.Options{Name: "4001", Transport: phone.TLS}, phone.Options{Name: "4003"}},
		{"TCP to TLS", phone.Options{Name: "4001", Transport: phone.TCP}, phone.Options{Name: "4002", Transport: phone.TLS}},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx := limit(t)
			a, b := register(t, n, c.from), register(t, n, c.to)
			out, in := connect(t, a, b)
			for _, side := range []*phone.Call{out, in} {
				if got := side.RemoteVoice().Addr(); got != n.Addr() {
					t.Errorf("voice of a phone goes to %v, not to its own office %v", got, n.Addr())
				}
			}
			must(t, out.Hold(ctx))
			must(t, out.Voice().WaitSilence(ctx))
			must(t, out.Resume(ctx))
			must(t, out.Voice().WaitTone(ctx, tones[b.Name()]))
			must(t, in.Hold(ctx))
			must(t, in.Voice().WaitSilence(ctx))
			must(t, in.Resume(ctx))
			must(t, in.Voice().WaitTone(ctx, tones[a.Name()]))
			must(t, out.Reinvite(ctx, voice.PCMA))
			must(t, in.Voice().WaitTone(ctx, tones[a.Name()]))
			must(t, out.SendInfo(ctx, '5'))
			must(t, in.SendOptions(ctx))
			must(t, out.Hangup(ctx))
			must(t, in.WaitEnded(ctx))
			out, in = connect(t, b, a)
			must(t, in.Hangup(ctx))
			must(t, out.WaitEnded(ctx))
			must(t, a.Unregister(ctx))
			must(t, b.Unregister(ctx))
		})
	}
}

// TestCallsThatDoNotComeUp are the ends before an answer.
func TestCallsThatDoNotComeUp(t *testing.T) {
	t.Parallel()
	ctx := limit(t)
	n := office(t, "")
	a, b := register(t, n, phone.Options{Name: "4001"}), register(t, n, phone.Options{Name: "4002"})

	out, err := a.Dial(ctx, "4002")
	must(t, err)
	in := arrives(t, out, b)
	must(t, in.Ring())
	must(t, out.WaitRinging(ctx))
	must(t, out.Cancel(ctx))
	must(t, in.WaitEnded(ctx))
	wantStatus(t, out, 487)

	out, err = a.Dial(ctx, "4002")
	must(t, err)
	in = arrives(t, out, b)
	must(t, in.Reject(486, "Busy Here"))
	must(t, out.WaitEnded(ctx))
	wantStatus(t, out, 486)

	for number, status := range map[string]int{"4999": 404, "4003": 480} {
		out, err = a.Dial(ctx, number)
		must(t, err)
		must(t, out.WaitEnded(ctx))
		wantStatus(t, out, status)
	}
	stranger := newPhone(t, n, phone.Options{Name: "4003", Password: "wrong"})
	if err := stranger.Register(ctx); err == nil {
		t.Error("registered with a wrong password")
	}
}

func wantStatus(t *testing.T, c *phone.Call, want int) {
	t.Helper()
	if got, reason := c.Status(); got != want {
		t.Errorf("call ended with %d %s, want %d", got, reason, want)
	}
}

// TestEarlyMediaAndDelayedOffer are the two other ways of offer and answer.
func TestEarlyMediaAndDelayedOffer(t *testing.T) {
	t.Parallel()
	n := office(t, "")
	earlyMediaAndDelayedOffer(t, register(t, n, phone.Options{Name: "4001"}), register(t, n, phone.Options{Name: "4002"}))
}

func earlyMediaAndDelayedOffer(t *testing.T, a, b *phone.Phone) {
	t.Helper()
	ctx := limit(t)
	aTone, bTone := tones[a.Name()], tones[b.Name()]

	out, err := a.Dial(ctx, b.Name())
	must(t, err)
	in := arrives(t, out, b)
	must(t, in.Progress())
	must(t, out.Voice().WaitTone(ctx, bTone))
	must(t, in.Answer())
	must(t, out.WaitAnswered(ctx))
	hearEachOther(t, out, in, aTone, bTone)
	must(t, out.Hangup(ctx))
	must(t, in.WaitEnded(ctx))

	out, err = a.DialWith(ctx, b.Name(), phone.DialOptions{NoOffer: true})
	must(t, err)
	in = arrives(t, out, b)
	must(t, in.Ring())
	must(t, in.Answer())
	must(t, out.WaitAnswered(ctx))
	hearEachOther(t, out, in, aTone, bTone)
	must(t, in.Hangup(ctx))
	must(t, out.WaitEnded(ctx))
}
