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

// up runs hubs and offices until ctx ends, for softphones of the operator's own.
func up(ctx context.Context, opt options, out io.Writer) error {
	d := &demonstration{narrator: narrator{out: out, began: time.Now()}, opt: opt}
	err := d.serve(ctx)
	if err = errors.Join(err, d.stop()); err != nil {
		return &failure{step: "demonstration", err: err}
	}
	return nil
}

func (d *demonstration) serve(ctx context.Context) error {
	d.heading("Begin the domain example.org with hub a and its directory")
	if err := d.startHubA(ctx); err != nil {
		return err
	}
	d.heading("Hub b joins")
	if err := d.startHubB(ctx); err != nil {
		return err
	}
	d.heading("London and Hong Kong join")
	if err := d.startOffices(ctx); err != nil {
		return err
	}
	for name, office := range map[string]*node.Node{toneName: d.london, farToneName: d.hongkong} {
		p, err := d.phone(phone.Options{Name: name, Local: office.Addr(), AutoAnswer: true, AnswerAfter: time.Second}, office)
		if err != nil {
			return err
		}
		if err := p.Register(ctx); err != nil {
			return err
		}
	}
	d.heading("Point softphones at it")
	d.explain()
	<-ctx.Done()
	return nil
}

// explain says how to call.
func (d *demonstration) explain() {
	d.office("London", d.london, londoners())
	d.office("Hong Kong", d.hongkong, hongkongers())
	d.say("%s and %s answer by themselves and send tones of %.0f and %.0f Hz.", toneName, farToneName, tones[toneName], tones[farToneName])
	d.say("Register a softphone as %s in London and call %s in Hong Kong; register another as %s and call it.", callerName, farToneName, calleeName)
	d.say("For example with baresip:")
	d.block(fmt.Sprintf("baresip -e '/uanew <sip:%s@%v>;auth_pass=%s' -e '/dial sip:%s@%v'", callerName, d.london.UDP(),
		passwordOf(callerName), farToneName, d.london.UDP()))
	d.say("A phone on another machine: start again with --listen and this machine's address, which becomes London's.")
	d.say("Look inside:")
	for _, dir := range []string{d.hubA.Dir(), d.hubB.Dir(), d.london.Dir(), d.hongkong.Dir()} {
		d.block(fmt.Sprintf("%s/mssctl --socket %s/admin.sock status", d.opt.bin, dir))
	}
	d.say("Ctrl-C ends it.")
}

// office says where an office is and who may register there; users that answer by themselves are ours.
func (d *demonstration) office(name string, n *node.Node, users []node.User) {
	d.say("%s, SIP server (registrar, proxy): %v over UDP, %v over TCP, %v over TLS", name, n.UDP(), n.TCP(), n.TLS())
	d.say("over TLS, a phone that checks certificates has to trust %s", n.AuthorityPath())
	d.say("realm %s; user and authentication name are the same", n.Realm())
	for _, u := range users[:len(users)-1] {
		d.seen("account %s, password %s", u.Name, u.Password)
	}
}
