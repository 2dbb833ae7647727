package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/mss-federation/mss/cmd/internal/bench/chain"
)

// TestChainVerdict: each thing that went wrong fails the run and is named.
func TestChainVerdict(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		calls   chain.CallsResult
		voice   chain.VoiceResult
		repeats uint64
		missed  uint64
		says    string
	}{
		"all well":       {says: ""},
		"a failed call":  {calls: chain.CallsResult{Failed: 1, Trouble: "1 × expected 200, got 480"}, says: "1 failed, 0 without their 180; phones repeated 0 messages\n        sipp: 1 × expected 200, got 480"},
		"a lost 180":     {calls: chain.CallsResult{Lost180: 1}, says: "0 failed, 1 without their 180"},
		"voice failed":   {voice: chain.VoiceResult{Failed: 2, Trouble: []error{errors.New("busy")}}, says: "0 calls with voice: 2 failed\n        busy"},
		"a strict phone": {voice: chain.VoiceResult{Trouble: []error{errors.New("a phone saw: rubbish")}}, says: "a phone saw: rubbish"},
		"packets lost":   {voice: chain.VoiceResult{Received: 9989}, says: "10000 voice packets sent, 9989 received: 0.110 % lost"},
		"another way":    {missed: 1, says: "hub a passed 299 requests of 100 calls"},
		"a repetition":   {repeats: 1, says: "hub a sent 1 final responses again"},
	} {
		if c.voice.Sent = 10000; c.voice.Received == 0 {
			c.voice.Received = 9990
		}
		var out bytes.Buffer
		v := verdict{out: &out, good: true}
		v.calls(c.calls)
		v.voice(c.voice)
		v.repeats([]chain.Repeats{{Node: "office london"}, {Node: "hub a", Finals: c.repeats}})
		v.way([]chain.Repeats{{Node: "office london"}, {Node: "hub a", Hub: true, Passed: 300 - c.missed}}, 100)
		if v.good != (c.says == "") || strings.Contains(out.String(), "FAILED: ") == v.good || !strings.Contains(out.String(), c.says) {
			t.Errorf("%s: good is %v, said\n%s", name, v.good, out.String())
		}
	}
	var out bytes.Buffer
	v := verdict{out: &out, good: true}
	if v.voice(chain.VoiceResult{}); v.good {
		t.Error("voice without a packet is good")
	}
}
