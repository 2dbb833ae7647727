package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/mss-federation/mss/cmd/internal/rig/node"
	"github.com/mss-federation/mss/cmd/internal/rig/phone"
)

func since(t time.Time) time.Duration { return time.Since(t).Round(time.Millisecond) }

func (d *demonstration) startHubA(ctx context.Context) (err error) {
	if d.hubA, err = d.startHub(ctx, "tmss init", node.HubOptions{Hub: "a", Addr: d.opt.hubA}); err != nil {
		return err
	}
	d.seen("hub a: tmss directory: pid %d (etcd: which hubs and offices there are)", d.hubA.PID(node.Directory))
	return nil
}

func (d *demonstration) startHubB(ctx context.Context) error {
	token, err := d.hubA.HubToken(ctx, "b")
	if err != nil {
		return err
	}
	d.say("$ mssctl hub token b   (at hub a)")
	d.hubB, err = d.startHub(ctx, "tmss join "+token[:8]+"...", node.HubOptions{Hub: "b", Addr: d.opt.hubB, Token: token})
	if err != nil {
		return err
	}
	if err := errors.Join(d.hubA.WaitPeer(ctx, "hub/b"), d.hubB.WaitPeer(ctx, "hub/a"), d.hubB.WaitTakesCalls(ctx)); err != nil {
		return err
	}
	d.seen("hub b found hub a in the directory; each proved to the other who it is")
	return nil
}

func (d *demonstration) startHub(ctx context.Context, birth string, opt node.HubOptions) (*node.Hub, error) {
	began := time.Now()
	opt.Bin = d.opt.bin
	h, err := node.StartHub(ctx, opt)
	if err != nil {
		return nil, err
	}
	d.say("$ %s; tmss run   (in %s)", birth, h.Dir())
	d.seen("hub %s: tmss run: pid %d, SIP on tls %v, routes and enrolment on %v, ready after %v",
		h.Name(), h.PID(node.Supervisor), h.TLS(), h.GRPC(), since(began))
	return h, nil
}

func (d *demonstration) startOffices(ctx context.Context) (err error) {
	if d.london, err = d.startOffice(ctx, node.Options{
		Site: "london", Numbers: []string{londonNumbers}, Users: londoners(), Addr: d.opt.listen, Port: d.opt.port, Extra: "uplinks: [a, b]",
	}); err != nil {
		return err
	}
	d.hongkong, err = d.startOffice(ctx, node.Options{
		Site: "hongkong", Numbers: []string{hongkongNumbers}, Users: hongkongers(), Addr: d.opt.hongkong, Port: d.opt.port, Extra: "uplinks: [b]",
	})
	if err != nil {
		return err
	}
	if err := errors.Join(
		d.london.WaitUplink(ctx, "a"), d.london.WaitUplink(ctx, "b"), d.hongkong.WaitUplink(ctx, "b"),
		d.hubA.WaitRoutes(ctx, d.london.Site()), d.hubB.WaitRoutes(ctx, d.london.Site(), d.hongkong.Site()),
		d.hubA.WaitPath(ctx, hongkongNumbers, "hub/b"),
	); err != nil {
		return err
	}
	d.seen("London dialled hubs a and b over TLS, Hong Kong hub b; they proved who they are, and announced their numbers")
	return nil
}

// startOffice gives the office its numbers at the hub, lets it join with a token, and starts it.
func (d *demonstration) startOffice(ctx context.Context, opt node.Options) (*node.Node, error) {
	if err := d.hubA.AddSite(ctx, opt.Site, opt.Numbers...); err != nil {
		return nil, err
	}
	var err error
	opt.Bin = d.opt.bin
	if opt.Token, err = d.hubA.SiteToken(ctx, opt.Site); err != nil {
		return nil, err
	}
	began := time.Now()
	n, err := node.Start(ctx, opt)
	if err != nil {
		return nil, err
	}
	d.say("$ mssctl site add %s --prefix %s; mssctl site token %s   (at hub a)", opt.Site, strings.Join(opt.Numbers, ","), opt.Site)
	d.say("$ lmss join %s...; lmss run   (in %s, with %s)", opt.Token[:8], n.Dir(), opt.Extra)
	d.seen("%s: lmss run: pid %d, SIP on udp %v, tcp %v and tls %v, ready after %v", opt.Site, n.PID(node.Supervisor), n.UDP(), n.TCP(), n.TLS(), since(began))
	d.seen("%s: lmss signal: pid %d (decides about calls)", opt.Site, n.PID(node.Signal))
	d.seen("%s: lmss media: pid %d (carries voice)", opt.Site, n.PID(node.Media))
	return n, nil
}

// controlled is a node that mssctl asks.
type controlled interface {
	Ctl(ctx context.Context, args ...string) (string, error)
}

// ctl runs mssctl and shows command and output.
func (d *demonstration) ctl(ctx context.Context, where string, n controlled, args ...string) error {
	text, err := n.Ctl(ctx, args...)
	if err != nil {
		return err
	}
	d.say("$ mssctl %s   (at %s)", strings.Join(args, " "), where)
	d.block(text)
	return nil
}

func (d *demonstration) routes(ctx context.Context) error {
	for _, h := range []*node.Hub{d.hubA, d.hubB} {
		for _, what := range []string{"route", "peer"} {
			if err := d.ctl(ctx, "hub "+h.Name(), h, what, "list"); err != nil {
				return err
			}
		}
	}
	d.seen("%s leads to Hong Kong, from hub a over hub b; %s leads to London from both", hongkongNumbers, londonNumbers)
	return d.ctl(ctx, "london", d.london, "peer", "list")
}

func (d *demonstration) register(ctx context.Context) error {
	for _, p := range []struct {
		made      **phone.Phone
		name      string
		transport phone.Transport
		office    *node.Node
	}{
		{&d.caller, callerName, phone.UDP, d.london},
		{&d.neighbour, neighbourName, phone.TCP, d.london},
		{&d.callee, calleeName, phone.TCP, d.hongkong},
		{&d.farNeighbour, farNeighbour, phone.UDP, d.hongkong},
	} {
		made, err := d.phone(phone.Options{Name: p.name, Transport: p.transport}, p.office)
		if err != nil {
			return err
		}
		*p.made = made
		if err := made.Register(ctx); err != nil {
			return err
		}
		d.seen("phone %s registered in %s over %v with its password (digest)", p.name, p.office.Site(), p.transport)
	}
	return d.ctl(ctx, "london", d.london, "registration", "list")
}

// phone makes a phone of an office that is closed at the end.
func (d *demonstration) phone(opt phone.Options, office *node.Node) (*phone.Phone, error) {
	opt.Registrar = office.UDP()
	if opt.Transport == phone.TCP {
		opt.Registrar = office.TCP()
	}
	opt.Password, opt.Tone = passwordOf(opt.Name), tones[opt.Name]
	p, err := phone.New(opt)
	if err != nil {
		return nil, err
	}
	d.phones = append(d.phones, p)
	return p, nil
}

// checkAddress says whether a phone was told to send its voice to its own office.
func checkAddress(name string, told, office netip.Addr) error {
	if told != office {
		return fmt.Errorf("phone %s was told to send voice to %v, which is not its office's %v", name, told, office)
	}
	return nil
}
