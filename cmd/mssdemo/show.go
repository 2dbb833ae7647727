package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"github.com/mss-federation/mss/cmd/internal/rig/node"
	"github.com/mss-federation/mss/cmd/internal/rig/phone"
)

// demonstration is the state that the steps share.
type demonstration struct {
	narrator

	opt              options
	hubA, hubB       *node.Hub
	london, hongkong *node.Node
	// caller and neighbour are phones in London, callee and farNeighbour are in Hong Kong.
	caller, neighbour, callee, farNeighbour *phone.Phone
	phones                                  []*phone.Phone

	call    conversation
	session string // the call's Session-ID
	killed  time.Time
	names   map[netip.AddrPort]string // what the nodes of earlier traces, some dead by now, call themselves
}

// show runs the steps and cleans up after them, whatever happens.
func show(ctx context.Context, opt options, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, opt.limit)
	defer cancel()
	d := &demonstration{narrator: narrator{out: out, began: time.Now()}, opt: opt, names: map[netip.AddrPort]string{}}
	fmt.Fprintln(out, "Two offices and two hubs: London, extensions 4xxx, and Hong Kong, 1xxx. Each has its server (an L-MSS) and phones\n"+
		"that really send voice; the hubs (T-MSS a and b) tell each other which numbers live where. London is at both hubs\n"+
		"and prefers a; Hong Kong is at b alone.")
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
		{"Begin the domain example.org with hub a and its directory", d.startHubA},
		{"Hub b joins", d.startHubB},
		{"London and Hong Kong join", d.startOffices},
		{"What the hubs know", d.routes},
		{"Register phones", d.register},
		{"4001 in London calls 1001 in Hong Kong", d.callFar},
		{"The call's SIP ladder, from the traces of both offices and both hubs", d.ladder},
		{"Hold and resume", d.hold},
		{"kill -9 of hub a and its directory, in the call", d.killHub},
		{"Hold and resume, without hub a", d.hold},
		{"Hang up", d.hangup},
		{"What the offices recorded", d.record},
		{"The ladder since the kill of hub a", d.ladderAfter},
		{"4001 in London calls 1001 in Hong Kong again", d.callFar},
		{"kill -9 of London's lmss signal, in the call", d.kill},
		{"Hang up", d.hangup},
		{"What the offices recorded", d.recordRecovered},
		{"The ladder since the kill of lmss signal", d.ladderAfter},
		{"4002 calls 4001: inside London, without a hub", d.callNear},
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
		d.seen("offices and hubs stopped; no process, port or file is left")
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

// nodes are those that were started, each before those that it needs.
func (d *demonstration) nodes() (all []namedNode) {
	for _, n := range []*node.Node{d.london, d.hongkong} {
		if n != nil {
			all = append(all, namedNode{n.Site(), n})
		}
	}
	for _, h := range []*node.Hub{d.hubB, d.hubA} {
		if h != nil {
			all = append(all, namedNode{"hub " + h.Name(), h})
		}
	}
	return all
}
