package e2e

import (
	"testing"
	"time"

	"github.com/mss-federation/mss/cmd/internal/rig/phone"
	"github.com/mss-federation/mss/cmd/internal/rig/voice"
)

// TestTwoPhonesOfOneUser: both ring, one answers, the other stops; and when both answer at once, one wins and the other
// is hung up. The caller sees one call with one tag and one answer.
func TestTwoPhonesOfOneUser(t *testing.T) {
	t.Parallel()
	ctx := limit(t)
	n := office(t, "")
	a := register(t, n, phone.Options{Name: "4001"})
	b := register(t, n, phone.Options{Name: "4002"})
	c := register(t, n, phone.Options{Name: "4002", Transport: phone.TCP})
	for _, together := range []bool{false, true} {
		out, err := a.Dial(ctx, "4002")
		must(t, err)
		first := arrives(t, out, b)
		second := arrives(t, out, c)
		must(t, first.Ring())
		must(t, second.Ring())
		must(t, out.WaitRinging(ctx))
		must(t, first.Answer())
		if together {
			must(t, second.Answer())
		}
		must(t, out.WaitAnswered(ctx))
		winner, loser := first, second
		if together {
			winner, loser = survivor(t, first, second)
		}
		must(t, loser.WaitEnded(ctx))
		if !together {
			wantStatus(t, loser, 487)
		}
		hearEachOther(t, out, winner, tones["4001"], tones["4002"])
		must(t, out.Hangup(ctx))
		must(t, winner.WaitEnded(ctx))
		noVoicePorts(t, n)
	}
}

// survivor waits until one of two answered calls was ended by the far side.
func survivor(t *testing.T, first, second *phone.Call) (winner, loser *phone.Call) {
	t.Helper()
	select {
	case <-first.Ended():
		return second, first
	case <-second.Ended():
		return first, second
	case <-limit(t).Done():
		t.Fatal("both phones stay in the call")
		return nil, nil
	}
}

// TestWinnerWithAnotherCodec: the phone that answers speaks another codec than the caller was told in early media.
func TestWinnerWithAnotherCodec(t *testing.T) {
	t.Parallel()
	n := office(t, "")
	a := register(t, n, phone.Options{Name: "4001"})
	b := register(t, n, phone.Options{Name: "4002", Codec: voice.PCMA, OneCodec: true})
	out, in := connect(t, a, b)
	if out.Codec() != voice.PCMA || in.Codec() != voice.PCMA {
		t.Errorf("codecs %v and %v", out.Codec(), in.Codec())
	}
	must(t, out.Hangup(limit(t)))
	must(t, in.WaitEnded(limit(t)))
}

// TestAnswerCrossesCancel lets the callee answer in the moment in which the caller gives up. Whoever is faster, both
// phones end, and nothing is left.
func TestAnswerCrossesCancel(t *testing.T) {
	t.Parallel()
	ctx := limit(t)
	n := office(t, "")
	a, b := register(t, n, phone.Options{Name: "4001"}), register(t, n, phone.Options{Name: "4002"})
	for range 20 {
		out, err := a.Dial(ctx, "4002")
		must(t, err)
		in := arrives(t, out, b)
		must(t, in.Ring())
		must(t, out.WaitRinging(ctx))
		cancelled := make(chan error, 1)
		go func() { cancelled <- out.Cancel(ctx) }()
		must(t, in.Answer())
		must(t, <-cancelled)
		must(t, in.WaitEnded(ctx))
	}
	noVoicePorts(t, n)
	eventually(t, "the end of all calls", func() bool {
		text, err := n.Ctl(ctx, "call", "list", "-o", "json")
		return err == nil && text == "[]\n"
	})
}

// TestBothHangUpAtOnce crosses two BYEs.
func TestBothHangUpAtOnce(t *testing.T) {
	t.Parallel()
	ctx := limit(t)
	n := office(t, "")
	a, b := register(t, n, phone.Options{Name: "4001"}), register(t, n, phone.Options{Name: "4002"})
	for range 5 {
		out, in := connect(t, a, b)
		done := make(chan error, 1)
		go func() { done <- in.Hangup(ctx) }()
		must(t, out.Hangup(ctx))
		must(t, <-done)
		if got := records(t, n, out.ID()); len(got) > 1 {
			t.Errorf("%d records of one call", len(got))
		}
	}
	noVoicePorts(t, n)
}

// TestRegistrationsSurvive: after a kill of the signalling, a phone that says nothing can be called at once.
func TestRegistrationsSurvive(t *testing.T) {
	t.Parallel()
	ctx := limit(t)
	n := office(t, "")
	a, b := register(t, n, phone.Options{Name: "4001"}), register(t, n, phone.Options{Name: "4002"})
	killed, err := n.KillSignal()
	must(t, err)
	out, err := a.Dial(ctx, "4002")
	must(t, err)
	in := arrives(t, out, b)
	if took := time.Since(killed); took > 2*time.Second {
		t.Errorf("a call came %v after the kill", took)
	}
	must(t, in.Ring())
	must(t, in.Answer())
	must(t, out.WaitAnswered(ctx))
	must(t, out.Hangup(ctx))
	must(t, in.WaitEnded(ctx))
}
