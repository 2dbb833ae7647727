package signal

import (
	"context"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emiago/sipgo/sip"

	"github.com/mss-federation/mss/lmss/cdr"
	"github.com/mss-federation/mss/lmss/user"
	"github.com/mss-federation/mss/pkg/digest"
	"github.com/mss-federation/mss/pkg/federation"
)

// stage runs a scene around a site for as long as play takes, on virtual time.
func stage(t *testing.T, play func(t *testing.T, sc *scene, s *site, l *ledger), change ...func(*parts)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		sc := newScene(t, netip.MustParseAddrPort("192.0.2.100:5060"))
		l := &ledger{records: map[string]cdr.Record{}}
		s := conversationSite(t, sc, l, change...)
		ctx, stop := context.WithCancel(context.Background())
		var running sync.WaitGroup
		running.Go(func() { _ = s.stack.Run(ctx) })
		running.Go(func() { _ = s.endpoint.Run(ctx) })
		running.Go(func() { _ = s.housekeeping(ctx) })
		defer running.Wait()
		defer stop()
		defer sc.close()
		for _, name := range []string{"A", "B", "C"} {
			sc.phone(name)
		}
		settle()
		play(t, sc, s, l)
	})
}

// said is what the phones heard since the last call.
func (s *scene) said() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flush()
	text := s.out.String()
	s.out.Reset()
	return text
}

// TestAnswerWaitsForStore: a 200 waits for the record, and at most 250 ms; then the call says of itself
// that it is unprotected.
func TestAnswerWaitsForStore(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		store       time.Duration
		before      time.Duration // no 200 until then
		after       time.Duration // the 200 by then
		unprotected bool
	}{
		{store: 100 * time.Millisecond, before: 90 * time.Millisecond, after: 150 * time.Millisecond},
		{store: 5 * time.Second, before: 240 * time.Millisecond, after: 400 * time.Millisecond, unprotected: true},
	} {
		stage(t, func(t *testing.T, sc *scene, _ *site, l *ledger) {
			t.Helper()
			l.delay = c.store
			sc.run("A invite 4002")
			sc.said()
			p := sc.phone("B")
			sc.mu.Lock()
			p.respond([]string{"200", "sdp"})
			sc.mu.Unlock()
			<-time.After(c.before)
			if text := sc.said(); strings.Contains(text, "A <- 200") {
				t.Errorf("store %v: answered before %v:\n%s", c.store, c.before, text)
			}
			<-time.After(c.after - c.before)
			if text := sc.said(); !strings.Contains(text, "A <- 200") || !strings.Contains(text, "B <- ACK") {
				t.Errorf("store %v: not answered by %v:\n%s", c.store, c.after, text)
			}
			sc.run("A ack")
			sc.run("A bye")
			sc.run("B respond 200 to=BYE")
			sc.run("wait 1s")
			for _, r := range l.records {
				if r.Unprotected != c.unprotected {
					t.Errorf("store %v: unprotected %v in the CDR", c.store, r.Unprotected)
				}
			}
			if len(l.records) != 1 {
				t.Errorf("%d CDRs", len(l.records))
			}
		})
	}
}

// TestTimerC: a callee that rings and then says nothing more is given up after 180 s; each 18x begins them anew.
func TestTimerC(t *testing.T) {
	t.Parallel()
	patient := func(p *parts) { p.call.NoAnswer = time.Hour }
	stage(t, func(t *testing.T, sc *scene, _ *site, _ *ledger) {
		t.Helper()
		sc.run("A invite 4002")
		sc.run("B respond 180")
		sc.run("wait 170s")
		sc.run("B respond 180")
		sc.run("wait 170s")
		if text := sc.said(); strings.Contains(text, "B <- CANCEL") || strings.Contains(text, "A <- 4") {
			t.Fatalf("given up although it still rang:\n%s", text)
		}
		sc.run("wait 15s")
		if text := sc.said(); !strings.Contains(text, "B <- CANCEL") || !strings.Contains(text, "A <- 480") {
			t.Errorf("not given up:\n%s", text)
		}
		sc.run("A ack487")
		sc.run("B respond 200 to=CANCEL")
		sc.run("B respond 487")
	}, patient)
}

// TestRepeatedProgress: a ringing call repeats its last 18x each 60 s, so that no proxy's Timer C ends it.
func TestRepeatedProgress(t *testing.T) {
	t.Parallel()
	stage(t, func(t *testing.T, sc *scene, _ *site, _ *ledger) {
		t.Helper()
		sc.run("A invite 4002")
		sc.run("B respond 180")
		sc.said()
		sc.run("wait 59s")
		if text := sc.said(); text != "" {
			t.Errorf("before a minute:\n%s", text)
		}
		sc.run("wait 2s")
		if text := sc.said(); strings.Count(text, "A <- 180 Ringing") != 1 {
			t.Errorf("after a minute:\n%s", text)
		}
		sc.run("A cancel")
		sc.run("A ack487")
		sc.run("B respond 487")
	})
}

// register registers a phone with digest and a Contact of the given address; it returns the last answer. What is sent
// passes through edits.
func (p *phone) register(t *testing.T, name, password, contact string, edits ...func(string) string) *sip.Response {
	t.Helper()
	authorization := ""
	var last *sip.Response
	for seq := 1; seq <= 2; seq++ {
		p.scene.mu.Lock()
		p.ours, p.theirs, p.callID = "<sip:"+name+"@example.org>;tag=r", "<sip:"+name+"@example.org>", "register-"+p.name
		msg := p.write("REGISTER", "sip:example.org", seq, authorization+"Expires: 3600\r\n", "", "")
		msg = strings.Replace(msg, "Contact: <sip:"+p.number+"@"+p.addr.String()+">", "Contact: <sip:"+name+"@"+contact+">", 1)
		for _, edit := range edits {
			msg = edit(msg)
		}
		p.send(msg)
		p.scene.mu.Unlock()
		settle()
		p.scene.mu.Lock()
		for _, h := range p.scene.pending {
			if res, ok := h.msg.(*sip.Response); ok && h.phone == p.name {
				last = res
			}
		}
		p.scene.pending = nil
		p.scene.mu.Unlock()
		if last == nil || last.StatusCode != 401 {
			return last
		}
		answer, err := digest.Answer(last.GetHeader("WWW-Authenticate").Value(), "REGISTER", "sip:example.org", name, password, 1, "c0")
		if err != nil {
			t.Fatal(err)
		}
		authorization = "Authorization: " + answer + "\r\n"
	}
	return last
}

func withPassword(t *testing.T, name federation.User, password string) func(*parts) {
	t.Helper()
	return func(p *parts) {
		u := user.User{Name: name}
		if err := u.SetPassword(p.realm, password); err != nil {
			t.Fatal(err)
		}
		if err := p.users.Put(u); err != nil {
			t.Fatal(err)
		}
	}
}

// TestNATPing: a UDP phone whose source is not its Contact is pinged every 25 s, and calls reach it at its source.
func TestNATPing(t *testing.T) {
	t.Parallel()
	stage(t, func(t *testing.T, sc *scene, _ *site, _ *ledger) {
		t.Helper()
		b := sc.phone("B")
		res := b.register(t, "4007", "correct horse battery", "10.0.0.5:5060")
		if res == nil || res.StatusCode != 200 {
			t.Fatalf("register: %v", res)
		}
		if got := res.GetHeader("Contact").Value(); !strings.Contains(got, "10.0.0.5:5060") {
			t.Errorf("the 200 does not echo the Contact as sent: %s", got)
		}
		before := b.pinged()
		<-time.After(55 * time.Second)
		settle()
		if n := b.pinged() - before; n != 2 && n != 3 { // each phone has its own moment in the 25 s
			t.Errorf("%d pings in 55 s, want 2 or 3", n)
		}
		sc.run("A invite 4007")
		if text := sc.said(); !strings.Contains(text, "B <- INVITE sip:4007@10.0.0.5:5060") {
			t.Errorf("the call does not reach the phone at its source:\n%s", text)
		}
		sc.run("B respond 486")
		sc.run("A ack487")
	}, withPassword(t, "4007", "correct horse battery"))
}

// TestWrongPassword: a wrong password and an unknown user meet the same challenge, and nobody is bound.
func TestWrongPassword(t *testing.T) {
	t.Parallel()
	stage(t, func(t *testing.T, sc *scene, s *site, _ *ledger) {
		t.Helper()
		for _, name := range []string{"4007", "4999"} {
			res := sc.phone("B").register(t, name, "wrong", "192.0.2.2:5060")
			if res == nil || res.StatusCode != 401 {
				t.Errorf("%s: %v", name, res)
			}
		}
		if n := s.bindings.Count(); n != 0 {
			t.Errorf("%d bindings", n)
		}
		if n := s.counters.AuthFailures.Load(); n != 2 {
			t.Errorf("%d failures counted", n)
		}
	}, withPassword(t, "4007", "correct horse battery"))
}

// TestBindingLimit: a fourth phone replaces the oldest of three; nobody is refused.
func TestBindingLimit(t *testing.T) {
	t.Parallel()
	stage(t, func(t *testing.T, sc *scene, s *site, _ *ledger) {
		t.Helper()
		for _, name := range []string{"A", "B", "C", "D"} {
			p := sc.phone(name)
			settle()
			if res := p.register(t, "4007", "correct horse battery", p.addr.String()); res == nil || res.StatusCode != 200 {
				t.Fatalf("%s: %v", name, res)
			}
			<-time.After(time.Second)
		}
		var left []string
		for _, b := range s.bindings.Bindings(time.Now(), "4007") {
			left = append(left, b.RequestURI)
		}
		if len(left) != 3 || strings.Contains(strings.Join(left, " "), "192.0.2.1:") {
			t.Errorf("bound: %v, want B, C and D", left)
		}
	}, withPassword(t, "4007", "correct horse battery"))
}
