package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/mss-federation/mss/cmd/internal/rig/node"
	"github.com/mss-federation/mss/cmd/internal/rig/phone"
)

// kill ends the signalling process and looks at what the phones notice.
func (d *demonstration) kill(ctx context.Context) error {
	d.out.Voice().Mark()
	d.in.Voice().Mark()
	old := d.node.PID(node.Signal)
	killed, err := d.node.KillSignal()
	if err != nil {
		return err
	}
	d.say("killed pid %d", old)
	fresh, err := d.node.WaitRestarted(ctx, node.Signal, old)
	if err != nil {
		return err
	}
	d.seen("lmss run started it again: pid %d, %v after the kill", fresh, since(killed))
	back, err := d.callee.WaitRegistered(ctx, killed)
	if err != nil {
		return err
	}
	d.seen("4002's TCP connection closed with the process; it connected and registered again %v after the kill",
		back.Sub(killed).Round(time.Millisecond))
	if err := d.out.Refresh(ctx); err != nil {
		return fmt.Errorf("re-INVITE after the kill: %w", err)
	}
	d.seen("the call answers again: a re-INVITE got its 200 %v after the kill", since(killed))
	if err := d.tones(ctx); err != nil {
		return err
	}
	if err := rest(ctx, talkTime); err != nil {
		return err
	}
	for name, c := range map[string]*phone.Call{callerName: d.out, calleeName: d.in} {
		s := c.Stats()
		// Counted from the kill on: what was on its way when the call was held went to nobody, rightly.
		if s.MaxSeqGap != 0 {
			return fmt.Errorf("phone %s missed %d packets in a row across the kill", name, s.MaxSeqGap)
		}
	}
	d.seen("voice went on: 0 packets missing at either phone across the kill")
	d.statistics()
	return nil
}

func (d *demonstration) hangup(ctx context.Context) error {
	began := time.Now()
	if err := d.in.Hangup(ctx); err != nil {
		return err
	}
	d.seen("4002 hung up: 200 to its BYE after %v", since(began))
	if err := d.out.WaitEnded(ctx); err != nil {
		return err
	}
	d.seen("4001 was told: the call ended there %v later", since(began))
	return nil
}

// record is what mssctl prints of an ended call, as far as it is checked here.
type record struct {
	CallID      string `json:"call_id"`
	End         string `json:"end"`
	Reason      string `json:"reason"`
	Recovered   bool   `json:"recovered"`
	CallerVoice relay  `json:"caller_voice"`
	CalleeVoice relay  `json:"callee_voice"`
}

// relay counts packets at the office: sent to the phone, and received from it.
type relay struct {
	Sent     json.Number `json:"sent"`
	Received json.Number `json:"received"`
}

func (d *demonstration) record(ctx context.Context) error {
	if err := d.ctl(ctx, "cdr", "list"); err != nil {
		return err
	}
	text, err := d.node.Ctl(ctx, "cdr", "list", "-o", "json")
	if err != nil {
		return err
	}
	var all, mine []record
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		return fmt.Errorf("read records: %w", err)
	}
	for _, r := range all {
		if r.CallID == d.out.ID() {
			mine = append(mine, r)
		}
	}
	if len(mine) != 1 {
		return fmt.Errorf("the call has %d records, not one", len(mine))
	}
	d.seen("one record of the call: %s (%s), recovered: %v", mine[0].End, mine[0].Reason, mine[0].Recovered)
	if err := d.counts(mine[0]); err != nil {
		return err
	}
	return d.ladderAfter(ctx)
}

// counts compares what the relay counted with what the phones did.
func (d *demonstration) counts(r record) error {
	const tolerance = 0.01
	out, in := d.out.Stats(), d.in.Stats()
	for _, c := range []struct {
		what  string
		relay json.Number
		phone uint64
	}{
		{"from 4001", r.CallerVoice.Received, out.Sent},
		{"to 4001", r.CallerVoice.Sent, out.Received},
		{"from 4002", r.CalleeVoice.Received, in.Sent},
		{"to 4002", r.CalleeVoice.Sent, in.Received},
	} {
		counted, err := c.relay.Float64()
		if err != nil {
			return fmt.Errorf("the record's packets %s: %w", c.what, err)
		}
		if off := math.Abs(counted-float64(c.phone)) / float64(max(c.phone, 1)); off > tolerance {
			return fmt.Errorf("the relay counted %.0f packets %s, the phone %d", counted, c.what, c.phone)
		}
		d.seen("the relay counted %.0f packets %s, the phone %d", counted, c.what, c.phone)
	}
	return nil
}

// ladderAfter shows that the new process traced the call that it took over.
func (d *demonstration) ladderAfter(ctx context.Context) error {
	text, err := d.node.Ctl(ctx, "call", "trace", d.out.ID())
	if err != nil {
		return err
	}
	d.say("the ladder of the process that took over:")
	d.block(text)
	if !strings.Contains(text, "BYE") {
		return fmt.Errorf("the ladder after the kill has no BYE")
	}
	d.seen("the ladder after the kill has the re-INVITE and the BYE")
	return nil
}

// again makes a new call and says how long it took.
func (d *demonstration) again(ctx context.Context) error {
	if err := d.call(ctx); err != nil {
		return err
	}
	return d.hangup(ctx)
}
