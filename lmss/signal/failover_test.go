package signal

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emiago/sipgo/sip"

	"github.com/mss-federation/mss/lmss/cdr"
	"github.com/mss-federation/mss/lmss/uplink"
	"github.com/mss-federation/mss/lmss/user"
	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/identity"
	"github.com/mss-federation/mss/pkg/identity/identitytest"
	"github.com/mss-federation/mss/pkg/siptransport"
)

var (
	failoverSeeds = flag.Int("failover.seeds", 60, "how many calls TestFailover plays")
	failoverFirst = flag.Uint64("failover.first", 1, "the first seed")
)

// TestFailover lets a phone of one site call a phone of another over two hubs, of which one dies, stops or loses its
// connections at any moment of the call and comes back later, and then perhaps the other. Whatever happens, the
// phone rings once, an answer arrives, a caller who gives up ends the ringing within 6 s, a hang-up ends the
// call at the other end, and nothing is left.
func TestFailover(t *testing.T) {
	t.Parallel()
	for i := range *failoverSeeds {
		seed := *failoverFirst + uint64(i)
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			home := t.TempDir()
			synctest.Test(t, func(t *testing.T) { newFailover(t, seed, home).play() })
		})
	}
}

// failover is one such call. Times are since its start; zero is never.
type failover struct {
	t      *testing.T
	dice   *rand.Rand
	start  time.Time
	scenes [2]*scene // of the caller's site and the called one
	sites  [2]*site
	books  [2]*ledger
	stops  [2]func()
	hubs   [2]*relayHub
	a, b   *phone

	// What the phones do.
	answers, cancels, hangsUp time.Duration
	declines, calleeHangsUp   bool

	// What they saw.
	rings, ups           int
	rang, stopped        time.Duration
	gaveUp, answered     time.Duration
	up, refused          time.Duration
	aSaidBye, bSaidBye   time.Duration
	aHeardBye, bHeardBye time.Duration
}

func newFailover(t *testing.T, seed uint64, folder string) *failover {
	t.Helper()
	f := &failover{t: t, dice: rand.New(rand.NewPCG(seed, 9))}
	domain := identitytest.NewDomain(t, "example.org")
	london := newScene(t, netip.MustParseAddrPort("192.0.2.100:5060"))
	paris := newScene(t, netip.MustParseAddrPort("192.0.2.110:5060"))
	paris.net = london.net
	f.scenes = [2]*scene{london, paris}
	list := ""
	for i, id := range []string{"a", "b"} {
		f.hubs[i] = newRelayHub(t, london.net, domain, id, byte(201+i))
		list += fmt.Sprintf(`, {"id": %q, "grpc": "%s:5443", "sip": [{"Transport": "tls", "HostPort": %q}]}`, id, f.hubs[i].addr.Addr(), f.hubs[i].addr)
	}
	for i, name := range []string{"london", "paris"} {
		home := uplink.HomeIn(filepath.Join(folder, name))
		if err := os.MkdirAll(string(home), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(string(home), "hubs.json"), []byte(`{"v": 1, "hubs": [`+list[2:]+`]}`), 0o600); err != nil {
			t.Fatal(err)
		}
		f.office(i, name, domain, home)
	}
	f.a, f.b = london.phone("A"), paris.phone("B")
	london.mu.Lock()
	f.a.heard = f.callerHears
	london.mu.Unlock()
	paris.mu.Lock()
	f.b.heard = f.calleeHears
	paris.mu.Unlock()
	return f
}

// office starts a site: 4001 is London's phone A, 1001 Paris' phone B.
func (f *failover) office(i int, name string, domain *identitytest.Domain, home uplink.Home) {
	sc := f.scenes[i]
	u, err := uplink.New(uplink.Options{
		Site: federation.SiteID(name), Domain: "example.org", Prefer: []federation.HubID{"a", "b"}, Home: home,
		Credentials: domain.Credentials(f.t, identity.Site, name), Network: sc.net.Host(sc.site.Addr()), Logger: testLogger(f.t),
	})
	if err != nil {
		f.t.Fatal(err)
	}
	f.books[i] = &ledger{records: map[string]cdr.Record{}, calls: map[string][]byte{}}
	f.sites[i] = conversationSite(f.t, sc, f.books[i], func(p *parts) {
		p.uplink = u
		if name == "paris" {
			p.users, err = user.NewDirectory(user.User{
				Name: "1001", Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.2/32")},
				Target: user.Target{Transport: siptransport.UDP, Address: netip.MustParseAddrPort("192.0.2.2:5060")},
			})
			if err != nil {
				f.t.Fatal(err)
			}
		}
	})
	f.stops[i] = runSite(f.t, f.sites[i], f.books[i])
}

// within is a random time up to a bound.
func (f *failover) within(d time.Duration) time.Duration {
	return time.Duration(f.dice.Int64N(int64(d/time.Millisecond)))*time.Millisecond + time.Millisecond
}

func (f *failover) play() {
	defer func() {
		for i := range f.sites {
			f.stops[i]()
			f.scenes[i].close()
			f.hubs[i].close()
		}
	}()
	settle()
	f.start = time.Now()
	f.answers, f.hangsUp = f.within(9*time.Second), f.within(9*time.Second)
	if f.dice.IntN(3) == 0 {
		f.cancels = f.within(9 * time.Second)
	}
	f.declines, f.calleeHangsUp = f.dice.IntN(8) == 0, f.dice.IntN(2) == 0
	f.schedule()
	f.act(f.a, "invite 1001")
	if f.cancels > 0 {
		time.AfterFunc(f.cancels, f.giveUp)
	}
	<-time.After(6 * time.Minute)
	settle()
	f.check()
}

// schedule breaks one hub, heals it, and then perhaps breaks the other.
func (f *failover) schedule() {
	at, which := f.within(12*time.Second), f.dice.IntN(2)
	for range 1 + f.dice.IntN(2) {
		hub, fault := f.hubs[which], []string{"kill", "freeze", "drop"}[f.dice.IntN(3)]
		f.t.Logf("%v %s of hub %s", at, fault, hub.id)
		time.AfterFunc(at, func() { hub.fail(fault) })
		at += f.within(10 * time.Second)
		f.t.Logf("%v heal", at)
		time.AfterFunc(at, hub.heal)
		at += 9 * time.Second // until the sites have it again
		which = 1 - which
	}
}

func (f *failover) since() time.Duration { return time.Since(f.start) + 1 }

// act lets a phone do something a moment later.
func (f *failover) act(p *phone, line string) {
	f.later(p, time.Millisecond, func() bool { return true }, line)
}

func (f *failover) later(p *phone, d time.Duration, still func() bool, lines ...string) {
	time.AfterFunc(d, func() {
		p.scene.mu.Lock()
		defer p.scene.mu.Unlock()
		if still() {
			for _, line := range lines {
				f.t.Logf("%v %s > %s", f.since(), p.name, line)
				p.do(line)
			}
		}
	})
}

func (f *failover) giveUp() {
	f.later(f.a, 0, func() bool {
		open := f.up == 0 && f.refused == 0
		if open {
			f.gaveUp = f.since()
		}
		return open
	}, "cancel")
}

// callerHears is phone A.
func (f *failover) callerHears(msg sip.Message) {
	f.t.Logf("%v A < %s", f.since(), msg.(fmt.Stringer).String()[:20])
	switch m := msg.(type) {
	case *sip.Request:
		if m.Method == sip.BYE {
			f.aHeardBye = f.since()
			f.act(f.a, "respond 200 to=BYE")
		}
	case *sip.Response:
		if m.CSeq().MethodName != sip.INVITE || m.StatusCode < 200 {
			return
		}
		if m.StatusCode >= 300 {
			f.refused = f.since()
			f.act(f.a, "ack487")
			return
		}
		f.act(f.a, "ack")
		f.ups++
		if f.up > 0 {
			return
		}
		f.up = f.since()
		if !f.calleeHangsUp || f.gaveUp > 0 {
			f.later(f.a, f.hangsUp, func() bool {
				if f.aHeardBye == 0 {
					f.aSaidBye = f.since()
				}
				return f.aHeardBye == 0
			}, "bye")
		}
	}
}

// calleeHears is phone B.
func (f *failover) calleeHears(msg sip.Message) {
	f.t.Logf("%v B < %s", f.since(), msg.(fmt.Stringer).String()[:20])
	m, ok := msg.(*sip.Request)
	if !ok {
		return
	}
	ringing := func() bool { return f.stopped == 0 && f.answered == 0 }
	switch m.Method {
	case sip.INVITE:
		f.rings++
		f.rang = f.since()
		f.act(f.b, "respond 180")
		f.later(f.b, f.answers, func() bool {
			if !ringing() {
				return false
			}
			if f.declines {
				f.stopped = f.since()
			} else {
				f.answered = f.since()
			}
			return true
		}, map[bool]string{true: "respond 486", false: "respond 200 sdp"}[f.declines])
	case sip.CANCEL:
		if ringing() {
			f.stopped = f.since()
			f.later(f.b, 0, func() bool { return true }, "respond 200 to=CANCEL", "respond 487")
		}
	case sip.ACK:
		if f.calleeHangsUp && f.answered > 0 && f.bSaidBye == 0 {
			f.later(f.b, f.hangsUp, func() bool {
				still := f.bHeardBye == 0 && f.bSaidBye == 0
				if still {
					f.bSaidBye = f.since()
				}
				return still
			}, "bye")
		}
	case sip.BYE:
		f.bHeardBye = f.since()
		f.act(f.b, "respond 200 to=BYE")
	default:
	}
}

// check is what must hold.
func (f *failover) check() {
	for _, sc := range f.scenes {
		sc.mu.Lock()
		defer sc.mu.Unlock()
	}
	soon := 6500 * time.Millisecond
	if f.rings > 1 {
		f.t.Errorf("the phone rang %d times", f.rings)
	}
	if f.gaveUp == 0 && f.answered > 0 && (f.up == 0 || f.up-f.answered > soon) {
		f.t.Errorf("answered at %v, the caller heard at %v", f.answered, f.up)
	}
	if f.gaveUp == 0 && f.rings == 0 {
		f.t.Error("the phone never rang")
	}
	if f.gaveUp > 0 && f.rang > 0 && f.answered == 0 && !f.declines && f.stopped-f.gaveUp > soon {
		f.t.Errorf("the caller gave up at %v, the phone rang until %v", f.gaveUp, f.stopped)
	}
	if f.rang > 0 && f.stopped == 0 && f.answered == 0 {
		f.t.Error("the phone rings for ever")
	}
	if f.answered > 0 && f.bHeardBye == 0 && f.bSaidBye == 0 || f.up > 0 && f.aHeardBye == 0 && f.aSaidBye == 0 {
		f.t.Errorf("an end was left up: A %v, B %v", f.up, f.answered)
	}
	if f.aSaidBye > 0 && f.bSaidBye == 0 && f.bHeardBye-f.aSaidBye > soon || f.bSaidBye > 0 && f.aSaidBye == 0 && f.up > 0 && f.aHeardBye-f.bSaidBye > soon {
		f.t.Errorf("hang-up took too long: A said it at %v, B at %v; A heard it at %v, B at %v", f.aSaidBye, f.bSaidBye, f.aHeardBye, f.bHeardBye)
	}
	for i, s := range f.sites {
		for _, r := range s.runners {
			if calls, legs := r.Sizes(); calls != 0 || legs != 0 {
				f.t.Errorf("site %d: %d calls and %d legs are left", i, calls, legs)
			}
		}
		for _, w := range s.stack.Stats().Workers {
			if w.Servers != 0 || w.Clients != 0 || w.Panics != 0 {
				f.t.Errorf("site %d: %d server and %d client transactions are left, %d panics", i, w.Servers, w.Clients, w.Panics)
			}
		}
		if n := len(f.books[i].records); n > 1 || n == 0 && i == 0 || f.books[i].doubled {
			f.t.Errorf("site %d: %d CDRs", i, n)
		}
	}
}
