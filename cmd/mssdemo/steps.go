package main

import (
	"context"
	"fmt"
	"time"

	"github.com/mss-federation/mss/cmd/internal/rig/node"
	"github.com/mss-federation/mss/cmd/internal/rig/phone"
	"github.com/mss-federation/mss/cmd/internal/rig/voice"
)

// talkTime is long enough for what is under way when a call is answered, held and hung up to be less than one packet in a
// hundred.
const talkTime = 4 * time.Second

// conversation is a call between two parties.
type conversation struct{ out, in party }

// party is a phone, its office and its end of the call.
type party struct {
	*phone.Call

	phone  *phone.Phone
	office *node.Node
}

func (p party) name() string  { return p.phone.Name() }
func (p party) tone() float64 { return tones[p.name()] }

func (c conversation) parties() []party { return []party{c.out, c.in} }

// far is what p is to hear.
func (c conversation) far(p party) float64 {
	if p.phone == c.out.phone {
		return c.in.tone()
	}
	return c.out.tone()
}

func (d *demonstration) callFar(ctx context.Context) (err error) {
	d.call, err = d.connect(ctx, party{phone: d.caller, office: d.london}, party{phone: d.callee, office: d.hongkong})
	if err != nil {
		return err
	}
	traced, err := traceOf(ctx, d.london, d.call.out.ID())
	if err != nil {
		return err
	}
	if d.session, err = sessionOf(traced); err != nil {
		return err
	}
	if err := rest(ctx, talkTime); err != nil {
		return err
	}
	d.statistics(d.call)
	return nil
}

// connect makes a call and checks that both sides hear each other.
func (d *demonstration) connect(ctx context.Context, from, to party) (conversation, error) {
	c := conversation{from, to}
	began := time.Now()
	var err error
	if c.out.Call, err = c.out.phone.Dial(ctx, c.in.name()); err != nil {
		return c, err
	}
	if c.in.Call, err = d.arrival(ctx, c); err != nil {
		return c, err
	}
	if err := c.in.Ring(); err != nil {
		return c, err
	}
	if err := c.out.WaitRinging(ctx); err != nil {
		return c, err
	}
	d.seen("%s rings after %v", c.in.name(), since(began))
	if err := c.in.Answer(); err != nil {
		return c, err
	}
	if err := c.out.WaitAnswered(ctx); err != nil {
		return c, err
	}
	d.seen("%s answered", c.in.name())
	if err := d.tones(ctx, c); err != nil {
		return c, err
	}
	for _, p := range c.parties() {
		if err := checkAddress(p.name(), p.RemoteVoice().Addr(), p.office.Addr()); err != nil {
			return c, err
		}
		d.seen("%s sends its voice to its own office: %s, %v", p.name(), p.office.Site(), p.office.Addr())
	}
	return c, nil
}

// arrival waits for the call at the phone that it is for; a refusal on the way is the better error.
func (d *demonstration) arrival(ctx context.Context, c conversation) (*phone.Call, error) {
	select {
	case in := <-c.in.phone.Incoming():
		return in, nil
	case <-c.out.Ended():
		status, reason := c.out.Status()
		return nil, fmt.Errorf("the call of %s was refused: %d %s", c.out.name(), status, reason)
	case <-ctx.Done():
		return nil, fmt.Errorf("no call came to %s: %w", c.in.name(), ctx.Err())
	}
}

// tones checks that each phone hears the other's tone, and not its own.
func (d *demonstration) tones(ctx context.Context, c conversation) error {
	for _, p := range c.parties() {
		if err := p.Voice().WaitTone(ctx, c.far(p)); err != nil {
			return fmt.Errorf("phone %s: %w", p.name(), err)
		}
		if p.Voice().Contains(p.tone()) {
			return fmt.Errorf("phone %s hears its own tone of %.0f Hz", p.name(), p.tone())
		}
		d.seen("%s hears %.0f Hz and not its own %.0f Hz", p.name(), c.far(p), p.tone())
	}
	return nil
}

func (d *demonstration) statistics(c conversation) {
	d.block(fmt.Sprintf("%-6s %6s %9s %5s %9s %14s", "phone", "sent", "received", "lost", "jitter", "longest gap"))
	for _, p := range c.parties() {
		d.block(statisticsRow(p.name(), p.Stats()))
	}
}

func statisticsRow(name string, s voice.Stats) string {
	return fmt.Sprintf("%-6s %6d %9d %5d %9v %14v", name, s.Sent, s.Received, s.Lost,
		s.Jitter.Round(10*time.Microsecond), s.MaxSilence.Round(time.Millisecond))
}

// hold lets each side hold the call.
func (d *demonstration) hold(ctx context.Context) error {
	for _, p := range d.call.parties() {
		if err := p.Hold(ctx); err != nil {
			return err
		}
		if err := p.Voice().WaitSilence(ctx); err != nil {
			return fmt.Errorf("phone %s, on hold: %w", p.name(), err)
		}
		d.seen("%s holds the call and hears silence", p.name())
		if err := p.Resume(ctx); err != nil {
			return err
		}
		if err := p.Voice().WaitTone(ctx, d.call.far(p)); err != nil {
			return fmt.Errorf("phone %s, resumed: %w", p.name(), err)
		}
		d.seen("%s resumes and hears %.0f Hz again", p.name(), d.call.far(p))
	}
	return nil
}

func (d *demonstration) hangup(ctx context.Context) error { return d.finish(ctx, d.call) }

// finish lets the called phone hang up.
func (d *demonstration) finish(ctx context.Context, c conversation) error {
	began := time.Now()
	if err := c.in.Hangup(ctx); err != nil {
		return err
	}
	d.seen("%s hung up: 200 to its BYE after %v", c.in.name(), since(began))
	if err := c.out.WaitEnded(ctx); err != nil {
		return err
	}
	d.seen("%s was told: the call ended there after %v", c.out.name(), since(began))
	return nil
}

// callNear shows that a call inside an office needs nobody else, and how long it takes.
func (d *demonstration) callNear(ctx context.Context) error {
	began := time.Now()
	c, err := d.connect(ctx, party{phone: d.neighbour, office: d.london}, party{phone: d.caller, office: d.london})
	if err != nil {
		return err
	}
	d.seen("from dialling to voice at both ends: %v", since(began))
	return d.finish(ctx, c)
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
