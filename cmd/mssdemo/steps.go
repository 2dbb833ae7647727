package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/mss-federation/mss/cmd/internal/rig/node"
	"github.com/mss-federation/mss/cmd/internal/rig/phone"
	"github.com/mss-federation/mss/cmd/internal/rig/voice"
)

const talkTime = time.Second

func (d *demonstration) start(ctx context.Context) error {
	began := time.Now()
	n, err := node.Start(ctx, node.Options{Bin: d.opt.bin, Addr: d.opt.listen, Port: d.opt.port, Users: accounts()})
	if err != nil {
		return err
	}
	d.node = n
	d.seen("lmss run: pid %d, SIP on udp %v and tcp %v, ready after %v", n.PID(node.Supervisor), n.UDP(), n.TCP(), since(began))
	d.seen("lmss signal: pid %d (decides about calls)", n.PID(node.Signal))
	d.seen("lmss media: pid %d (carries voice)", n.PID(node.Media))
	d.say("everything is in %s", n.Dir())
	return nil
}

func since(t time.Time) time.Duration { return time.Since(t).Round(time.Millisecond) }

func (d *demonstration) register(ctx context.Context) error {
	var err error
	if d.caller, err = d.phone(callerName, phone.UDP, d.node, callerTone); err != nil {
		return err
	}
	if d.callee, err = d.phone(calleeName, phone.TCP, d.node, calleeTone); err != nil {
		return err
	}
	for _, p := range []*phone.Phone{d.caller, d.callee} {
		if err := p.Register(ctx); err != nil {
			return err
		}
		d.seen("phone %s registered over %v with its password (digest)", p.Name(), p.Transport())
	}
	return d.ctl(ctx, "registration", "list")
}

func (d *demonstration) phone(name string, transport phone.Transport, n *node.Node, tone float64) (*phone.Phone, error) {
	registrar := n.UDP()
	if transport == phone.TCP {
		registrar = n.TCP()
	}
	return phone.New(phone.Options{
		Name: name, Password: passwordOf(name), Registrar: registrar, Transport: transport, Tone: tone,
	})
}

// ctl runs mssctl and shows command and output.
func (d *demonstration) ctl(ctx context.Context, args ...string) error {
	text, err := d.node.Ctl(ctx, args...)
	if err != nil {
		return err
	}
	d.say("$ mssctl %s", strings.Join(args, " "))
	d.block(text)
	return nil
}

func (d *demonstration) call(ctx context.Context) error {
	began := time.Now()
	var err error
	if d.out, err = d.caller.Dial(ctx, calleeName); err != nil {
		return err
	}
	if d.in, err = d.callee.WaitIncoming(ctx); err != nil {
		return err
	}
	if err := d.in.Ring(); err != nil {
		return err
	}
	if err := d.out.WaitRinging(ctx); err != nil {
		return err
	}
	d.seen("4002 rings after %v", since(began))
	if err := d.in.Answer(); err != nil {
		return err
	}
	if err := d.out.WaitAnswered(ctx); err != nil {
		return err
	}
	d.seen("4002 answered")
	if err := d.tones(ctx); err != nil {
		return err
	}
	for name, c := range map[string]*phone.Call{callerName: d.out, calleeName: d.in} {
		if c.RemoteVoice().Addr() != d.node.Addr() {
			return fmt.Errorf("phone %s was told to send voice to %v, which is not its office", name, c.RemoteVoice())
		}
	}
	d.seen("both phones send their voice to their own office, %v", d.node.Addr())
	if err := rest(ctx, talkTime); err != nil {
		return err
	}
	d.statistics()
	return nil
}

// tones checks that each phone hears the other's tone, and not its own.
func (d *demonstration) tones(ctx context.Context) error {
	for _, side := range []struct {
		name     string
		call     *phone.Call
		far, own float64
	}{{callerName, d.out, calleeTone, callerTone}, {calleeName, d.in, callerTone, calleeTone}} {
		if err := side.call.Voice().WaitTone(ctx, side.far); err != nil {
			return fmt.Errorf("phone %s: %w", side.name, err)
		}
		if side.call.Voice().Contains(side.own) {
			return fmt.Errorf("phone %s hears its own tone of %.0f Hz", side.name, side.own)
		}
		d.seen("%s hears %.0f Hz and not its own %.0f Hz", side.name, side.far, side.own)
	}
	return nil
}

func (d *demonstration) statistics() {
	d.block(fmt.Sprintf("%-6s %6s %9s %5s %9s %14s", "phone", "sent", "received", "lost", "jitter", "longest gap"))
	for _, side := range []struct {
		name  string
		stats voice.Stats
	}{{callerName, d.out.Stats()}, {calleeName, d.in.Stats()}} {
		s := side.stats
		d.block(fmt.Sprintf("%-6s %6d %9d %5d %9v %14v", side.name, s.Sent, s.Received, s.Lost,
			s.Jitter.Round(10*time.Microsecond), s.MaxSilence.Round(time.Millisecond)))
	}
}

func (d *demonstration) hold(ctx context.Context) error {
	if err := d.out.Hold(ctx); err != nil {
		return err
	}
	if err := d.out.Voice().WaitSilence(ctx); err != nil {
		return fmt.Errorf("phone 4001, on hold: %w", err)
	}
	d.seen("4001 holds the call and hears silence")
	if err := d.out.Resume(ctx); err != nil {
		return err
	}
	if err := d.out.Voice().WaitTone(ctx, calleeTone); err != nil {
		return fmt.Errorf("phone 4001, resumed: %w", err)
	}
	d.seen("4001 resumes and hears %.0f Hz again", calleeTone)
	return nil
}

func (d *demonstration) ladder(ctx context.Context) error {
	text, err := d.node.Ctl(ctx, "call", "trace", d.out.ID())
	if err != nil {
		return err
	}
	d.block(text)
	for _, message := range []string{"INVITE", "100", "180", "200", "ACK"} {
		if !strings.Contains(text, message) {
			return fmt.Errorf("the ladder has no %s", message)
		}
	}
	d.seen("the ladder has INVITE, 100, 180, 200 and ACK")
	return nil
}

func rest(ctx context.Context, t time.Duration) error {
	timer := time.NewTimer(t)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return fmt.Errorf("no time left: %w", ctx.Err())
	case <-timer.C:
		return nil
	}
}
