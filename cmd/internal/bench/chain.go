package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/mss-federation/mss/cmd/internal/bench/chain"
)

// chainLoads are what the part "chain" puts on the way between two offices.
type chainLoads struct{ calls, voice chain.Load }

func (c *chainLoads) register(flags *flag.FlagSet) {
	flags.IntVar(&c.calls.Rate, "chain-rate", 50, "chain: `calls` a second")
	flags.IntVar(&c.calls.Seconds, "chain-seconds", 60, "chain: how long calls are begun")
	flags.DurationVar(&c.calls.Hold, "chain-hold", 5*time.Second, "chain: how long each lasts")
	flags.IntVar(&c.voice.Rate, "voice-rate", 20, "chain: `calls` a second with voice")
	flags.IntVar(&c.voice.Seconds, "voice-seconds", 30, "chain: how long such calls are begun; 0 for none")
	flags.DurationVar(&c.voice.Hold, "voice-hold", 3*time.Second, "chain: how long both ends of such a call talk")
}

func (c *chainLoads) validate() error {
	if c.calls.Rate < 1 || c.voice.Rate < 1 || c.calls.Seconds < 1 || c.voice.Seconds < 0 || c.calls.Hold < 0 || c.voice.Hold <= 0 {
		return errors.New("rates, lengths and times of the chain are more than nothing; -voice-seconds may be 0")
	}
	return nil
}

// maxLoss is the share of voice packets that may be lost.
const maxLoss = 0.001

var errChain = errors.New("the chain did not carry everything")

// runChain is the part that sends calls the whole way between two offices.
func runChain(ctx context.Context, o options, out io.Writer) (err error) {
	fmt.Fprintf(out, "\nchain: phone → office london → hub a → hub b → office hongkong → phone, trunks over TLS\n")
	c, err := chain.Open(ctx, chain.Options{Bin: o.place.Bin, Files: o.place.Files})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	v := verdict{out: out, good: true}
	fmt.Fprintf(out, "calls: %v\n", o.chain.calls)
	calls, err := c.Calls(ctx, o.chain.calls)
	if err != nil {
		return err
	}
	v.calls(calls)
	voiceCalls := 0
	if o.chain.voice.Seconds > 0 {
		fmt.Fprintf(out, "voice: %v\n", o.chain.voice)
		voice, err := c.Voice(ctx, o.chain.voice)
		if err != nil {
			return err
		}
		v.voice(voice)
		voiceCalls = voice.Calls
	}
	repeats, err := c.Repeats(ctx)
	if err != nil {
		return err
	}
	v.repeats(repeats)
	v.way(repeats, calls.Calls+voiceCalls)
	if !v.good {
		return errChain
	}
	return nil
}

func (v *verdict) calls(r chain.CallsResult) {
	v.say(r.Failed == 0 && r.Lost180 == 0, "%d calls in %.1f s: %d failed, %d without their 180; phones repeated %d messages",
		r.Calls, r.Elapsed.Seconds(), r.Failed, r.Lost180, r.Repeated)
	if r.Trouble != "" {
		fmt.Fprintln(v.out, "        sipp: "+r.Trouble)
	}
}

func (v *verdict) voice(r chain.VoiceResult) {
	v.say(r.Failed == 0 && len(r.Trouble) == 0, "%d calls with voice: %d failed", r.Calls, r.Failed)
	for _, err := range r.Trouble {
		fmt.Fprintf(v.out, "        %v\n", err)
	}
	v.say(r.Sent > 0 && r.Loss() <= maxLoss, "%d voice packets sent, %d received: %.3f %% lost, at most %.1f %% may be",
		r.Sent, r.Received, 100*r.Loss(), 100*maxLoss)
}

func (v *verdict) repeats(all []chain.Repeats) {
	for _, r := range all {
		v.say(r.Finals == 0, "%s sent %d final responses again, %d messages in all; %d requests came again", r.Node, r.Finals, r.All, r.Again)
	}
}

// way wants every call to have passed each hub: one that took a shorter way would prove less.
func (v *verdict) way(all []chain.Repeats, calls int) {
	for _, r := range all {
		if r.Hub {
			v.say(r.Passed >= uint64(chain.RequestsOfCall*calls), "%s passed %d requests of %d calls", r.Node, r.Passed, calls)
		}
	}
}
