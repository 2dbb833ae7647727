package signal

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emiago/sipgo/sip"

	"github.com/mss-federation/mss/lmss/call"
	"github.com/mss-federation/mss/lmss/cdr"
	"github.com/mss-federation/mss/lmss/registrar"
	"github.com/mss-federation/mss/lmss/user"
	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/media"
	"github.com/mss-federation/mss/pkg/network"
	"github.com/mss-federation/mss/pkg/network/memnet"
	"github.com/mss-federation/mss/pkg/siptransport"
)

var (
	modelSeeds = flag.Int("model.seeds", 300, "how many random calls TestModel plays")
	modelFirst = flag.Uint64("model.first", 1, "the first seed")
)

// TestModel lets phones act at random around one site, each seed in a world of its own, and looks at what
// must hold whatever they do: nothing is left behind, each call has one CDR, a caller sees one To tag and
// one SDP answer, our CSeq grows, every 2xx is acknowledged, and both ends of a call end together.
func TestModel(t *testing.T) {
	t.Parallel()
	for i := range *modelSeeds {
		seed := *modelFirst + uint64(i)
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := newModel(t, seed)
				m.play()
				if len(m.faults) > 0 {
					t.Errorf("seed %d: %s\n%s", seed, strings.Join(m.faults, "\n"), m.transcript.String())
				}
			})
		})
	}
}

// model is one random world.
type model struct {
	t      *testing.T
	dice   *rand.Rand
	site   netip.AddrPort
	office *site
	ledger *moodyLedger
	voice  *moodyVoice // nil: not anchored
	start  time.Time

	mu         sync.Mutex
	robots     []*robot
	transcript strings.Builder
	faults     []string
	closed     bool
	wire       wiretap
	failing    bool // a phone answered 5xx
}

func (m *model) log(format string, args ...any) {
	fmt.Fprintf(&m.transcript, "%9.3f ", time.Since(m.start).Seconds())
	fmt.Fprintf(&m.transcript, format+"\n", args...)
}

func (m *model) fail(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	m.faults = append(m.faults, text)
	m.log("FAULT %s", text)
}

func newModel(t *testing.T, seed uint64) *model {
	t.Helper()
	m := &model{
		t: t, dice: rand.New(rand.NewPCG(seed, 1)), site: netip.MustParseAddrPort("192.0.2.100:5060"), start: time.Now(),
	}
	m.ledger = &moodyLedger{m: m, dice: rand.New(rand.NewPCG(seed, 2)), closed: map[string]cdr.Record{}}
	options := memnet.Options{Delay: time.Millisecond, Jitter: time.Duration(m.dice.IntN(20)) * time.Millisecond, Seed: seed}
	if m.dice.IntN(2) == 0 {
		options.Loss, options.Duplicate, options.Reorder = m.dice.Float64()/10, m.dice.Float64()/10, m.dice.Float64()/10
	}
	world := memnet.New(options)
	m.wire = wiretap{m: m, calls: map[string]*watched{}}
	var voice call.Media
	if m.dice.IntN(5) > 0 {
		m.voice = &moodyVoice{m: m, dice: rand.New(rand.NewPCG(seed, 3)), open: map[uint64]bool{}, groups: map[uint64]bool{}, port: 30000, flaky: m.dice.IntN(3) == 0}
		voice = m.voice
	}
	m.build(world, voice)
	codecs := []string{"8", "8", []string{"0", "8"}[m.dice.IntN(2)]}
	for i, name := range []string{"A", "B", "C"} {
		addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)}), 5060)
		conn, err := world.Host(addr.Addr()).ListenUDP(context.Background(), addr)
		if err != nil {
			t.Fatal(err)
		}
		m.robots = append(m.robots, &robot{
			m: m, name: name, number: fmt.Sprint(4001 + i), conn: conn, addr: addr, dice: rand.New(rand.NewPCG(seed, 10+uint64(i))),
			codec: codecs[i], answers: map[string]string{}, repeats: map[string]*repetition{},
		})
	}
	return m
}

func (m *model) build(world *memnet.Net, voice call.Media) {
	var users []user.User
	for i := range 6 {
		addr := netip.AddrFrom4([4]byte{192, 0, 2, byte(1 + i)})
		u := user.User{
			Name: federation.User(fmt.Sprint(4001 + i)), Addresses: []netip.Prefix{netip.PrefixFrom(addr, 32)},
			Target: user.Target{Transport: siptransport.UDP, Address: netip.AddrPortFrom(addr, 5060)},
		}
		if i == 5 {
			u.Target = user.Target{}
		}
		users = append(users, u)
	}
	directory, err := user.NewDirectory(users...)
	if err != nil {
		m.t.Fatal(err)
	}
	patience := []time.Duration{20 * time.Second, 3 * time.Second, 300 * time.Millisecond}[m.dice.IntN(3)]
	host := world.Host(m.site.Addr())
	conn, err := host.ListenUDP(context.Background(), m.site)
	if err != nil {
		m.t.Fatal(err)
	}
	m.office, err = assemble(parts{
		call: call.Config{Domain: "example.org", Anchor: voice != nil, NextGroup: patience}, realm: "example.org", users: directory, workers: 1,
		network: host, logger: modelLogger(m), media: voice, store: m.ledger, notes: notepad{m},
		voice: func(a, _ netip.Addr) (netip.Addr, netip.Addr) { return a, a },
	})
	if err != nil {
		m.t.Fatal(err)
	}
	if err := m.office.endpoint.AddUDP(&tappedConn{PacketConn: conn, m: m}); err != nil {
		m.t.Fatal(err)
	}
}

// tappedConn shows what the site sends, in the order of sending.
type tappedConn struct {
	network.PacketConn
	m *model
}

func (c *tappedConn) WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error) {
	if msg, err := sip.ParseMessage(append([]byte(nil), b...)); err == nil {
		c.m.mu.Lock()
		c.m.wire.sent(msg, to)
		c.m.mu.Unlock()
	}
	return c.PacketConn.WriteToUDPAddrPort(b, to)
}

// play runs the world: the wild time, the end of it, and the wait for everything to be over.
func (m *model) play() {
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = m.office.stack.Run(ctx) })
	running.Go(func() { _ = m.office.endpoint.Run(ctx) })
	for _, p := range m.robots {
		running.Go(p.listen)
	}
	settle()
	m.register()
	m.wildTime()
	m.mu.Lock()
	m.log("the wild time is over")
	for _, p := range m.robots {
		if m.dice.IntN(6) == 0 {
			p.vanish()
		}
		p.calm()
	}
	m.mu.Unlock()
	<-time.After(100 * time.Second)
	m.dropSilent(ctx)
	<-time.After(240 * time.Second)
	settle()
	m.mu.Lock()
	m.closed = true
	m.verify()
	m.mu.Unlock()
	for _, p := range m.robots {
		_ = p.conn.Close()
	}
	stop()
	running.Wait()
}

// register makes B and C bindings of 4006, of equal or different preference.
func (m *model) register() {
	second := registrar.DefaultQ
	if m.dice.IntN(2) == 0 {
		second = registrar.DefaultQ / 2
	}
	var bindings []registrar.Binding
	for i, p := range m.robots[1:] {
		b := registrar.Binding{
			AoR: "4006", Contact: "<sip:4006@" + p.addr.String() + ">", RequestURI: "sip:4006@" + p.addr.String(),
			Target:  siptransport.Flow{Transport: siptransport.UDP, Local: m.site, Remote: p.addr},
			Expires: time.Now().Add(time.Hour), Q: registrar.DefaultQ,
		}
		if i == 1 {
			b.Q = second
		}
		b.Flow = b.Target
		bindings = append(bindings, b)
	}
	m.office.bindings.Restore(time.Now(), bindings)
}

func (m *model) wildTime() {
	pauses := []time.Duration{0, time.Millisecond, 3 * time.Millisecond, 20 * time.Millisecond, 100 * time.Millisecond, 600 * time.Millisecond, 3 * time.Second}
	for range 10 + m.dice.IntN(60) {
		pause := pauses[m.dice.IntN(len(pauses))]
		if m.dice.IntN(40) == 0 {
			pause = 25 * time.Second
		}
		if pause > 0 {
			<-time.After(pause)
		}
		if m.dice.IntN(4) > 0 {
			synctest.Wait()
		}
		m.mu.Lock()
		m.robots[m.dice.IntN(3)].wild()
		m.mu.Unlock()
	}
}

// dropSilent ends, as an operator would, the calls both of whose phones are gone: nothing else can tell.
func (m *model) dropSilent(ctx context.Context) {
	for _, r := range m.office.runners {
		live, err := r.Live(ctx)
		if err != nil {
			m.t.Error(err)
		}
		for _, info := range live {
			m.mu.Lock()
			gone := true
			for _, p := range m.robots {
				for _, leg := range info.Legs {
					if leg.State == "ended" {
						continue
					}
					for _, t := range p.talks {
						gone = gone && (p.deaf || t.callID != leg.CallID)
					}
				}
			}
			if !gone && time.Since(info.CDR.SetupAt) > 220*time.Second {
				m.fail("call %s is in phase %s although its phones wanted to end it", info.ID, info.Phase)
			}
			m.mu.Unlock()
			if _, err := r.Hangup(ctx, info.ID); err != nil && !errors.Is(err, context.Canceled) {
				m.t.Error(err)
			}
		}
	}
}

// moodyLedger is a store that is slow at times and fails at times.
type moodyLedger struct {
	m      *model
	mu     sync.Mutex
	dice   *rand.Rand
	closed map[string]cdr.Record
	twice  []string
}

var (
	errLedger = errors.New("disk full")
	errRelay  = errors.New("no port left")
)

func (l *moodyLedger) mood() (time.Duration, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	d := time.Millisecond
	if l.dice.IntN(3) == 0 {
		d = time.Duration(l.dice.IntN(400)) * time.Millisecond
	}
	if l.dice.IntN(10) == 0 {
		return d, errLedger
	}
	return d, nil
}

func (l *moodyLedger) SaveCall(_ string, _ []byte, _ cdr.Record, done func(error)) error {
	d, err := l.mood()
	if err != nil && d == time.Millisecond {
		return err
	}
	time.AfterFunc(d, func() { done(err) })
	return nil
}

func (l *moodyLedger) CloseCall(id string, closed cdr.Record, done func(error)) error {
	l.mu.Lock()
	if _, again := l.closed[id]; again {
		l.twice = append(l.twice, id)
	}
	l.closed[id] = closed
	l.mu.Unlock()
	d, err := l.mood()
	time.AfterFunc(d, func() { done(err) })
	return nil
}

// notepad looks at what would be known of a call in set-up after a crash.
type notepad struct{ m *model }

func (n notepad) Put(id string, data []byte) error {
	n.m.mu.Lock()
	defer n.m.mu.Unlock()
	var note call.Note
	if err := note.Read(data); err != nil {
		n.m.fail("note of %s: %v", id, err)
	}
	for _, ringing := range note.Ringing {
		if len(ringing.Invite) == 0 {
			n.m.fail("note of %s has a ringing phone whose INVITE could not be cancelled", id)
		}
	}
	return nil
}

func (n notepad) Drop(string) error { return nil }

// moodyVoice is a media process that is slow at times and, when flaky, refuses.
type moodyVoice struct {
	m      *model
	mu     sync.Mutex
	dice   *rand.Rand
	open   map[uint64]bool
	groups map[uint64]bool
	next   uint64
	port   int
	flaky  bool
	failed bool
}

func (v *moodyVoice) NewID() uint64 { v.mu.Lock(); defer v.mu.Unlock(); v.next++; return v.next }

func (v *moodyVoice) Open(spec media.EndpointSpec, done func(int, error)) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.groups[spec.Group] = true
	d := time.Millisecond
	if v.dice.IntN(4) == 0 {
		d = time.Duration(v.dice.IntN(3000)) * time.Millisecond
	}
	if v.flaky && v.dice.IntN(3) == 0 {
		v.failed = true
		d = time.Duration(v.dice.IntN(3000)) * time.Millisecond
		time.AfterFunc(d, func() { done(0, errRelay) })
		return
	}
	v.open[spec.ID] = true
	v.port += 2
	port := v.port
	time.AfterFunc(d, func() { done(port, nil) })
}
func (v *moodyVoice) Aim(uint64, media.Aim) {}
func (v *moodyVoice) Join(uint64, uint64)   {}

func (v *moodyVoice) Close(id uint64, done func(media.Report)) {
	v.mu.Lock()
	delete(v.open, id)
	d := time.Duration(v.dice.IntN(400)) * time.Millisecond
	v.mu.Unlock()
	time.AfterFunc(d, func() { done(media.Report{Found: true, Final: true}) })
}
