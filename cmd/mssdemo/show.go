package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/mss-federation/mss/cmd/internal/rig/node"
	"github.com/mss-federation/mss/cmd/internal/rig/phone"
)

const (
	callerName = "4001"
	calleeName = "4002"
	callerTone = 440.0 // hertz; neither is a harmonic of the other
	calleeTone = 620.0
)

// demonstration is the state that the steps share.
type demonstration struct {
	narrator

	opt            options
	node           *node.Node
	caller, callee *phone.Phone
	out, in        *phone.Call // the call, at its two ends
}

// show runs the steps and cleans up after them, whatever happens.
func show(ctx context.Context, opt options, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, opt.limit)
	defer cancel()
	d := &demonstration{narrator: narrator{out: out, began: time.Now()}, opt: opt}
	fmt.Fprintln(out, "One office: London, extensions 4xxx. Its server (an L-MSS) and two phones that really send voice.")
	err := d.steps(ctx)
	err = errors.Join(err, d.end())
	if err != nil {
		return &failure{step: fmt.Sprintf("step %d failed after %.1f s", d.step, time.Since(d.began).Seconds()), err: err}
	}
	fmt.Fprintf(out, "\nAll of it worked, in %.1f s.\n", time.Since(d.began).Seconds())
	return nil
}

func (d *demonstration) steps(ctx context.Context) error {
	for _, s := range []struct {
		heading string
		run     func(context.Context) error
	}{
		{"Start the office", d.start},
		{"Register two phones", d.register},
		{"4001 calls 4002", d.call},
		{"Hold and resume", d.hold},
		{"The call's SIP ladder, from the office's own trace", d.ladder},
		{"kill -9 of lmss signal, in the call", d.kill},
		{"Hang up", d.hangup},
		{"What the office recorded", d.record},
		{"Another call: what the restarted process does with a new one", d.again},
	} {
		d.heading(s.heading)
		if err := s.run(ctx); err != nil {
			return err
		}
	}
	return nil
}

// end stops everything and looks for what was left. A failed demonstration shows the office's log.
func (d *demonstration) end() error {
	d.heading("Stop everything")
	var errs []error
	for _, p := range []*phone.Phone{d.caller, d.callee} {
		if p == nil {
			continue
		}
		p.Close()
		// After a kill a node cannot know what was acknowledged a moment before.
		for _, v := range p.Violations(phone.RuleRepeat, phone.RuleInterval) {
			errs = append(errs, fmt.Errorf("phone %s was sent something wrong: %v", p.Name(), v))
		}
	}
	if d.node == nil {
		return errors.Join(errs...)
	}
	errs = append(errs, d.node.Stop())
	if err := errors.Join(errs...); err != nil {
		d.say("the office's log:")
		d.block(d.node.Log())
		return errors.Join(err, d.node.Remove())
	}
	d.seen("the office stopped; no process, port or file is left")
	return d.node.Remove()
}
