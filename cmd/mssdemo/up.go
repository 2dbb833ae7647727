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

// up runs the office until ctx ends, for softphones of the operator's own.
func up(ctx context.Context, opt options, out io.Writer) error {
	d := &demonstration{narrator: narrator{out: out, began: time.Now()}, opt: opt}
	err := d.serve(ctx)
	if err = errors.Join(err, d.end()); err != nil {
		return &failure{step: "demonstration", err: err}
	}
	return nil
}

func (d *demonstration) serve(ctx context.Context) error {
	d.heading("Start the office")
	n, err := node.Start(ctx, node.Options{Bin: d.opt.bin, Addr: d.opt.listen, Port: d.opt.port, Users: accounts()})
	if err != nil {
		return err
	}
	d.node = n
	d.caller, err = phone.New(phone.Options{
		Name: toneName, Password: passwordOf(toneName), Registrar: n.UDP(), Local: n.Addr(), Tone: callerTone,
		AutoAnswer: true, AnswerAfter: time.Second,
	})
	if err != nil {
		return err
	}
	if err := d.caller.Register(ctx); err != nil {
		return err
	}
	d.heading("Point a softphone at it")
	d.say("SIP server (registrar, proxy): %v over UDP, %v over TCP", n.UDP(), n.TCP())
	d.say("realm %s; user and authentication name are the same", n.Realm())
	for _, u := range accounts()[:2] {
		d.seen("account %s, password %s", u.Name, u.Password)
	}
	d.say("Register one softphone as %s, call %s: it answers and sends a tone of %.0f Hz.", callerName, toneName, callerTone)
	d.say("Register another as %s and call it. For example with baresip:", calleeName)
	d.block(fmt.Sprintf("baresip -e '/uanew <sip:%s@%v>;auth_pass=%s' -e '/dial sip:%s@%v'", callerName, n.UDP(),
		passwordOf(callerName), toneName, n.UDP()))
	d.say("A phone on another machine: start again with --listen and this machine's address.")
	d.say("Look inside: %s/mssctl --socket %s/admin.sock status", d.opt.bin, n.Dir())
	d.say("Ctrl-C ends it.")
	<-ctx.Done()
	return nil
}
