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
	if err := rest(ctx, talkTime); err != nil {
		return err
	}
	return d.voiceWentOn(ctx)
}

// callAnswers shows that the new process can be talked to, by phones and over hub b.
func (d *demonstration) callAnswers(ctx context.Context, killed time.Time) error {
	if err := d.call.out.Refresh(ctx); err != nil {
		return fmt.Errorf("re-INVITE after the kill: %w", err)
	}
	d.seen("the call answers again, over hub b: a re-INVITE of %s got its 200 from Hong Kong %v after the kill",
		d.call.out.name(), since(killed))
	back, err := d.neighbour.WaitRegistered(ctx, killed)
	if err != nil {
		return err
	}
	d.seen("%s's TCP connection closed with the process; it connected and registered again %v after the kill",
		d.neighbour.Name(), back.Sub(killed).Round(time.Millisecond))
	if err := d.london.WaitUplink(ctx, d.hubB.Name()); err != nil {
		return err
	}
	return d.ctl(ctx, "hub b", d.hubB, "peer", "list")
}
