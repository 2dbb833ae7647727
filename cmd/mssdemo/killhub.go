package main

import (
	"context"
	"fmt"
	"time"

	"github.com/mss-federation/mss/cmd/internal/rig/node"
)

// killHub ends hub a and its directory in the call, and makes another call at once.
func (d *demonstration) killHub(ctx context.Context) error {
	for _, p := range d.call.parties() {
		p.Voice().Mark()
	}
	run, directory := d.hubA.PID(node.Supervisor), d.hubA.PID(node.Directory)
	killed, err := d.hubA.Kill()
	if err != nil {
		return err
	}
	d.killed = killed
	d.say("killed hub a, pid %d, and its directory, pid %d", run, directory)
	if err := d.callNext(ctx); err != nil {
		return err
	}
	if err := rest(ctx, talkTime); err != nil {
		return err
	}
	if err := d.voiceWentOn(ctx); err != nil {
		return err
	}
	return d.ctl(ctx, "hub b", d.hubB, "route", "list")
}

// callNext shows how long a call takes that is dialled right after the kill.
func (d *demonstration) callNext(ctx context.Context) error {
	after, began := since(d.killed), time.Now()
	c, err := d.connect(ctx, party{phone: d.neighbour, office: d.london}, party{phone: d.farNeighbour, office: d.hongkong})
	if err != nil {
		return fmt.Errorf("the next call: %w", err)
	}
	d.seen("the next call, dialled %v after the kill: from dialling to voice at both ends %v", after, since(began))
	return d.finish(ctx, c)
}

// voiceWentOn checks that both phones of the call still hear each other and missed nothing since the kill.
func (d *demonstration) voiceWentOn(ctx context.Context) error {
	if err := d.tones(ctx, d.call); err != nil {
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
