package main

import (
	"context"
	"fmt"
	"time"

	"github.com/mss-federation/mss/cmd/internal/rig/node"
)

// kill ends London's signalling process and looks at what the phones notice.
func (d *demonstration) kill(ctx context.Context) error {
	for _, p := range d.call.parties() {
		p.Voice().Mark()
	}
	old := d.london.PID(node.Signal)
	killed, err := d.london.KillSignal()
	if err != nil {
		return err
	}
	d.killed = killed
	d.say("killed pid %d", old)
	fresh, err := d.london.WaitRestarted(ctx, node.Signal, old)
	if err != nil {
		return err
	}
	d.seen("lmss run started it again: pid %d, %v after the kill", fresh, since(killed))
	if err := d.callAnswers(ctx, killed); err != nil {
		return err
	}
	if err := d.tones(ctx, d.call); err != nil {
		return err
	}
	if err := rest(ctx, talkTime); err != nil {
		return err
	}
	for _, p := range d.call.parties() {
		// Counted from the kill on: what was on its way when the call was held went to nobody, rightly.
		if s := p.Stats(); s.MaxSeqGap != 0 {
			return fmt.Errorf("phone %s missed %d packets in a row across the kill", p.name(), s.MaxSeqGap)
		}
	}
	d.seen("voice went on: 0 packets missing at either phone across the kill")
	d.statistics(d.call)
	return nil
}

// callAnswers shows that the new process can be talked to, by phones and through the hub.
func (d *demonstration) callAnswers(ctx context.Context, killed time.Time) error {
	if err := d.call.out.Refresh(ctx); err != nil {
		return fmt.Errorf("re-INVITE after the kill: %w", err)
	}
	d.seen("the call answers again, through the hub: a re-INVITE of %s got its 200 from Hong Kong %v after the kill",
		d.call.out.name(), since(killed))
	back, err := d.neighbour.WaitRegistered(ctx, killed)
	if err != nil {
		return err
	}
	d.seen("%s's TCP connection closed with the process; it connected and registered again %v after the kill",
		d.neighbour.Name(), back.Sub(killed).Round(time.Millisecond))
	if err := d.london.WaitUplink(ctx, d.hub.Name()); err != nil {
		return err
	}
	return d.ctl(ctx, "hub a", d.hub, "peer", "list")
}
