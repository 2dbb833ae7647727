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

// demonstration is the state that the steps share.
type demonstration struct {
	narrator

	opt      options
	hub      *node.Hub
	london   *node.Node
	hongkong *node.Node
	// caller and neighbour are phones in London, callee is one in Hong Kong.
	caller, neighbour, callee *phone.Phone
	phones                    []*phone.Phone
	call                      conversation
	session                   string // the call's Session-ID
	killed                    time.Time
}

// show runs the steps and cleans up after them, whatever happens.
func show(ctx context.Context, opt options, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, opt.limit)
	defer cancel()
	d := &demonstration{narrator: narrator{out: out, began: time.Now()}, opt: opt}
	fmt.Fprintln(out, "Two offices and a hub: London, extensions 4xxx, and Hong Kong, 1xxx. Each has its server (an L-MSS) and phones\n"+
		"that really send voice; the hub (a T-MSS) knows which numbers live where.")
	err := d.steps(ctx)
	err = errors.Join(err, d.stop())
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
		{"Begin the domain example.org with hub a and its directory", d.startHub},
		{"London and Hong Kong join", d.startOffices},
		{"What the hub knows", d.routes},
		{"Register phones", d.register},
		{"4001 in London calls 1001 in Hong Kong", d.callFar},
		{"The call's SIP ladder, from the traces of both offices and the hub", d.ladder},
		{"Hold and resume", d.hold},
		{"kill -9 of London's lmss signal, in the call", d.kill},
		{"Hang up", d.hangup},
		{"What the offices recorded", d.record},
		{"The ladder since the kill", d.ladderAfter},
		{"4002 calls 4001: inside London, without the hub", d.callNear},
	} {
		d.heading(s.heading)
		if err := s.run(ctx); err != nil {
			return err
		}
	}
	return nil
}

// running is a node of either kind.
type running interface {
	Stop() error
	Log() string
	Remove() error
}

// stop stops everything and looks for what was left. A failed demonstration shows the nodes' logs.
func (d *demonstration) stop() error {
	d.heading("Stop everything")
	var errs []error
	for _, p := range d.phones {
		p.Close()
		// After a kill a node cannot know what was acknowledged a moment before.
		for _, v := range p.Violations(phone.RuleRepeat, phone.RuleInterval) {
			errs = append(errs, fmt.Errorf("phone %s was sent something wrong: %v", p.Name(), v))
		}
	}
	nodes := d.nodes()
	for _, n := range nodes {
		errs = append(errs, n.run.Stop())
	}
	if errors.Join(errs...) != nil {
		for _, n := range nodes {
			d.say("the log of %s:", n.name)
			d.block(n.run.Log())
		}
	} else if len(nodes) > 0 {
		d.seen("the offices and the hub stopped; no process, port or file is left")
	}
	for _, n := range nodes {
		errs = append(errs, n.run.Remove())
	}
	return errors.Join(errs...)
}

type namedNode struct {
	name string
	run  running
}

// nodes are those that run, the offices before the hub that they need.
func (d *demonstration) nodes() (all []namedNode) {
	for _, n := range []*node.Node{d.london, d.hongkong} {
		if n != nil {
			all = append(all, namedNode{n.Site(), n})
		}
	}
	if d.hub != nil {
		all = append(all, namedNode{"hub " + d.hub.Name(), d.hub})
	}
	return all
}
