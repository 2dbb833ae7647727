package chain

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/mss-federation/mss/cmd/internal/rig/node"
	"github.com/mss-federation/mss/cmd/internal/rig/phone"
	"github.com/mss-federation/mss/cmd/internal/rig/sipmsg"
)

// VoiceResult is what one run of calls with voice showed.
type VoiceResult struct {
	Calls, Failed  int
	Sent, Received uint64 // packets while both ends talked, both directions
	Trouble        []error
}

// Loss is the share of the packets that did not arrive.
func (r *VoiceResult) Loss() float64 {
	if r.Sent == 0 {
		return 0
	}
	return float64(r.Sent-min(r.Received, r.Sent)) / float64(r.Sent)
}

// troubles is how many failed calls say why.
const troubles = 5

func (r *VoiceResult) add(count VoiceResult, err error) {
	r.Calls++
	r.Sent += count.Sent
	r.Received += count.Received
	if err != nil {
		r.Failed++
		if len(r.Trouble) < troubles {
			r.Trouble = append(r.Trouble, err)
		}
	}
}

const (
	quiet     = 300 * time.Millisecond // without a packet: none is on its way any more
	callLimit = 20 * time.Second       // what calls may take beyond their talk
)

// Voice makes calls in which both phones send 50 packets a second each, and counts them at both ends. Both begin when
// both know that the call is up, and stop before it is hung up: what is missing then was lost.
func (c *Chain) Voice(ctx context.Context, load Load) (_ VoiceResult, err error) {
	called := newArrivals()
	to, err := c.phone(ctx, c.hongkong, voiceCalled, called.note)
	if err != nil {
		return VoiceResult{}, err
	}
	defer to.Close()
	from, err := c.phone(ctx, c.london, voiceCaller, nil)
	if err != nil {
		return VoiceResult{}, err
	}
	defer from.Close()
	ctx, cancel := context.WithTimeout(ctx, load.span()+callLimit)
	defer cancel()
	var running sync.WaitGroup
	running.Go(func() { called.deliver(ctx, to) })
	r := c.talk(ctx, from, called, load)
	cancel()
	running.Wait()
	for _, v := range append(from.Violations(), to.Violations()...) {
		r.Trouble = append(r.Trouble, fmt.Errorf("a phone saw: %v", v))
	}
	return r, nil
}

func (c *Chain) phone(ctx context.Context, office *node.Node, name string, onRequest func(*sipmsg.Message) bool) (*phone.Phone, error) {
	p, err := phone.New(phone.Options{
		Name: name, Password: password, Registrar: office.UDP(), Local: node.NewAddress(), Tone: 440, OnRequest: onRequest,
	})
	if err != nil {
		return nil, err
	}
	if err := p.Register(ctx); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// talk begins the calls on their beat and waits for the end of all.
func (c *Chain) talk(ctx context.Context, from *phone.Phone, called *arrivals, load Load) VoiceResult {
	var all VoiceResult
	var mu sync.Mutex
	var calls sync.WaitGroup
	beat := time.NewTicker(time.Second / time.Duration(load.Rate))
	defer beat.Stop()
	for range load.Calls() {
		calls.Go(func() {
			count, err := oneCall(ctx, from, called, load.Hold)
			mu.Lock()
			defer mu.Unlock()
			all.add(count, err)
		})
		select {
		case <-beat.C:
		case <-ctx.Done(): // what is not begun yet fails at once
		}
	}
	calls.Wait()
	return all
}

// oneCall makes a call and talks.
func oneCall(ctx context.Context, from *phone.Phone, called *arrivals, hold time.Duration) (count VoiceResult, err error) {
	session, arrived := called.expect()
	out, err := from.DialWith(ctx, voiceCalled, phone.DialOptions{
		Headers: []sipmsg.Header{{Name: "Session-ID", Value: session + ";remote=" + strings.Repeat("0", len(session))}},
	})
	if err != nil {
		return count, err
	}
	in, err := answer(ctx, out, arrived)
	if err == nil {
		count, err = measure(ctx, out, in, hold)
	}
	if err == nil {
		err = hangUp(ctx, out, in)
	}
	if err != nil {
		err = errors.Join(fmt.Errorf("call %s: %w", out.ID(), err), out.Hangup(ctx))
	}
	return count, err
}

// hangUp ends the call from its caller's side, and waits until the other has heard of it.
func hangUp(ctx context.Context, out, in *phone.Call) error {
	if err := out.Hangup(ctx); err != nil {
		return err
	}
	select {
	case <-in.Ended():
		return nil
	case <-ctx.Done():
		return fmt.Errorf("the called side never heard of the end: %w", ctx.Err())
	}
}

// answer rings and answers at the called phone, and waits until the caller knows both.
func answer(ctx context.Context, out *phone.Call, arrived <-chan *phone.Call) (in *phone.Call, err error) {
	select {
	case in = <-arrived:
	case <-out.Ended():
		status, reason := out.Status()
		return nil, fmt.Errorf("it ended with %d %s", status, reason)
	case <-ctx.Done():
		return nil, fmt.Errorf("it did not arrive: %w", ctx.Err())
	}
	if err := in.Ring(); err != nil {
		return nil, err
	}
	if err := out.WaitRinging(ctx); err != nil {
		return nil, err
	}
	if err := in.Answer(); err != nil {
		return nil, err
	}
	return in, out.WaitAnswered(ctx)
}

// measure lets both ends talk for so long. Both are silent before and after, until nothing is on its way any more.
func measure(ctx context.Context, out, in *phone.Call, talk time.Duration) (VoiceResult, error) {
	aim := func(sending bool) {
		for _, end := range []*phone.Call{out, in} {
			end.Voice().Aim(end.RemoteVoice(), end.Codec(), sending)
		}
	}
	aim(false)
	before, err := settled(ctx, out, in)
	if err != nil {
		return VoiceResult{}, err
	}
	aim(true)
	if err := pause(ctx, talk, out, in); err != nil {
		return VoiceResult{}, err
	}
	aim(false)
	after, err := settled(ctx, out, in)
	return VoiceResult{Sent: after.Sent - before.Sent, Received: after.Received - before.Received}, err
}

// settled is what both ends have sent and received in all, once that stays as it is for quiet.
func settled(ctx context.Context, out, in *phone.Call) (VoiceResult, error) {
	sum := func() VoiceResult {
		a, b := out.Stats(), in.Stats()
		return VoiceResult{Sent: a.Sent + b.Sent, Received: a.Received + b.Received}
	}
	for last := sum(); ; {
		if err := pause(ctx, quiet, out, in); err != nil {
			return last, err
		}
		now := sum()
		if now.Sent == last.Sent && now.Received == last.Received {
			return now, nil
		}
		last = now
	}
}

// pause waits, but not for the rest of a call that ended.
func pause(ctx context.Context, d time.Duration, out, in *phone.Call) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-out.Ended():
		return errors.New("the caller's side ended too early")
	case <-in.Ended():
		return errors.New("the called side ended too early")
	case <-ctx.Done():
		return ctx.Err()
	}
}

// arrivals brings each call to whoever made it: they know each other by the Session-ID (RFC 7989), which all nodes pass
// on.
type arrivals struct {
	mu       sync.Mutex
	sessions map[string]string             // by Call-ID at the called phone
	waiting  map[string]chan<- *phone.Call // by Session-ID
}

func newArrivals() *arrivals {
	return &arrivals{sessions: make(map[string]string), waiting: make(map[string]chan<- *phone.Call)}
}

// expect makes a new Session-ID, and the channel on which its call will come.
func (a *arrivals) expect() (session string, arrived <-chan *phone.Call) {
	var id [16]byte
	_, _ = rand.Read(id[:]) // it never fails (Go 1.24)
	session = hex.EncodeToString(id[:])
	c := make(chan *phone.Call, 1)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.waiting[session] = c
	return session, c
}

// note is the called phone's hook: it sees each request before the phone does.
func (a *arrivals) note(req *sipmsg.Message) (drop bool) {
	if req.Method == "INVITE" {
		session, _, _ := strings.Cut(req.Get("session-id"), ";")
		a.mu.Lock()
		defer a.mu.Unlock()
		a.sessions[req.Get("call-id")] = session
	}
	return false
}

// deliver hands out the calls that come, until ctx ends.
func (a *arrivals) deliver(ctx context.Context, p *phone.Phone) {
	for {
		select {
		case in := <-p.Incoming():
			a.mu.Lock()
			c := a.waiting[a.sessions[in.ID()]]
			delete(a.waiting, a.sessions[in.ID()])
			a.mu.Unlock()
			if c != nil {
				c <- in
			}
		case <-ctx.Done():
			return
		}
	}
}
