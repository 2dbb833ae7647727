// Package chain runs the whole way of a call between offices, as the processes that it is in production: a phone, its
// office, a hub, the hub of the other office, that office, the other phone. The trunks are TLS with certificates of the
// domain. It counts calls and voice packets, and what the nodes had to send again. It prints nothing and judges nothing.
// Start at [Open].
package chain

import (
	"context"
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
	// Apart runs the directory on its own: see [node.HubOptions].
	Apart bool
}

// Chain is two offices and the two hubs between them: london is attached to both hubs and prefers a, hongkong has b
// alone, so that its calls pass both.
type Chain struct {
	opt      Options
	dir      string
	a, b     *node.Hub
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
	if err = c.startHubs(ctx); err != nil {
		return err
	}
	c.london, err = c.office(ctx, "london", "4xxx", "a, b", fmt.Sprintf("  - {name: %q, password: %q, addresses: [%q]}\n  - {name: %q, password: %q}\n",
		sippCaller, password, c.caller, voiceCaller, password))
	if err != nil {
		return err
	}
	c.hongkong, err = c.office(ctx, "hongkong", "1xxx", "b", fmt.Sprintf("  - {name: %q, target: %q}\n  - {name: %q, password: %q}\n",
		sippCalled, c.callee, voiceCalled, password))
	if err != nil {
		return err
	}
	return c.WaitWhole(ctx)
}

func (c *Chain) startHubs(ctx context.Context) (err error) {
	if c.a, err = node.StartHub(ctx, node.HubOptions{Bin: c.opt.Bin, Hub: "a", Apart: c.opt.Apart}); err != nil {
		return err
	}
	token, err := c.a.HubToken(ctx, "b")
	if err != nil {
		return err
	}
	c.b, err = node.StartHub(ctx, node.HubOptions{Bin: c.opt.Bin, Hub: "b", Token: token})
	return err
}

// WaitWhole waits until each node has its sessions, trunks and routes, and calls from london pass both hubs.
func (c *Chain) WaitWhole(ctx context.Context) error {
	return errors.Join(c.london.WaitUplink(ctx, "a"), c.london.WaitUplink(ctx, "b"), c.hongkong.WaitUplink(ctx, "b"),
		c.b.WaitRoutes(ctx, c.london.Site(), c.hongkong.Site()), c.a.WaitPath(ctx, "1xxx", "hub/b"),
		c.a.WaitTakesCalls(ctx), c.b.WaitTakesCalls(ctx))
}

// Hubs are the two, in the order in which calls pass them.
func (c *Chain) Hubs() (a, b *node.Hub) { return c.a, c.b }

func (c *Chain) office(ctx context.Context, site, numbers, hubs, users string) (*node.Node, error) {
	if err := c.a.AddSite(ctx, site, numbers); err != nil {
		return nil, err
	}
	token, err := c.a.SiteToken(ctx, site)
	if err != nil {
		return nil, err
	}
	return node.Start(ctx, node.Options{Bin: c.opt.Bin, Site: site, Numbers: []string{numbers}, Token: token, Extra: "uplinks: [" + hubs + "]\nusers:\n" + users})
}

// Close ends what Open started, and says if anything was left behind.
func (c *Chain) Close() error {
	var errs []error
	for _, office := range []*node.Node{c.london, c.hongkong} {
		if office != nil {
			errs = append(errs, office.Stop(), office.Remove())
		}
	}
	for _, hub := range []*node.Hub{c.b, c.a} { // a has the directory
		if hub != nil {
			errs = append(errs, hub.Stop(), hub.Remove())
		}
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
