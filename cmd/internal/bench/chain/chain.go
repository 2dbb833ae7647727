// Package chain runs the whole way of a call between offices, as the processes that it is in production: a phone, its
// office, a hub, the other office, the other phone. The trunks are TLS with certificates of the domain. It counts calls
// and voice packets, and what the nodes had to send again. It prints nothing and judges nothing. Start at [Open].
package chain

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/mss-federation/mss/cmd/internal/bench/contender"
	"github.com/mss-federation/mss/cmd/internal/rig/node"
)

// Options say where the programs and scenarios are.
type Options struct {
	Bin   string // folder of our built programs
	Files string // deploy/bench
}

// Chain is two offices and the hub between them.
type Chain struct {
	opt      Options
	dir      string
	hub      *node.Hub
	london   *node.Node // where calls begin
	hongkong *node.Node
	caller   netip.Addr     // of SIPp, which london knows by it
	callee   netip.AddrPort // of SIPp, where hongkong sends the calls for its number
	runs     int
}

// The users: SIPp is known by address at both ends, the phones with voice by password.
const (
	sippCaller, sippCalled   = "4001", "1001"
	voiceCaller, voiceCalled = "4003", "1003"
	password                 = "kettle-bridge-chain-lamp"
)

// Open starts everything and waits until calls can pass. The caller ends it with Close.
func Open(ctx context.Context, opt Options) (*Chain, error) {
	dir, err := os.MkdirTemp("", "mss-chain-")
	if err != nil {
		return nil, fmt.Errorf("open chain: %w", err)
	}
	c := &Chain{opt: opt, dir: dir, caller: node.NewAddress()}
	if err := c.start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open chain: %w", err), c.Close())
	}
	return c, nil
}

func (c *Chain) start(ctx context.Context) (err error) {
	if c.callee, err = contender.FreePort(node.NewAddress()); err != nil {
		return err
	}
	if c.hub, err = node.StartHub(ctx, node.HubOptions{Bin: c.opt.Bin}); err != nil {
		return err
	}
	c.london, err = c.office(ctx, "london", "4xxx", fmt.Sprintf("  - {name: %q, password: %q, addresses: [%q]}\n  - {name: %q, password: %q}\n",
		sippCaller, password, c.caller, voiceCaller, password))
	if err != nil {
		return err
	}
	c.hongkong, err = c.office(ctx, "hongkong", "1xxx", fmt.Sprintf("  - {name: %q, target: %q}\n  - {name: %q, password: %q}\n",
		sippCalled, c.callee, voiceCalled, password))
	if err != nil {
		return err
	}
	return errors.Join(c.london.WaitUplink(ctx, c.hub.Name()), c.hongkong.WaitUplink(ctx, c.hub.Name()),
		c.hub.WaitRoutes(ctx, c.london.Site(), c.hongkong.Site()), c.hub.WaitTakesCalls(ctx))
}

func (c *Chain) office(ctx context.Context, site, numbers, users string) (*node.Node, error) {
	if err := c.hub.AddSite(ctx, site, numbers); err != nil {
		return nil, err
	}
	token, err := c.hub.SiteToken(ctx, site)
	if err != nil {
		return nil, err
	}
	return node.Start(ctx, node.Options{Bin: c.opt.Bin, Site: site, Numbers: []string{numbers}, Token: token, Extra: "users:\n" + users})
}

// Close ends what Open started, and says if anything was left behind.
func (c *Chain) Close() error {
	var errs []error
	for _, office := range []*node.Node{c.london, c.hongkong} {
		if office != nil {
			errs = append(errs, office.Stop(), office.Remove())
		}
	}
	if c.hub != nil {
		errs = append(errs, c.hub.Stop(), c.hub.Remove())
	}
	return errors.Join(append(errs, os.RemoveAll(c.dir))...)
}

// folder makes one for a program that the next run starts.
func (c *Chain) folder(name string) (string, error) {
	dir := filepath.Join(c.dir, fmt.Sprintf("%d-%s", c.runs, name))
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", fmt.Errorf("prepare: %w", err)
	}
	return dir, nil
}

// Repeats is what a node had to send again since it started.
type Repeats struct {
	Node   string
	Finals uint64 // final responses
	All    uint64 // all messages
	Again  uint64 // requests that came again
}

// Repeats asks each node, in the order in which a call passes them.
func (c *Chain) Repeats(ctx context.Context) ([]Repeats, error) {
	var all []Repeats
	for _, n := range []struct {
		name string
		ctl  func(context.Context, ...string) (string, error)
	}{
		{"office " + c.london.Site(), c.london.Ctl},
		{"hub " + c.hub.Name(), c.hub.Ctl},
		{"office " + c.hongkong.Site(), c.hongkong.Ctl},
	} {
		text, err := n.ctl(ctx, "status", "-o", "json")
		if err != nil {
			return nil, err
		}
		r, err := readRepeats(n.name, text)
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, nil
}

func readRepeats(name, status string) (Repeats, error) {
	var s struct {
		Counters []struct {
			Name  string
			Value uint64
		}
	}
	if err := json.Unmarshal([]byte(status), &s); err != nil {
		return Repeats{}, fmt.Errorf("status of %s: %w", name, err)
	}
	r, found := Repeats{Node: name}, 0
	fields := map[string]*uint64{"sip_finals_sent_again": &r.Finals, "sip_sent_again": &r.All, "sip_requests_came_again": &r.Again}
	for _, counter := range s.Counters {
		if field := fields[counter.Name]; field != nil {
			*field = counter.Value
			found++
		}
	}
	if found != len(fields) {
		return r, fmt.Errorf("status of %s has %d of %d counters", name, found, len(fields))
	}
	return r, nil
}
