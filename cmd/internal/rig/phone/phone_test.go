package phone

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/mss-federation/mss/cmd/internal/rig/sipmsg"
	"github.com/mss-federation/mss/cmd/internal/rig/voice"
)

func start(t *testing.T, opt Options) *Phone {
	t.Helper()
	p, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Close()
		if t.Failed() {
			t.Log(p.TranscriptText())
		}
	})
	return p
}

func limit(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func clean(t *testing.T, phones ...*Phone) {
	t.Helper()
	for _, p := range phones {
		for _, v := range p.Violations() {
			t.Errorf("%s saw: %v", p.Name(), v)
		}
	}
}

// pair gives a phone that calls another directly.
func pair(t *testing.T, transport Transport, local netip.Addr, caller, callee Options) (a, b *Phone) {
	t.Helper()
	callee.Name, callee.Transport, callee.Local = "4002", transport, local
	if callee.Tone == 0 {
		callee.Tone = 620
	}
	callee.Registrar = netip.AddrPortFrom(local, 9) // discard: it never sends there
	b = start(t, callee)
	caller.Name, caller.Transport, caller.Local, caller.Registrar = "4001", transport, local, b.Local()
	if caller.Tone == 0 {
		caller.Tone = 440
	}
	return start(t, caller), b
}

func TestCallWithVoiceHoldAndDigits(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name      string
		transport Transport
		local     string
	}{{"UDP", UDP, "127.0.0.1"}, {"TCP", TCP, "127.0.0.1"}, {"UDP6", UDP, "::1"}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ctx := limit(t)
			a, b := pair(t, c.transport, netip.MustParseAddr(c.local), Options{}, Options{Codec: voice.PCMA})
			out, err := a.Dial(ctx, "4002")
			must(t, err)
			in, err := b.WaitIncoming(ctx)
			must(t, err)
			must(t, in.Ring())
			must(t, out.WaitRinging(ctx))
			must(t, in.Answer())
			must(t, out.WaitAnswered(ctx))
			must(t, out.Voice().WaitTone(ctx, 620))
			must(t, in.Voice().WaitTone(ctx, 440))
			if out.Voice().Contains(440) {
				t.Error("the caller hears itself")
			}
			must(t, out.Hold(ctx))
			must(t, out.Voice().WaitSilence(ctx))
			must(t, out.Resume(ctx))
			must(t, out.Voice().WaitTone(ctx, 620))
			must(t, out.Reinvite(ctx, voice.PCMA))
			if got := in.Codec(); got != voice.PCMA {
				t.Errorf("codec after re-INVITE: %v", got)
			}
			must(t, out.Refresh(ctx))
			must(t, out.SendInfo(ctx, '5'))
			must(t, out.SendOptions(ctx))
			if infos := in.Infos(); len(infos) != 1 || !strings.Contains(infos[0], "Signal=5") {
				t.Errorf("INFO %q", infos)
			}
			must(t, out.Hangup(ctx))
			must(t, in.WaitEnded(ctx))
			if !in.ByRemote() || out.ByRemote() {
				t.Error("who hung up is not known")
			}
			if s := in.Stats(); s.Lost != 0 || s.Strangers != 0 || s.Received == 0 {
				t.Errorf("voice %+v", s)
			}
			clean(t, a, b)
		})
	}
}

var loopback = netip.MustParseAddr("127.0.0.1")

func TestCalleeHangsUpAndDelayedOffer(t *testing.T) {
	t.Parallel()
	ctx := limit(t)
	a, b := pair(t, UDP, loopback, Options{}, Options{AutoAnswer: true})
	out, err := a.DialWith(ctx, "4002", DialOptions{NoOffer: true})
	must(t, err)
	must(t, out.WaitAnswered(ctx))
	must(t, out.Voice().WaitTone(ctx, 620))
	calls := b.Calls()
	if len(calls) != 1 {
		t.Fatalf("%d calls", len(calls))
	}
	must(t, calls[0].Voice().WaitTone(ctx, 440))
	must(t, calls[0].Hold(ctx))
	must(t, calls[0].Resume(ctx))
	must(t, calls[0].Hangup(ctx))
	must(t, out.WaitEnded(ctx))
	clean(t, a, b)
}

func TestEarlyMediaCancelAndReject(t *testing.T) {
	t.Parallel()
	ctx := limit(t)
	a, b := pair(t, UDP, loopback, Options{}, Options{})
	out, err := a.Dial(ctx, "4002")
	must(t, err)
	in, err := b.WaitIncoming(ctx)
	must(t, err)
	must(t, in.Progress())
	must(t, out.Voice().WaitTone(ctx, 620))
	must(t, out.Cancel(ctx))
	must(t, in.WaitEnded(ctx))
	if status, _ := out.Status(); status != 487 {
		t.Errorf("cancelled call ended with %d", status)
	}
	out, err = a.Dial(ctx, "4002")
	must(t, err)
	in, err = b.WaitIncoming(ctx)
	must(t, err)
	must(t, in.Reject(486, "Busy Here"))
	must(t, out.WaitEnded(ctx))
	if status, reason := out.Status(); status != 486 || reason != "Busy Here" {
		t.Errorf("rejected call ended with %d %s", status, reason)
	}
	if err := out.Hold(ctx); !errors.Is(err, ErrNotUp) {
		t.Errorf("hold after the end: %v", err)
	}
	clean(t, a, b)
}

func TestHeldACKIsAskedForAgain(t *testing.T) {
	t.Parallel()
	ctx := limit(t)
	a, b := pair(t, UDP, loopback, Options{}, Options{AutoAnswer: true})
	out, err := a.DialWith(ctx, "4002", DialOptions{HoldACK: true})
	must(t, err)
	must(t, out.WaitAnswered(ctx))
	must(t, eventually(ctx, func() bool { return strings.Count(a.TranscriptText(), "<--") >= 5 })) // 100 180 200 200 …
	must(t, out.SendACK())
	must(t, out.Hangup(ctx))
	clean(t, a, b)
}

func eventually(ctx context.Context, condition func() bool) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}

func TestRegistersWithDigest(t *testing.T) {
	t.Parallel()
	ctx := limit(t)
	r := newRegistrar(t, "secret")
	for _, transport := range []Transport{UDP, TCP, TLS} {
		at := r.at(transport)
		p := start(t, Options{Name: "4001", Password: "secret", Domain: "example.org", Registrar: at, Transport: transport, Trust: r.trust})
		must(t, p.Register(ctx))
		must(t, p.Unregister(ctx))
		clean(t, p)
		wrong := start(t, Options{Name: "4001", Password: "wrong", Registrar: at, Transport: transport, Trust: r.trust})
		var status *StatusError
		if err := wrong.Register(ctx); !errors.As(err, &status) || status.Status() != 403 {
			t.Errorf("wrong password over %v: %v", transport, err)
		}
	}
}

func TestRegistersAgainWhenTheConnectionBreaks(t *testing.T) {
	t.Parallel()
	ctx := limit(t)
	for _, transport := range []Transport{TCP, TLS} {
		r := newRegistrar(t, "secret")
		p := start(t, Options{Name: "4001", Password: "secret", Registrar: r.at(transport), Transport: transport, Trust: r.trust})
		must(t, p.Register(ctx))
		broken := time.Now()
		r.drop()
		at, err := p.WaitRegistered(ctx, broken)
		must(t, err)
		if d := at.Sub(broken); d > time.Second {
			t.Errorf("registered again over %v after %v", transport, d)
		}
		clean(t, p)
	}
}

// A registrar that proves nothing is told nothing.
func TestTrustsItsAuthorityAlone(t *testing.T) {
	t.Parallel()
	r, other := newRegistrar(t, "secret"), newRegistrar(t, "secret")
	p := start(t, Options{Name: "4001", Password: "secret", Registrar: r.at(TLS), Transport: TLS, Trust: other.trust})
	registering, cancel := context.WithCancel(limit(t))
	go func() { _ = p.Register(registering); cancel() }()
	must(t, eventually(limit(t), func() bool { return len(p.Violations()) > 0 }))
	cancel()
	if v := p.Violations()[0]; v.Rule != RuleNetwork || !strings.Contains(v.Detail, "certificate") {
		t.Errorf("saw %v", v)
	}
}

func TestStrictness(t *testing.T) {
	t.Parallel()
	change := func(name, old, with string) func(*sipmsg.Message) {
		return func(m *sipmsg.Message) { m.Set(name, strings.Replace(m.Get(name), old, with, 1)) }
	}
	for _, c := range []struct {
		name  string
		spoil func(*sipmsg.Message)
		want  Rule
	}{
		{"Via of somebody else added", func(m *sipmsg.Message) { m.Add("Via", "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKx") }, RuleVia},
		{"From changed", change("From", "4001", "4009"), RuleEcho},
		{"no To tag", change("To", ";tag=registrar", ""), RuleToTag},
		{"rport not filled in", change("Via", "rport=", "rport=1"), RuleVia},
		{"Contact changed", change("Contact", "4001@", "4009@"), RuleRegister},
		{"more time than asked for", change("Contact", "expires=3600", "expires=3601"), RuleRegister},
		{"a doubled header", func(m *sipmsg.Message) { m.Add("Call-ID", "x") }, RuleSyntax},
		{"an unknown branch", change("Via", "z9hG4bK", "z9hG4bKx"), RuleUnknown},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := newRegistrar(t, "secret")
			r.mu.Lock()
			r.spoil = func(m *sipmsg.Message) {
				if m.Status == 200 {
					c.spoil(m)
				}
			}
			r.mu.Unlock()
			p := start(t, Options{Name: "4001", Password: "secret", Registrar: r.udpAddr()})
			registering, cancel := context.WithCancel(limit(t))
			go func() { _ = p.Register(registering); cancel() }()
			must(t, eventually(limit(t), func() bool { return len(p.Violations()) > 0 }))
			cancel()
			if got := p.Violations()[0].Rule; got != c.want {
				t.Errorf("rule %s, want %s", got, c.want)
			}
			if len(p.Violations(c.want)) != 0 && c.want != RuleSyntax && c.want != RuleUnknown {
				t.Errorf("also: %v", p.Violations(c.want))
			}
		})
	}
}
