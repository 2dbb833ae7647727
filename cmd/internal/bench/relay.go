package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/mss-federation/mss/cmd/internal/bench/contender"
	"github.com/mss-federation/mss/cmd/internal/bench/voice"
)

// relayBudget is the most that our relay may cost, as a multiple of the anchor.
const relayBudget = 0.7

// relayProgress is one run of a relay on one line.
func relayProgress(r voice.Result) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-12s %d packets/s  %.2f CPU-s/million (the ends: %.2f)", r.Relay, r.Load.Rate(), r.PerMillion(), r.TalkersPerMillion())
	count := counter(&b)
	count(r.Sent-r.Received, "lost")
	count(r.Overtaken, "overtaken")
	count(r.Strange, "strange")
	count(r.Dropped, "without room at the relay")
	count(r.Unheard, "without room at the ends")
	caveats(&b, r.Others, r.Elapsed, r.Load.Length)
	if r.Said != "" {
		b.WriteString("\n    the relay: " + r.Said)
	}
	return b.String()
}

// relayCosts are the runs of a relay.
func relayCosts(results []voice.Result, name string) costs {
	var c costs
	for _, r := range results {
		if r.Relay == name {
			c = append(c, r.PerMillion())
		}
	}
	slices.Sort(c)
	return c
}

// relayTable is Markdown, to be put into deploy/bench/README.md as it is.
func relayTable(results []voice.Result, relays []contender.Relay) string {
	var b strings.Builder
	b.WriteString("| packets/s | | CPU-s per million: median | min | max | × rtpengine | budget | sent | lost | overtaken | strange | used by others |\n")
	b.WriteString("|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n")
	anchor := relayCosts(results, contender.RelayAnchor)
	for _, relay := range relays {
		c := relayCosts(results, relay.Name)
		if len(c) == 0 {
			continue
		}
		budget := ""
		if relay.Name == contender.RelayMedia {
			budget = fmt.Sprintf("%.1f", relayBudget)
		}
		var sum voice.Result
		worst := 0.0
		for _, r := range results {
			if r.Relay == relay.Name {
				sum.Load, sum.Sent, sum.Received = r.Load, sum.Sent+r.Sent, sum.Received+r.Received
				sum.Overtaken, sum.Strange = sum.Overtaken+r.Overtaken, sum.Strange+r.Strange
				worst = max(worst, share(r.Others, r.Elapsed))
			}
		}
		fmt.Fprintf(&b, "| %d | %s | %.2f | %.2f | %.2f | %s | %s | %d | %d | %d | %d | %.0f %% |\n",
			sum.Load.Rate(), relay.Name, c.median(), c[0], c[len(c)-1], times(c.ratio(anchor)), budget,
			sum.Sent, sum.Sent-sum.Received, sum.Overtaken, sum.Strange, 100*worst)
	}
	return b.String()
}

// relays judges what was relayed, and what it cost.
func (v *verdict) relays(results []voice.Result) {
	void := false
	for _, r := range results {
		bad := r.Sent == 0 || r.Loss() > maxLoss || r.Strange > 0
		if r.Relay == contender.RelayAnchor {
			void = void || bad
			continue
		}
		v.say(!bad && r.Overtaken == 0, "%s: %d voice packets sent, %d received: %.3f %% lost, at most %.1f %% may be; %d overtaken, %d strange",
			r.Relay, r.Sent, r.Received, 100*r.Loss(), 100*maxLoss, r.Overtaken, r.Strange)
	}
	if x := relayCosts(results, contender.RelayMedia).ratio(relayCosts(results, contender.RelayAnchor)); x > 0 {
		v.say(x <= relayBudget, "%s costs %.2f × %s a packet, budget %.1f ×", contender.RelayMedia, x, contender.RelayAnchor, relayBudget)
	}
	v.quiet(!void && !slices.ContainsFunc(results, func(r voice.Result) bool {
		return share(r.Others, r.Elapsed) > noisy || overdue(r.Elapsed, r.Load.Length)
	}))
}
